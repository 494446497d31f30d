"""STAC items as images: one item, a collection of items, or a table of them (GeoParquet).

Source: STAC 1.1.0, item specification, and its bands (before 1.1 those of the eo extension); the GeoParquet form of STAC items 1.0, where
what an item has under `properties` are columns.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from eocore.data.formats.entries import Entry
from eocore.data.io.remote_files import is_remote
from eocore.data.records import is_time
from eocore.errors import AnnotationError
from eocore.predict.image_files import ImageFile
from eocore.sensors.bands import Sensor, get_sensor
from eocore.text import some_of

ASSETS, PROPERTIES, FEATURES = "assets", "properties", "features"
TIFF = "image/tiff"
LARGEST_BYTES = 256_000_000
"""Of a file that is looked at to see whether it is STAC."""


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
    found = replace(said, time=time if is_time(time) else "")
    if said.sensor:
        bands = _bands(assets, get_sensor(said.sensor), source=entry.source)
        if bands:
            return replace(found, bands=tuple(bands), paths=tuple(_path(asset, folder, source=entry.source) for asset in bands.values()))
    data = [asset for asset in assets.values() if "data" in (asset.get("roles") or ()) and TIFF in str(asset.get("type"))]
    if len(data) == 1:
        return replace(found, paths=(_path(data[0], folder, source=entry.source),))
    raise AnnotationError(
        f"{entry.source}: its assets ({some_of(list(assets))}) hold {len(data)} images of all bands, and "
        + (f"none is a band of {said.sensor}. " if said.sensor else "no sensor is named, by which bands are told. ")
        + f"Name its sensor: --sensor {name}=NAME (eocore/sensors/bands.py)."
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
    tiffs = [asset for asset in files.values() if TIFF in str(asset.get("type"))]
    kept: Sequence[Mapping[str, Any]] = tiffs or list(files.values())
    if len(kept) > 1:
        raise AnnotationError(f"{source}: assets {', '.join(files)} are all band {band}; which of them counts is not clear. Leave one.")
    return kept[0]


def _path(asset: Mapping[str, Any], folder: Path, *, source: str) -> str:
    href = str(asset["href"]).strip()
    if not href or not href.isprintable():
        raise AnnotationError(f"{source}: an asset has the address {href[:80]!r}. Correct the item.")
    return href if is_remote(href) or "://" in href else str(folder / href)
