"""Pictures of class maps."""

import io
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image

from eocore.scenes.pictures import NODATA_COLOUR, NONE_COLOUR, class_colour, draw_map


def test_colours_of_classes_differ() -> None:
    colours = [class_colour(number) for number in range(30)]
    assert len(set(colours)) == 30 and class_colour(0) == NONE_COLOUR and class_colour(255) == NODATA_COLOUR


def test_a_map_is_drawn_in_them(tmp_path: Path) -> None:
    classes = np.zeros((1, 700, 1100), np.uint8)
    classes[:, :, 550:] = 2
    classes[:, :100] = 255
    with rasterio.open(tmp_path / "classes.tif", "w", driver="GTiff", height=700, width=1100, count=1, dtype="uint8") as target:
        target.write(classes)
    picture = np.asarray(Image.open(io.BytesIO(draw_map(tmp_path / "classes.tif"))).convert("RGB"))
    assert max(picture.shape) <= 1024 and abs(picture.shape[1] / picture.shape[0] - 11 / 7) < 0.01
    rows, columns = picture.shape[:2]
    assert tuple(picture[rows // 2, columns // 4]) == NONE_COLOUR
    assert tuple(picture[rows // 2, 3 * columns // 4]) == class_colour(2)
    assert tuple(picture[2, columns // 2]) == NODATA_COLOUR
