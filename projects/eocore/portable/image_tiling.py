"""Dynamic tiling: an image of any shape becomes 1..max_tiles square tiles and a thumbnail.

The rule is InternVL 1.5's (arXiv 2404.16821, section 3.3): the grid whose aspect ratio is nearest to the image's wins;
of two equally near grids the larger one wins if the image has more than half of its pixels.
"""

import numpy as np
from PIL import Image


def tile_grid(height: int, width: int, *, tile_size: int, min_tiles: int = 1, max_tiles: int = 12) -> tuple[int, int]:
    """(rows, columns) of the grid an image of (height, width) px is cut into.

    Raises:
        ValueError: the size or the limits are not positive.
    """
    if min(height, width, tile_size, min_tiles) < 1 or max_tiles < min_tiles:
        raise ValueError(f"cannot tile {height} x {width} px into {min_tiles}..{max_tiles} tiles of {tile_size} px: all must be positive.")
    grids = sorted(
        {
            (rows, columns)
            for rows in range(1, max_tiles + 1)
            for columns in range(1, max_tiles + 1)
            if min_tiles <= rows * columns <= max_tiles
        },
        key=lambda grid: (grid[0] * grid[1], grid[1]),
    )
    aspect = width / height
    best, best_distance = (1, 1), float("inf")
    for rows, columns in grids:
        distance = abs(aspect - columns / rows)
        enough_pixels = height * width > 0.5 * tile_size**2 * rows * columns
        if distance < best_distance or (distance == best_distance and enough_pixels):
            best, best_distance = (rows, columns), distance
    return best


def resize(image: np.ndarray, size: tuple[int, int], *, resample: Image.Resampling = Image.Resampling.BICUBIC) -> np.ndarray:
    """(C, H, W) uint8 resampled to `size` (height, width) with Pillow, layer by layer (three layers go as one RGB image)."""
    if image.shape[1:] == size:
        return image
    height, width = size
    if image.shape[0] == 3:
        pixels = image.transpose(1, 2, 0)
        # layers that lie one after the other are put together by Pillow, many times as fast as by numpy
        picture = Image.fromarray(pixels) if pixels.flags.c_contiguous else Image.merge("RGB", [_picture(layer) for layer in image])
        return np.asarray(picture.resize((width, height), resample)).transpose(2, 0, 1)
    return np.stack([np.asarray(_picture(layer).resize((width, height), resample)) for layer in image])


def _picture(layer: np.ndarray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(layer))


def cut_tiles(image: np.ndarray, grid: tuple[int, int], *, tile_size: int, use_thumbnail: bool) -> np.ndarray:
    """Tiles of one image, row by row, then the thumbnail if there is more than one tile.

    Args:
        image: (C, H, W) uint8.
        grid: (rows, columns) from `tile_grid`.

    Returns:
        (positions, C, tile_size, tile_size) uint8; positions = rows * columns (+ 1).
    """
    rows, columns = grid
    channels = image.shape[0]
    scaled = resize(image, (rows * tile_size, columns * tile_size))
    tiles = scaled.reshape(channels, rows, tile_size, columns, tile_size).transpose(1, 3, 0, 2, 4)
    tiles = tiles.reshape(rows * columns, channels, tile_size, tile_size)
    if use_thumbnail and rows * columns > 1:
        tiles = np.concatenate([tiles, resize(image, (tile_size, tile_size))[None]])
    return tiles
