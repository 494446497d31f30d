"""Masks of a table: files, rings, boxes, run lengths, none; and forms that may mean two things."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eocore.data.io.masks import decode_mask
from eocore.data.io.readers import SceneHeader
from eocore.data.records import MaskRef
from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.onboarding.masks import MaskReader
from eocore.sensors.orientation import Turn

HEADER = SceneHeader(8, 10, ("red",), "uint8")
SQUARE = np.zeros((8, 10), np.uint8)
SQUARE[2:4, 3:6] = 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.fromarray(SQUARE * 255).save(tmp_path / "one.png")
    Image.fromarray(SQUARE + 1).save(tmp_path / "classes.png")
    Image.fromarray(SQUARE * 0).save(tmp_path / "empty.png")
    return tmp_path


def read(folder: Path, cell: Any, *, boxes: Any = None, header: SceneHeader = HEADER, **more: Any) -> Any:
    return MaskReader(folder, boxes).read(cell, header, source="t.csv:2", **more)


def drawn(rle: Any) -> np.ndarray:
    return decode_mask(MaskRef("rle", rle), (8, 10), source="")


def test_a_file_of_one_object_and_a_class_of_a_map(folder: Path) -> None:
    assert (drawn(read(folder, "one.png")) == SQUARE.astype(bool)).all()
    assert (drawn(read(folder, "classes.png", value=2)) == SQUARE.astype(bool)).all()
    with pytest.raises(AnnotationError, match=r"t.csv:2: mask classes.png holds the numbers \[1, 2\].*mask_value"):
        read(folder, "classes.png")


def test_a_mask_of_a_turned_image_counts_stored_pixels(folder: Path) -> None:
    turned = SceneHeader(8, 10, ("red",), "uint8", turn=Turn(reverse_rows=True))
    assert (drawn(read(folder, "one.png", header=turned)) == SQUARE.astype(bool)).all()


def test_shapes_stay_as_they_are_whether_text_or_not(folder: Path) -> None:
    ring = [3, 2, 6, 2, 6, 4, 3, 4]
    assert read(folder, "[[3, 2, 6, 2, 6, 4, 3, 4]]") == read(folder, [ring]) == read(folder, ring) == [ring]
    counts = {"size": [8, 10], "counts": [80]}
    assert read(folder, counts) == counts
    assert read(folder, None) is None and read(folder, "null") is None


def test_four_numbers_need_a_word(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"t.csv:2: the box \[3, 2, 5, 4\] may be .*--boxes xyxy or --boxes xywh"):
        read(folder, "[3, 2, 5, 4]")
    assert read(folder, "[3, 2, 5, 4]", boxes="xyxy") == {"box": [3, 2, 5, 4]}
    assert read(folder, [3, 2, 5, 4], boxes="xywh") == {"box": [3, 2, 8, 6]}


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("empty.png", "mask empty.png is empty. Correct it, or write null"),
        ("gone.png", "no such file"),
        ("../one.png", "leads out of its folder|no such file"),
        ("POLYGON ((1 1, 2 2, 3 3))", "does not say whether it counts pixels or map units"),
        ("[1, 2", "a mask that is no JSON"),
        ("[1, 2]", "expected the path of a file, rings"),
        (5, "expected the path of a file, rings"),
        ([[50, 50, 60, 50, 60, 60]], "t.csv:2: polygon ring 0: coordinate 50; expected pixels"),
    ],
)
def test_other_forms_are_refused_with_their_line(folder: Path, cell: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(folder, cell)
