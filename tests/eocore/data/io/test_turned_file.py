"""Rasters whose rows do not run south: scenes with north up, windows, masks of every kind, class maps, written masks."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image

from eocore.data.io.masks import decode_scene_mask, encode_rle
from eocore.data.io.readers import image_size, read_class_map, read_scene, scene_header
from eocore.data.records import ImageRef, MaskRef
from eocore.predict.answers import Prediction, write_prediction
from eocore.sensors.orientation import Turn, stored_transform

NORTH_UP = Affine(10, 0, 500_000, 0, -10, 5_600_000)
TURNS = {"south-up": Turn(reverse_rows=True), "mirrored": Turn(reverse_cols=True), "on its side": Turn(True, True, False)}
PIXELS = np.arange(1, 25, dtype=np.uint8).reshape(4, 6) * 10
"""With north up."""
REF = ImageRef("rgb", "grey_uint8", ("a.tif",))


def write(path: Path, turn: Turn, *, pixels: np.ndarray = PIXELS, crs: str | None = "EPSG:32632", **profile: object) -> None:
    stored = np.ascontiguousarray(turn.undo(pixels))
    height, width = stored.shape
    place = {"crs": crs, "transform": stored_transform(NORTH_UP, pixels.shape, turn=turn)}
    with rasterio.open(path, "w", driver="GTiff", count=1, height=height, width=width, dtype="uint8", **place, **profile) as file:
        file.write(stored[None])


@pytest.fixture(params=TURNS.values(), ids=TURNS)
def turn(request: pytest.FixtureRequest, tmp_path: Path) -> Turn:
    write(tmp_path / "a.tif", request.param)
    return request.param


def test_scenes_have_north_up(turn: Turn, tmp_path: Path) -> None:
    scene = read_scene(REF, root=tmp_path)
    assert (scene.pixels[0] == PIXELS).all() and scene.turn == turn
    assert scene.georeference is not None and scene.georeference.transform == pytest.approx(NORTH_UP[:6])
    header = scene_header(REF, root=tmp_path)
    assert (header.height, header.width) == image_size(REF, root=tmp_path) == scene.size and header.turn == turn
    assert (read_class_map("a.tif", root=tmp_path) == PIXELS).all()


def test_windows_count_stored_pixels(turn: Turn, tmp_path: Path) -> None:
    window = (1, 0, 2, 3)
    part = read_scene(ImageRef("rgb", "grey_uint8", ("a.tif",), window=window), root=tmp_path)
    assert (part.pixels[0] == turn.apply(turn.undo(PIXELS)[1:3, 0:3])).all()
    assert part.georeference is not None
    row, col = np.argwhere(part.pixels[0, 0, 0] == PIXELS)[0]
    corner = NORTH_UP @ (col, row)
    assert part.georeference.transform[2::3] == pytest.approx(corner)


def test_masks_of_annotations_are_turned_with_their_image(turn: Turn, tmp_path: Path) -> None:
    mask = PIXELS > 190  # in the south-east
    stored = turn.undo(mask)
    rows, cols = np.nonzero(turn.undo(PIXELS == 240))
    write(tmp_path / "mask.tif", turn, pixels=mask.astype(np.uint8))
    Image.fromarray(np.ascontiguousarray(stored).astype(np.uint8) * 255).save(tmp_path / "mask.png")
    scene = read_scene(REF, root=tmp_path)
    box = [int(cols[0]), int(rows[0]), int(cols[0]) + 1.5, int(rows[0]) + 1.5]
    refs = [
        MaskRef("rle", encode_rle(np.ascontiguousarray(stored))),
        MaskRef("file", {"path": str(tmp_path / "mask.png"), "value": 255}),
        MaskRef("file", {"path": str(tmp_path / "mask.tif"), "value": 1}),
    ]
    for ref in refs:
        for shown in (scene, scene_header(REF, root=tmp_path)):
            assert (decode_scene_mask(ref, shown, source="x:1") == mask).all()
    assert decode_scene_mask(MaskRef("box", box), scene, source="x:1")[3, 5], "the south-easternmost pixel"


def test_masks_of_answers_lie_on_the_grid_of_the_file(turn: Turn, tmp_path: Path) -> None:
    scene = read_scene(REF, root=tmp_path)
    mask = PIXELS > 190
    write_prediction(Prediction("[SEG]", mask[None], "rgb", {"rgb": scene}), tmp_path / "out")
    with rasterio.open(tmp_path / "a.tif") as image, rasterio.open(tmp_path / "out/mask.tif") as written:
        assert written.transform.almost_equals(image.transform) and written.crs == image.crs
        assert ((written.read(1) == 1) == (image.read(1) > 190)).all()
    stored = turn.undo(PIXELS)
    assert ((np.asarray(Image.open(tmp_path / "out/mask.png")) > 0) == (stored > 190)).all()
    assert np.asarray(Image.open(tmp_path / "out/overlay.png")).shape == (*stored.shape, 3)
    assert "north is up" in json.loads((tmp_path / "out/answer.json").read_text())["images"]["rgb"]["turned"]


def test_a_grid_without_crs_says_nothing_of_north(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", TURNS["south-up"], crs=None)
    scene = read_scene(REF, root=tmp_path)
    assert not scene.turn and (scene.pixels[0] == PIXELS[::-1]).all()


def test_nodata_is_turned_too(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", TURNS["on its side"], nodata=240)
    scene = read_scene(REF, root=tmp_path)
    assert np.isnan(scene.pixels[0, 3, 5]) and np.isnan(scene.pixels).sum() == 1
