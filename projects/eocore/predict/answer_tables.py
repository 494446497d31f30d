"""Answers to many items as tables: CSV for spreadsheets, GeoJSON for maps."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import rasterio
from rasterio.features import shapes
from rasterio.warp import transform_geom

from eocore.files import write_file

LONGITUDE_LATITUDE = "EPSG:4326"
"""The one coordinate system of GeoJSON. Source: RFC 7946, section 4."""
DECIMALS = 7
"""Of degrees: a centimetre."""
COLUMNS = ("id", "question", "answer", "error", "images", "sensors", "masks", "mask_pixels")

Line = Mapping[str, Any]


def write_csv(path: Path, lines: Sequence[Line], *, question: str) -> None:
    """A row an item; several images, masks or numbers of one item are parted by "; ".

    Args:
        path: to write.
        lines: of the answer log.
        question: of the items that have none of their own.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for line in lines:
        masks = line.get("masks", [])
        writer.writerow(
            (
                line["id"],
                line["asked"] or question,
                line.get("answer", ""),
                line.get("error", ""),
                "; ".join(file[0] for files in line["files"].values() for file in files),
                "; ".join(f"{role}={sensor}" for role, sensor in line.get("sensors", {}).items()),
                "; ".join(mask["files"][0] for mask in masks),
                "; ".join(str(mask["pixels"]) for mask in masks),
            )
        )
    write_file(path, text.getvalue())


def write_geojson(path: Path, lines: Sequence[Line], *, question: str) -> None:
    """A feature for each mask, and one for each item without masks: the outline of the image. Without a georeference there is no geometry.

    Args:
        path: to write, beside the folder of the masks.
        lines: of the answer log.
        question: of the items that have none of their own.
    """
    features = [feature for line in lines for feature in _features(line, path.parent, question=question)]
    write_file(path, json.dumps({"type": "FeatureCollection", "features": features}) + "\n")


def _features(line: Line, folder: Path, *, question: str) -> list[dict[str, Any]]:
    about = {"id": line["id"], "question": line["asked"] or question}
    about |= {name: line[name] for name in ("answer", "error") if name in line}
    masks = line.get("masks", [])
    if not masks:
        ring = line.get("footprint")
        outline = {"type": "Polygon", "coordinates": [[[round(value, DECIMALS) for value in point] for point in ring]]} if ring else None
        return [{"type": "Feature", "geometry": outline, "properties": about}]
    return [
        {
            "type": "Feature",
            "geometry": _outline(folder, mask["files"]),
            "properties": {**about, "mask": mask["files"][0], "pixels": mask["pixels"]},
        }
        for mask in masks
    ]


def _outline(folder: Path, files: Sequence[str]) -> dict[str, Any] | None:
    """The parts of a mask, in longitude and latitude; None for one without a place, or without a pixel."""
    rasters = [name for name in files if name.endswith(".tif")]
    if not rasters:
        return None
    with rasterio.open(folder / rasters[0]) as file:
        mask, crs, grid = file.read(1), file.crs, file.transform
    if crs is None:
        return None
    parts = [transform_geom(crs, LONGITUDE_LATITUDE, part, precision=DECIMALS) for part, _ in shapes(mask, mask=mask > 0, transform=grid)]
    return {"type": "MultiPolygon", "coordinates": [part["coordinates"] for part in parts]} if parts else None
