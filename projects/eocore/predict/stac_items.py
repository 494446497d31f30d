"""STAC items as images: one item, a collection of items, or a table of them (GeoParquet).

Source: STAC 1.1.0, item specification, and its bands (before 1.1 those of the eo extension); the GeoParquet form of STAC items 1.0, where
what an item has under `properties` are columns.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from eocore.data.formats.entries import Entry
from eocore.data.io.remote_files import is_remote, without_query
from eocore.data.records import is_time
from eocore.errors import AnnotationError
from eocore.predict.image_files import ImageFile
from eocore.sensors.bands import Sensor, get_sensor
from eocore.text import some_of

ASSETS, PROPERTIES, FEATURES = "assets", "properties", "features"
TIFF = "image/tiff"
LARGEST_BYTES = 256_000_000
"""Of a file that is looked at to see whether it is STAC."""
CLASS_LAYERS = {
    kind: re.compile(rf"(?:.*[_-])?{word}(?:[_-](?P<gsd>\d+)m)?(?:[_-](?:jp2|cog|tiff?))?", re.IGNORECASE)
    for kind, word in (("scl", "scl"), ("qa_pixel", "qa[_-]?pixel"))
}
"""What assets of classes are called, in their key, the name of their band or that of their file: "scl", "SCL", "scl-jp2" (Earth Search,
Planetary Computer), "SCL_20m" (Copernicus Data Space), "qa_pixel" (USGS), "..._QA_PIXEL.TIF"."""
PICTURES = {"overview", "thumbnail", "visual", "metadata"}
"""Roles of assets that hold no measurements and no classes."""


def stac_entries(path: Path) -> list[Entry] | None:
    """The items that a file holds; None where it is no STAC item and no collection of them.

    Args:
        path: any file.
    """
    if path.suffix.lower() not in (".json", ".geojson") or not path.is_file() or path.stat().st_size > LARGEST_BYTES:
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError):
        return None  # whatever reads it as something else says what is wrong with it
    if not isinstance(content, dict):
        return None
    features = content.get(FEATURES) if content.get("type") == "FeatureCollection" else [content]
    if not isinstance(features, list) or not all(isinstance(feature, dict) and ASSETS in feature for feature in features):
        return None
    return [Entry(feature, f"{path}#{number}" if len(features) > 1 else str(path)) for number, feature in enumerate(features)]


def image_of(entry: Entry, *, folder: Path, said: ImageFile, name: str) -> ImageFile:
    """The image of a STAC item: a file for each band of its sensor, or its one image of all bands.

    Args:
        entry: the item, or a row with the columns of one.
        folder: from which relative addresses count.
        said: what the command line says of the image; its sensor tells which assets are bands.
        name: of the input, for messages.

    Raises:
        AnnotationError: the item has no assets that are its bands, or several for one band.
    """
    assets = _assets(entry)
    when = {**(entry.values.get(PROPERTIES) or {}), **entry.values}.get("datetime")
    time = when.isoformat() if isinstance(when, datetime) else str(when or "")
    layers = _class_layers(assets)
    beside = tuple((kind, _path(assets[key], folder, source=entry.source)) for kind, key in layers)
    found = replace(said, time=time if is_time(time) else "", class_layers=beside)
    if said.sensor:
        bands = _bands(assets, get_sensor(said.sensor), source=entry.source)
        if bands:
            return replace(found, bands=tuple(bands), paths=tuple(_path(asset, folder, source=entry.source) for asset in bands.values()))
    classes = {key for _, key in layers}
    data = [asset for key, asset in assets.items() if "data" in (asset.get("roles") or ()) and _is_tiff(asset) and key not in classes]
    if len(data) == 1:
        return replace(found, paths=(_path(data[0], folder, source=entry.source),))
    raise AnnotationError(
        f"{entry.source}: its assets ({some_of(list(assets))}) hold {len(data)} images of all bands, and "
        + (f"none is a band of {said.sensor}. " if said.sensor else "no sensor is named, by which bands are told. ")
        + f"Name its sensor: --sensor {name}=NAME (eocore/sensors/bands.py); an image of all bands is an asset with the role data and the "
        f"media type {TIFF}."
    )


def _assets(entry: Entry) -> dict[str, Mapping[str, Any]]:
    assets = entry.values.get(ASSETS)
    found = {key: asset for key, asset in assets.items() if asset} if isinstance(assets, Mapping) else {}
    if not found or not all(isinstance(asset, Mapping) and isinstance(asset.get("href"), str) for asset in found.values()):
        raise AnnotationError(f"{entry.source}: '{ASSETS}' must map keys to objects with an address (href). Correct the item.")
    return found


def _bands(assets: Mapping[str, Mapping[str, Any]], sensor: Sensor, *, source: str) -> dict[str, Mapping[str, Any]]:
    """Band -> asset that is a file of that band alone, in the sensor's order."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for key, asset in assets.items():
        described = [band for band in (asset.get("bands") or asset.get("eo:bands") or ()) if isinstance(band, Mapping)]
        if len(described) > 1 or "overview" in (asset.get("roles") or ()):
            continue
        words = [key, *(str(band.get(field) or "") for band in described for field in ("name", "eo:common_name", "common_name"))]
        band = next((name for word in words if word and (name := sensor.canonical_name(word))), None)
        if band is not None:
            found.setdefault(band, {})[key] = asset
    return {name: _choose(found[name], name, source=source) for name in sensor.all_band_names if name in found}


def _choose(files: Mapping[str, Mapping[str, Any]], band: str, *, source: str) -> Mapping[str, Any]:
    """The GeoTIFF where a band comes in several formats."""
    tiffs = [asset for asset in files.values() if _is_tiff(asset)]
    kept: Sequence[Mapping[str, Any]] = tiffs or list(files.values())
    if len(kept) > 1:
        raise AnnotationError(f"{source}: assets {', '.join(files)} are all band {band}; which of them counts is not clear. Leave one.")
    return kept[0]


def _class_layers(assets: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(kind, key) of the assets that are layers of classes: of one in several formats the GeoTIFF, of several pixel sizes the finest."""
    layers: list[tuple[str, str]] = []
    for kind, pattern in CLASS_LAYERS.items():
        found = {key: match for key, asset in assets.items() if (match := _called(pattern, key, asset=asset)) is not None}
        kept = [key for key in found if _is_tiff(assets[key])] or list(found)
        sizes = {key: int(found[key]["gsd"] or 0) for key in kept}
        layers += [(kind, key) for key in kept if sizes[key] == min(sizes.values())]
    return layers


def _called(pattern: re.Pattern[str], key: str, *, asset: Mapping[str, Any]) -> re.Match[str] | None:
    """How an asset is called by a pattern; None where it is not, or is a picture."""
    if PICTURES & set(asset.get("roles") or ()):
        return None
    bands = [str(band.get("name") or "") for band in asset.get("bands") or asset.get("eo:bands") or () if isinstance(band, Mapping)]
    words = [key, *(bands if len(bands) == 1 else ()), PurePosixPath(without_query(str(asset["href"]))).stem]
    return next((match for word in words if (match := pattern.fullmatch(word)) is not None), None)


def _is_tiff(asset: Mapping[str, Any]) -> bool:
    return TIFF in str(asset.get("type"))


def _path(asset: Mapping[str, Any], folder: Path, *, source: str) -> str:
    href = str(asset["href"]).strip()
    if not href or not href.isprintable():
        raise AnnotationError(f"{source}: an asset has the address {href[:80]!r}. Correct the item.")
    return href if is_remote(href) or "://" in href else str(folder / href)
