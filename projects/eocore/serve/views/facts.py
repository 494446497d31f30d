"""What is known of an image without looking at its pixels, in words."""

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rasterio.crs import CRS

from eocore.serve.views.raster import RasterImage

MOST_BANDS = 16
DATE = re.compile(r"(?<!\d)((?:19|20)\d{2})[-_]?(\d{2})[-_]?(\d{2})(?!\d)")


def facts(raster: RasterImage, *, names: Sequence[str]) -> list[tuple[str, str]]:
    """(label, value) of sensor, bands, size, ground, CRS and date.

    Args:
        raster: the image.
        names: of the file as it was sent and of its product, in which a date may stand.
    """
    height, width = raster.header.size
    bands = raster.header.bands
    listed = ", ".join(bands[:MOST_BANDS]) + (f" and {len(bands) - MOST_BANDS} more" if len(bands) > MOST_BANDS else "")
    found = [("Sensor", raster.ref.sensor), ("Bands", f"{len(bands)}: {listed}"), ("Size", f"{width:,} x {height:,} px")]
    pixel_m = raster.gsd_m
    if pixel_m == pixel_m:
        found.append(("Pixel", f"{pixel_m:.3g} m, {width * pixel_m / 1000:.3g} x {height * pixel_m / 1000:.3g} km"))
    found.append(("CRS", crs_name(raster)))
    return [*found, ("Date", next(filter(None, map(date_in, names)), "not given"))]


def crs_name(raster: RasterImage) -> str:
    """Name of the coordinate system, and its EPSG code where it has one."""
    georeference = raster.georeference
    if georeference is None:
        return "not georeferenced"
    if not georeference.crs:
        return "a grid without a CRS"
    crs = CRS.from_wkt(georeference.crs)
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else georeference.crs.split('"')[1][:60]


def date_in(text: str) -> str:
    """The first date in a name, "YYYY-MM-DD"; "" without one."""
    for year, month, day in DATE.findall(Path(text).name):
        try:
            return datetime(int(year), int(month), int(day)).date().isoformat()
        except ValueError:
            continue
    return ""
