"""A STAC item of a map: where it lies, when its images were taken, which files it has.

Source: STAC 1.1.0, item specification; the projection extension, version 2.0.0.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rasterio.crs import CRS
from rasterio.warp import transform_geom

from eocore.data.records import is_time
from eocore.scenes.place import Place

VERSION = "1.1.0"
PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
WGS84 = "EPSG:4326"
MEDIA_TYPES = {
    ".tif": "image/tiff; application=geotiff; profile=cloud-optimized",
    ".gpkg": "application/geopackage+sqlite3",
    ".geojson": "application/geo+json",
    ".parquet": "application/vnd.apache.parquet",
    ".png": "image/png",
    ".html": "text/html",
    ".json": "application/json",
}
ROLES = {".png": "overview", ".html": "metadata", ".json": "metadata"}
"""Ending -> role of an asset; all others are data."""
EDGE_POINTS = 16
"""Of each side of a footprint: a straight side in the map's plane is curved in degrees."""


def stac_item(name: str, place: Place, *, files: Sequence[Path], times: Sequence[str], properties: Mapping[str, Any]) -> dict[str, Any]:
    """The item; where no image says when it was taken, `datetime` is that of the map, and `datetime_source` says so.

    Args:
        name: id.
        place: of the map.
        files: of the map, in the folder of the item.
        times: of the images, ISO 8601; "" or a word of order where unknown.
        properties: further ones.
    """
    geometry = footprint(place)
    known = [datetime.fromisoformat(time) for time in times if is_time(time)]
    aware = sorted(time if time.tzinfo else time.replace(tzinfo=UTC) for time in known)
    crs = CRS.from_wkt(place.georeference.crs)
    when: dict[str, Any] = {"datetime": _text(aware[-1]) if aware else _text(datetime.now(UTC))}
    if len(aware) > 1:
        when |= {"start_datetime": _text(aware[0]), "end_datetime": _text(aware[-1])}
    if not aware:
        when["datetime_source"] = "the map was made then; its images do not say when they were taken"
    code = crs.to_epsg()
    shape = [place.height, place.width]
    projection = {
        "proj:code": f"EPSG:{code}" if code else None,
        "proj:shape": shape,
        "proj:transform": [*place.georeference.transform, 0, 0, 1],
    }
    projection |= {} if code else {"proj:wkt2": crs.to_wkt(version="WKT2_2019")}
    return {
        "type": "Feature",
        "stac_version": VERSION,
        "stac_extensions": [PROJECTION],
        "id": name,
        "geometry": geometry,
        "bbox": _bbox(geometry),
        "properties": {**when, **projection, **properties},
        "links": [],
        "assets": {file.name.replace(".", "_"): _asset(file) for file in files},
    }


def footprint(place: Place) -> dict[str, Any]:
    """GeoJSON geometry of the map's outline in WGS 84, cut at the antimeridian, as RFC 7946 asks (section 3.1.9)."""
    a, b, c, d, e, f = place.georeference.transform
    steps = [index / EDGE_POINTS for index in range(EDGE_POINTS)]
    sides = [(step, 0.0) for step in steps] + [(1.0, step) for step in steps]
    sides += [(1 - step, 1.0) for step in steps] + [(0.0, 1 - step) for step in steps]
    pixels = [(x * place.width, y * place.height) for x, y in [*sides, (0.0, 0.0)]]
    ring = [[a * x + b * y + c, d * x + e * y + f] for x, y in pixels]
    outline = {"type": "Polygon", "coordinates": [ring]}
    cut: dict[str, Any] = transform_geom(place.georeference.crs, WGS84, outline, antimeridian_cutting=True)
    return cut


def _bbox(geometry: Mapping[str, Any]) -> list[float]:
    """West, south, east, north; of a geometry across the antimeridian west is greater than east (RFC 7946, section 5.2)."""
    parts = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    boxes = []
    for part in parts:
        longitudes, latitudes = [point[0] for point in part[0]], [point[1] for point in part[0]]
        boxes.append((min(longitudes), min(latitudes), max(longitudes), max(latitudes)))
    east = [box for box in boxes if box[2] > 180 - 1e-9] if len(boxes) > 1 else []
    south, north = min(box[1] for box in boxes), max(box[3] for box in boxes)
    if east:
        return [min(box[0] for box in east), south, max(box[2] for box in boxes if box not in east), north]
    return [min(box[0] for box in boxes), south, max(box[2] for box in boxes), north]


def _asset(file: Path) -> dict[str, Any]:
    kind = {"type": MEDIA_TYPES[file.suffix]} if file.suffix in MEDIA_TYPES else {}
    return {"href": f"./{file.name}", **kind, "roles": [ROLES.get(file.suffix, "data")]}


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
