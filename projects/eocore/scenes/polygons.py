"""Classes of a map as polygons: outlines, simplified together so that neighbours keep touching, with areas and mean scores."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
import shapely
from rasterio.features import rasterize, shapes
from rasterio.windows import Window as RasterWindow

from eocore.errors import ConfigError
from eocore.files import TEMPORARY, writing
from eocore.scenes.blending import BLOCK
from eocore.scenes.decisions import NODATA, NONE_OF_THEM
from eocore.scenes.windows import blocks

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

FORMATS = {"gpkg": "GPKG", "geojson": "GeoJSON", "parquet": ""}
"""Ending of a file of polygons -> its GDAL driver; geopandas writes GeoParquet itself."""
EQUAL_AREA = "EPSG:6933"
"""In which areas of geographic coordinates are measured: WGS 84 / NSIDC EASE-Grid 2.0 Global, cylindrical, of equal area."""


@dataclass(frozen=True, kw_only=True)
class PolygonOptions:
    """Which polygons are made.

    Attributes:
        min_area_px: smaller ones are left out, and counted [px].
        simplify_px: details up to this size are taken off outlines [px]; 0 = outlines of pixels.

    Raises:
        ConfigError: a number below 0.
    """

    min_area_px: float = 0.0
    simplify_px: float = 1.0

    def __post_init__(self) -> None:
        if min(self.min_area_px, self.simplify_px) < 0:
            raise ConfigError(
                f"polygons of at least {self.min_area_px} px simplified by {self.simplify_px} px: expected 0 or more. "
                "Correct --min-area or --simplify."
            )


def require_geopandas() -> None:
    """Raise ConfigError where the library of polygons is not installed, before a map is computed that could not be written."""
    if importlib.util.find_spec("geopandas") is None or importlib.util.find_spec("pyogrio") is None:
        raise ConfigError(
            "polygons need geopandas and pyogrio, which are not installed. Install the extra: pip install 'eocore-earthmind[scenes]', or "
            "write rasters alone (--format without a name)."
        )


def class_polygons(
    classes: Path, values: Path, *, names: Sequence[str], options: PolygonOptions | None = None
) -> "tuple[GeoDataFrame, int]":
    """Polygons of the classes of a map, and how many were too small.

    Columns: `class_id` and `label`; `area_m2`, of the map's plane where its CRS is projected, else on an equal-area projection; `score`,
    the mean of the class's layer of `values` over the pixels of the polygon, before it was simplified.

    Args:
        classes: raster of class numbers, see `Decision.classes`.
        values: raster on the same grid with a layer for each class.
        names: of the classes, the first is number 1.
        options: None = the defaults.
    """
    import geopandas

    options = options or PolygonOptions()
    with rasterio.open(classes) as source:
        transform, crs = source.transform, source.crs
        pixel_area = abs(transform.determinant)
        found = [(shapely.geometry.shape(outline), int(number)) for outline, number in shapes(rasterio.band(source, 1), transform=transform)
                 if int(number) not in (NONE_OF_THEM, NODATA)]  # fmt: skip
    kept = [(polygon, number) for polygon, number in found if polygon.area >= options.min_area_px * pixel_area]
    outlines = np.array([polygon for polygon, _ in kept], dtype=object)
    numbers = np.array([number for _, number in kept], dtype=np.uint8)
    scores = _mean_scores(values, outlines, numbers=numbers)
    simple = _simplified(outlines, tolerance=options.simplify_px * float(np.sqrt(pixel_area)))
    labels = [names[number - 1] for number in numbers]
    frame = geopandas.GeoDataFrame({"class_id": numbers, "label": labels, "score": scores}, geometry=list(simple), crs=crs)
    frame.insert(2, "area_m2", areas_m2(frame))
    return frame, len(found) - len(kept)


def check_formats(formats: Sequence[str]) -> None:
    """Raise ConfigError if polygons cannot be written in a format."""
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise ConfigError(f"--format {', '.join(unknown)}: choices are {', '.join(FORMATS)}.")


def write_polygons(frame: "GeoDataFrame", folder: Path, *, formats: Sequence[str], layer: str = "polygons") -> list[Path]:
    """Writes LAYER.<format> for each format; GeoJSON is in WGS 84 and cut at the antimeridian, as RFC 7946 asks.

    Args:
        frame: from `class_polygons`.
        folder: where they go.
        formats: of FORMATS.
        layer: name of the files, and of the layer in a GeoPackage.

    Raises:
        OutputError: a file cannot be written.
    """
    written = []
    for ending in formats:
        path = folder / f"{layer}.{ending}"
        part = path.with_name(f"{layer}{TEMPORARY}.{ending}")
        with writing(path, "the polygons"):
            folder.mkdir(parents=True, exist_ok=True)
            if ending == "parquet":
                frame.to_parquet(part, index=False)
            else:
                part.unlink(missing_ok=True)
                extra: dict[str, Any] = {"RFC7946": "YES"} if ending == "geojson" else {}
                frame.to_file(part, driver=FORMATS[ending], engine="pyogrio", layer=layer, **extra)
            part.replace(path)
        written.append(path)
    return written


def _simplified(outlines: np.ndarray, *, tolerance: float) -> np.ndarray:
    """(P,) valid polygons; one that would vanish or break stays as it is.

    Visvalingam's algorithm for all at once, by which neighbours keep their common border, and holes what lies in them. Source: GEOS,
    CoverageSimplifier.
    """
    if not tolerance or not len(outlines):
        return outlines
    simple = shapely.coverage_simplify(outlines, tolerance)
    broken = ~shapely.is_valid(simple) | shapely.is_empty(simple)
    result: np.ndarray = np.where(broken, outlines, simple)
    return result


def _mean_scores(values: Path, outlines: np.ndarray, *, numbers: np.ndarray) -> np.ndarray:
    """(P,) float64 mean of each polygon's layer over its pixels, a block of the raster at a time."""
    sums, counts = np.zeros(len(outlines)), np.zeros(len(outlines))
    tree = shapely.STRtree(outlines)
    with rasterio.open(values) as source:
        for row, col, height, width in blocks(source.height, source.width, side=BLOCK):
            window = RasterWindow(col, row, width, height)
            transform = source.window_transform(window)
            near = tree.query(shapely.Polygon([transform @ corner for corner in ((0, 0), (width, 0), (width, height), (0, height))]))
            if not len(near):
                continue
            owner = rasterize(
                ((outlines[index], index + 1) for index in near), out_shape=(height, width), transform=transform, dtype=np.int32
            )
            pixels = source.read(window=window)
            layer = np.concatenate([[0], numbers]).astype(np.int64)[owner] - 1
            rows, columns = np.nonzero(owner)
            found = pixels[layer[rows, columns], rows, columns].astype(np.float64)
            sums += np.bincount(owner[rows, columns] - 1, weights=found, minlength=len(outlines))
            counts += np.bincount(owner[rows, columns] - 1, minlength=len(outlines))
    return np.divide(sums, counts, out=np.full(len(outlines), np.nan), where=counts > 0)


def areas_m2(frame: "GeoDataFrame") -> np.ndarray:
    """(P,) float64 [m2] of the polygons: of the map's plane where the CRS is projected, else on EQUAL_AREA; NaN without a CRS."""
    if frame.crs is None or not len(frame):
        return np.full(len(frame), np.nan)
    if frame.crs.is_geographic:
        return np.asarray(frame.geometry.to_crs(EQUAL_AREA).area)
    return np.asarray(frame.geometry.area) * float(frame.crs.axis_info[0].unit_conversion_factor) ** 2
