"""Masks of every kind land on the right pixels; broken ones are refused before any C code sees them."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from pycocotools import mask as coco

from eocore.data.io.masks import MAX_OUTLINE_PX, decode_mask, encode_rle, mask_to_box, resize_mask
from eocore.data.records import MaskRef
from eocore.errors import AnnotationError, DataError

SIZE = (10, 14)


def decode(kind: Any, data: Any, size: tuple[int, int] = SIZE, root: Path | None = None) -> np.ndarray:
    return decode_mask(MaskRef(kind, data), size, source="train.jsonl:7", root=root)


def block(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[top:bottom, left:right] = True
    return mask


def test_polygon_fills_its_pixels() -> None:
    mask = decode("polygon", [[2, 3, 8, 3, 8, 7, 2, 7]])
    assert mask.dtype == bool
    assert (mask == block(3, 2, 7, 8)).all()


def test_overlapping_rings_are_ored() -> None:
    mask = decode("polygon", [[0, 0, 6, 0, 6, 6, 0, 6], [4, 4, 9, 4, 9, 9, 4, 9]])
    assert (mask == (block(0, 0, 6, 6) | block(4, 4, 9, 9))).all()


def test_polygon_leaving_the_image_is_cut_at_its_edge() -> None:
    assert (decode("polygon", [[-20, -20, 4, -20, 4, 5, -20, 5]]) == block(0, 0, 5, 4)).all()


@pytest.mark.parametrize(
    ("kind", "data"),
    [("polygon", [[6.1, 4.1, 6.3, 4.1, 6.3, 4.3, 6.1, 4.3]]), ("box", [6.1, 4.1, 6.3, 4.3]), ("box", [6.0, 4.0, 6.2, 4.9])],
)
def test_a_shape_smaller_than_a_pixel_is_one_pixel(kind: str, data: Any) -> None:
    assert (decode(kind, data) == block(4, 6, 5, 7)).all()


def test_box_is_exclusive_at_the_far_edge_and_covers_centres() -> None:
    assert (decode("box", [2, 3, 8, 7]) == block(3, 2, 7, 8)).all()
    assert (decode("box", [1.6, 2.4, 8.5, 6.6]) == block(2, 2, 7, 8)).all()
    assert (decode("box", [-3, 0, 3, 40]) == block(0, 0, 10, 3)).all()


@pytest.mark.parametrize("seed", range(5))
def test_rle_round_trip_and_parity_with_pycocotools(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(1, 60, 2))
    mask = rng.random((height, width)) < rng.random()
    rle = encode_rle(mask)
    assert rle["size"] == [height, width]
    assert (coco.decode(rle).astype(bool) == mask).all()
    assert (decode("rle", rle, (height, width)) == mask).all()
    assert (decode("rle", {**rle, "counts": rle["counts"].encode()}, (height, width)) == mask).all()
    flat = np.concatenate([[False], mask.T.ravel(), [not mask.T.ravel()[-1]]])
    runs = np.diff(np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1])).tolist()
    runs[0] -= 1  # the False put in front lets the first run be of zero length, as COCO wants it
    assert (decode("rle", {"size": [height, width], "counts": runs}, (height, width)) == mask).all()


def test_rle_of_long_runs() -> None:
    mask = np.zeros((1500, 2000), bool)
    mask[700:1400, 900:1900] = True
    assert (decode("rle", encode_rle(mask), (1500, 2000)) == mask).all()


@pytest.mark.parametrize("full", [True, False])
def test_rle_of_a_single_value(full: bool) -> None:
    mask = np.full(SIZE, full)
    assert (decode("rle", encode_rle(mask)) == mask).all()


def test_mask_file_by_value_and_above_zero(tmp_path: Path) -> None:
    classes = np.zeros(SIZE, np.uint8)
    classes[1:4, 2:5], classes[6:8, 6:8] = 3, 5
    Image.fromarray(classes).save(tmp_path / "m.png")
    assert (decode("file", {"path": "m.png", "value": 5}, root=tmp_path) == block(6, 6, 8, 8)).all()
    assert (decode("file", {"path": "m.png", "value": None}, root=tmp_path) == (classes > 0)).all()


@pytest.mark.parametrize("nodata", [255, 7])
def test_pixels_without_data_are_no_object(tmp_path: Path, nodata: int) -> None:
    classes = np.zeros((1, *SIZE), np.uint8)
    classes[0, 1:4, 2:5], classes[0, 6:8] = 3, nodata
    with rasterio.open(tmp_path / "m.tif", "w", driver="GTiff", height=10, width=14, count=1, dtype="uint8", nodata=nodata) as file:
        file.write(classes)
    assert (decode("file", {"path": "m.tif"}, root=tmp_path) == block(1, 2, 4, 5)).all()
    assert (decode("file", {"path": "m.tif", "value": nodata}, root=tmp_path) == block(6, 0, 8, 14)).all()


def test_numbers_that_may_be_no_object_are_refused_without_a_value(tmp_path: Path) -> None:
    classes = np.zeros(SIZE, np.uint8)
    classes[1:4, 2:5], classes[6:8] = 3, 255
    Image.fromarray(classes).save(tmp_path / "m.png")
    with pytest.raises(
        AnnotationError, match=r"holds 255 \(28 px\), 3 \(9 px\): 255 beside other numbers .*Name the `value` of the object"
    ):
        decode("file", {"path": "m.png"}, root=tmp_path)
    assert (decode("file", {"path": "m.png", "value": 255}, root=tmp_path) == block(6, 0, 8, 14)).all()
    blurred = Image.fromarray((classes == 3).astype(np.uint8) * 255).resize((28, 20), Image.Resampling.BICUBIC).resize((14, 10))
    blurred.save(tmp_path / "blurred.png")
    with pytest.raises(AnnotationError, match="edges of a mask were blurred"):
        decode("file", {"path": "blurred.png"}, root=tmp_path)


@pytest.mark.parametrize("name", ["m.npy", "m.tif"])
def test_probabilities_are_no_mask(tmp_path: Path, name: str) -> None:
    shares = np.random.default_rng(0).random(SIZE).astype(np.float32)
    np.save(tmp_path / "m.npy", shares)
    with rasterio.open(tmp_path / "m.tif", "w", driver="GTiff", height=10, width=14, count=1, dtype="float32") as file:
        file.write(shares[None])
    for value in (None, 1):
        with pytest.raises(DataError, match=rf"{name}: holds fractions \(0\.\d+ to 0\.\d+\), but a mask .* is made of whole numbers"):
            decode("file", {"path": name, "value": value}, root=tmp_path)


def test_a_mask_of_floats_may_hold_nan(tmp_path: Path) -> None:
    classes = np.full(SIZE, np.nan, np.float32)
    classes[1:4, 2:5] = 1
    np.save(tmp_path / "m.npy", classes)
    assert (decode("file", {"path": "m.npy"}, root=tmp_path) == block(1, 2, 4, 5)).all()


def test_a_value_that_the_mask_file_does_not_hold_is_an_error_with_those_it_holds(tmp_path: Path) -> None:
    classes = np.zeros(SIZE, np.uint8)
    classes[1:4, 2:5] = 255
    Image.fromarray(classes).save(tmp_path / "m.png")
    with pytest.raises(
        AnnotationError, match=r"train\.jsonl:7: mask m\.png has no pixel of value 1; it holds 0 \(131 px\), 255 \(9 px\)\."
    ):
        decode("file", {"path": "m.png", "value": 1}, root=tmp_path)
    many = np.arange(140, dtype=np.uint8).reshape(SIZE)
    Image.fromarray(many).save(tmp_path / "many.png")
    with pytest.raises(AnnotationError, match=r"no pixel of value 200; it holds 0 \(1 px\), 1 \(1 px\), .* and 132 more"):
        decode("file", {"path": "many.png", "value": 200}, root=tmp_path)


@pytest.mark.parametrize(
    ("kind", "data"),
    [("box", [0.1, 0.2, 0.5, 0.9]), ("box", [0, 0, 1, 1]), ("polygon", [[0.1, 0.1, 0.9, 0.1, 0.9, 0.9]])],
)
def test_shapes_in_fractions_of_the_image_are_an_error(kind: str, data: Any) -> None:
    with pytest.raises(AnnotationError, match=r"no coordinate beyond 1 in an image of 10 x 14 px; they look like fractions .* Multiply x"):
        decode(kind, data)
    assert decode(kind, data, size=(1, 1)).all(), "of an image of one pixel"


def test_one_pixel_elsewhere_is_a_box() -> None:
    assert (decode("box", [1, 1, 2, 2]) == block(1, 1, 2, 2)).all()
    assert decode("box", [-3, -2, 0.6, 0.8]).sum() == 1, "an object that leaves the image"


def test_mask_file_of_another_size_names_both(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((5, 6), np.uint8)).save(tmp_path / "m.png")
    with pytest.raises(DataError, match=r"train\.jsonl:7: mask m\.png is 5 x 6 px, but its image is 10 x 14 px"):
        decode("file", {"path": "m.png"}, root=tmp_path)
    with pytest.raises(DataError, match=r"\.\./m\.png: leads out of its folder"):
        decode("file", {"path": "../m.png"}, root=tmp_path)


BAD = [
    ("polygon", [], "expected a list of rings"),
    ("polygon", [1, 2, 3, 4, 5, 6], "expected a list of rings"),
    ("polygon", [[1, 2, 3, 4]], r"polygon ring 0 has 4 numbers; expected x, y of 3 points or more"),
    ("polygon", [[0, 0, 5, 0, 5, 5], []], r"polygon ring 1 has 0 numbers"),
    ("polygon", [[0, 0, 5, 0, 5, 5, 1]], r"has 7 numbers"),
    ("polygon", [[0, 0, 1e9, 0, 5, 5]], r"coordinate 1000000000\.0; expected pixels of the 10 x 14 image, at most 56 px off"),
    ("polygon", [[0, 0, math.nan, 0, 5, 5]], "coordinate nan"),
    ("polygon", [[0, 0, -math.inf, 0, 5, 5]], "coordinate -inf"),
    ("polygon", [[0, 0, "5", 0, 5, 5]], "coordinate '5'"),
    ("polygon", [[0, 0, None, 0, 5, 5]], "coordinate None"),
    ("polygon", [[0, 0, 10**400, 0, 5, 5]], "coordinate 1000"),
    ("polygon", [[20, 20, 30, 20, 30, 30]], r"bounds \(20, 20, 30, 30\) px lies outside the 10 x 14 image; there would be nothing"),
    ("polygon", [[0, 0, 50, 0, 0, 1, 50, 1] * (MAX_OUTLINE_PX // 150)], r"polygon outline of .* px, at most 2,000,000 are drawn"),
    ("box", [1, 2, 3], r"box \[1, 2, 3\]; expected \[x0, y0, x1, y1\]"),
    ("box", [8, 3, 2, 7], r"box \[8, 3, 2, 7\] is inverted or empty"),
    ("box", [2, 3, 2, 7], "inverted or empty"),
    ("box", [2, 3, math.inf, 7], "coordinate inf"),
    ("box", [20, 20, 30, 30], "lies outside the 10 x 14 image"),
    ("rle", "abc", r"expected \{'size': \[height, width\], 'counts'"),
    ("rle", {"size": [10, 14]}, "expected {'size'"),
    ("rle", {"size": [14, 10], "counts": [140]}, r"RLE of size \[14, 10\] \(height, width\), but the image is \[10, 14\]"),
    ("rle", {"size": [100000, 100000], "counts": [10**10]}, "but the image is"),
    ("rle", {"size": [10, 14], "counts": [100]}, r"runs sum to 100 px, but 10 x 14 px are 140"),
    ("rle", {"size": [10, 14], "counts": []}, "runs sum to 0 px"),
    ("rle", {"size": [10, 14], "counts": [150, -10]}, "expected runs of 0 px or more"),
    ("rle", {"size": [10, 14], "counts": [139.5, 0.5]}, "expected runs of 0 px or more"),
    ("rle", {"size": [10, 14], "counts": 140}, "expected runs of 0 px or more"),
    ("rle", {"size": [10, 14], "counts": [2**70, 140 - 2**70]}, "expected runs of 0 px or more"),
    ("rle", {"size": [10, 14], "counts": b""}, "runs sum to 0 px"),
    ("rle", {"size": [10, 14], "counts": "5"}, "runs sum to 5 px"),
    ("rle", {"size": [10, 14], "counts": "l"}, "no packed COCO runs; cut short or damaged"),
    ("rle", {"size": [10, 14], "counts": "\x00\x01"}, "no packed COCO runs"),
    ("rle", {"size": [10, 14], "counts": "äöü"}, "no packed COCO runs"),
    ("rle", {"size": [10, 14], "counts": "oooooooooo0"}, "no packed COCO runs"),
    ("rle", {"size": [10, 14], "counts": "O"}, "give a run of -1 px"),
    ("file", "m.png", r"mask file m\.png; expected \{'path'"),
    ("file", {"path": "m.png", "value": "5"}, "mask file value 5; expected a class number or nothing"),
    ("file", {"path": "m.png", "value": [5]}, "mask file value"),
    ("scribble", [], r"unknown kind of mask 'scribble'\. Choices: polygon, rle, box, file"),
]


@pytest.mark.parametrize(("kind", "data", "message"), BAD, ids=[f"{kind}-{number}" for number, (kind, _, _) in enumerate(BAD)])
def test_broken_masks_are_refused(kind: str, data: Any, message: str) -> None:
    with pytest.raises(AnnotationError, match=f"train\\.jsonl:7: .*{message}"):
        decode(kind, data)


@pytest.mark.parametrize("size", [(100_000, 100_000), (0, 5), (-4, -4), (1, 10**12)])
@pytest.mark.parametrize(
    ("kind", "data"), [("polygon", [[0, 0, 4, 0, 4, 4]]), ("box", [0, 0, 4, 4]), ("rle", {"size": [1, 1], "counts": [1]})]
)
def test_sizes_that_an_annotation_makes_up_are_refused(kind: str, data: Any, size: tuple[int, int]) -> None:
    with pytest.raises(AnnotationError, match=r"train\.jsonl:7: a mask of .* px; expected 1 to 128,000,000 px\. Correct height and width"):
        decode(kind, data, size)


def test_every_cut_of_a_packed_rle_is_refused_or_whole() -> None:
    """No damaged string may give a mask: pycocotools would return memory it never wrote."""
    mask = np.random.default_rng(0).random((20, 20)) < 0.3
    rle = encode_rle(mask)
    for length in range(len(rle["counts"])):
        with pytest.raises(AnnotationError):
            decode("rle", {**rle, "counts": rle["counts"][:length]}, (20, 20))


def test_random_bytes_never_end_the_process() -> None:
    """In a process of its own, so that a crash in C code fails this test alone."""
    code = """
import numpy as np
from eocore.data.io.masks import decode_mask
from eocore.data.records import MaskRef
from eocore.errors import AnnotationError
rng = np.random.default_rng(0)
for _ in range(300):
    packed = rng.integers(40, 120, rng.integers(0, 40), dtype=np.uint8).tobytes()
    ring = (rng.standard_normal(2 * rng.integers(3, 9)) * 10.0 ** rng.integers(0, 12)).tolist()
    for ref in (MaskRef("rle", {"size": [9, 9], "counts": packed}), MaskRef("polygon", [ring])):
        try:
            assert decode_mask(ref, (9, 9), source="f:1").shape == (9, 9)
        except AnnotationError:
            pass
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=_environment(), check=False)
    assert result.returncode == 0, result.stderr


def _environment() -> dict[str, str]:
    return {"PYTHONPATH": str(Path(__file__).parents[4] / "projects"), "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize("array", [np.zeros((2, 3, 4), bool), np.full((3, 3), 7)])
def test_encode_refuses_what_is_no_mask(array: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"cannot encode a \(.*\) .* array as a mask; expected \(height, width\) of True and False"):
        encode_rle(array)


def test_resize_takes_the_nearest_centre() -> None:
    assert (resize_mask(block(2, 4, 8, 10), (20, 28)) == np.kron(block(2, 4, 8, 10), np.ones((2, 2), bool))).all()
    assert (resize_mask(block(2, 4, 8, 10), (5, 7)) == block(2, 4, 8, 10)[1::2, 1::2]).all()


def test_box_around_a_mask() -> None:
    assert mask_to_box(block(3, 2, 7, 8)) == (2, 3, 8, 7)
    assert mask_to_box(np.zeros(SIZE, bool)) is None
    assert (decode("box", mask_to_box(block(9, 13, 10, 14))) == block(9, 13, 10, 14)).all()
