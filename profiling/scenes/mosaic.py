"""A scene of any size made of the tiles of ../shared/tiles: optical and SAR on one grid, with data everywhere."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.windows import Window

FOLDERS = {"optical": "S2L2A", "sar": "S1RTC"}
"""Input -> folder of its tiles; the same name is the same place."""
SENSORS = {"optical": "sentinel2_l2a", "sar": "sentinel1_rtc"}
TILE = 224
"""Side of a tile [px]."""
REGION = 8
"""Tiles side by side that are mirror images of one tile, so that the ground goes on without a step; only regions meet at one."""
PLACE = Affine(10, 0, 500_000, 0, -10, 6_000_000)
CRS = "EPSG:32632"


def make_scene(tiles: Path, folder: Path, *, side: int) -> dict[str, Path]:
    """Input -> file of side x side px; files that are there already are kept.

    Args:
        tiles: with a folder for each input, see `FOLDERS`.
        folder: of the scene.
        side: of the scene [px].
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted(path.name for path in (tiles / FOLDERS["optical"]).glob("*.tif"))
    files = {}
    for name, sub in FOLDERS.items():
        files[name] = folder / f"{name}_{side}.tif"
        if not files[name].is_file():
            part = files[name].with_suffix(".part")
            _write(part, [_read(tiles / sub / tile) for tile in names], side=side)
            part.replace(files[name])
    return files


def strip(images: Sequence[np.ndarray], row: int, *, side: int) -> np.ndarray:
    """(C, 224, side) one row of tiles, the row-th from the north."""
    parts = []
    for column in range(-(-side // TILE)):
        image = images[(row // REGION + column // REGION) % len(images)]
        parts.append(image[:, :: -1 if row % 2 else 1, :: -1 if column % 2 else 1])
    return np.concatenate(parts, axis=2)[:, :, :side]


def _read(path: Path) -> np.ndarray:
    with rasterio.open(path) as source:
        pixels: np.ndarray = source.read()
    return pixels if pixels.dtype.kind == "i" else pixels.astype(np.float32)


def _write(path: Path, images: Sequence[np.ndarray], *, side: int) -> None:
    profile: dict[str, Any] = {"height": side, "width": side, "count": len(images[0]), "dtype": images[0].dtype}
    tiled = {"tiled": True, "blockxsize": TILE, "blockysize": TILE, "compress": "deflate", "zlevel": 1, "bigtiff": "if_safer"}
    with rasterio.open(path, "w", driver="GTiff", crs=CRS, transform=PLACE, **profile, **tiled) as target:
        for row in range(-(-side // TILE)):
            pixels = strip(images, row, side=side)
            top, height = row * TILE, min(TILE, side - row * TILE)
            target.write(pixels[:, :height], window=Window(0, top, side, height))
