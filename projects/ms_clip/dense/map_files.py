"""Similarity maps as files: a figure to look at, and a GeoTIFF to lay over a map."""

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from affine import Affine
from rasterio.io import MemoryFile

from eocore.evaluate.reporting.plots import make_figure, to_png
from eocore.files import write_file
from eocore.log import get_logger
from eocore.sensors.display import display_image
from eocore.sensors.scene import Scene

OPACITY = 0.5
PANEL = 3.2
"""Side of a panel [inches]."""
MAX_COLUMNS = 5
TITLE_WIDTH = 40
"""Characters of a line above a panel."""


def draw_maps(scene: Scene, maps: np.ndarray, *, queries: Sequence[str]) -> bytes:
    """PNG: the image, then for each query the image with its map over it; each map has its own colour scale, written beside it.

    Args:
        scene: the image.
        maps: (Q, H, W) cosines, NaN where there is no data.
        queries: Q texts.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    picture, columns = display_image(scene), min(1 + len(queries), MAX_COLUMNS)
    rows = math.ceil((1 + len(queries)) / columns)
    figure = make_figure(width=PANEL * columns, height=PANEL * rows)
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for axis in axes:
        axis.set_axis_off()
    axes[0].imshow(picture)
    axes[0].set_title(Path(scene.path).name or "image", fontsize=8)
    for axis, layer, query in zip(axes[1:], maps, queries, strict=False):  # panels of the last row may stay empty
        axis.imshow(picture)
        drawn = axis.imshow(np.ma.masked_invalid(layer), cmap="viridis", alpha=OPACITY)
        axis.set_title("\n".join(textwrap.wrap(query, TITLE_WIDTH)), fontsize=8)
        bar = figure.colorbar(drawn, ax=axis, fraction=0.046, pad=0.02)
        bar.set_label("cosine", fontsize=6)
        bar.ax.tick_params(labelsize=6)
    return to_png(figure)


def write_map_tif(path: Path, scene: Scene, *, maps: np.ndarray, queries: Sequence[str]) -> bool:
    """Writes the maps as a GeoTIFF with a float32 layer for each query, named after it, NaN where there is no data.

    Args:
        path: of the file.
        scene: on whose grid the maps lie.
        maps: (Q, H, W) cosines.
        queries: Q texts.

    Returns:
        Whether it was written: not for a scene of which it is not known where its pixels lie, which is logged.
    """
    place = scene.georeference
    if place is None or not place.is_exact:
        why = "says not where its pixels lie" if place is None else f"lies at tie points, up to {place.misfit_px:.1f} px off any grid"
        get_logger().warning("%s %s: its maps are written as PNG, none as GeoTIFF", scene.path, why)
        return False
    profile = {"count": len(maps), "height": maps.shape[1], "width": maps.shape[2], "dtype": "float32", "compress": "deflate"}
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", crs=place.crs or None, transform=Affine(*place.transform), nodata=np.nan, **profile) as target:
            target.write(maps.astype(np.float32))
            for number, query in enumerate(queries, start=1):
                target.set_band_description(number, query)
        write_file(path, memory.read())
    return True
