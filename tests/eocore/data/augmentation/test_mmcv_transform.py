"""Transforms of mmcv through the adapter: the same for all sensors, with masks and words, and no trace in global random numbers."""

import random
from dataclasses import replace

import numpy as np
import pytest
from augmented_samples import optical, picture, radar, record_of

from eocore.data.augmentation.mmcv_transform import ApplyMmcv, MmcvTransform
from eocore.data.changes import change_headers, change_scenes
from eocore.data.io.masks import decode_scene_mask
from eocore.data.io.readers import header_as_read
from eocore.data.records import MaskRef, Record
from eocore.errors import ConfigError

pytest.importorskip("mmcv", reason="needs the extra mmcv")
FLIP = {"type": "RandomFlip", "prob": [0.3, 0.3, 0.3], "direction": ["horizontal", "vertical", "diagonal"]}
RESIZE = {"type": "RandomResize", "scale": (48, 48), "ratio_range": (0.5, 2.0), "keep_ratio": True}
GREY = {"type": "RandomGrayscale", "prob": 0.5}
MIXED = {
    "type": "Compose",
    "transforms": [{"type": "RandomChoice", "transforms": [[GREY, FLIP], [RESIZE]]}, FLIP],
}
ASKED = ("<image>\nWhere is the lake?", "north-west")
BOX = MaskRef("box", [2, 3, 20, 9])


def draws(config: dict, count: int = 40, record: Record | None = None) -> list[Record]:
    transform = MmcvTransform(transform=config)
    return [transform(record or record_of(*ASKED), np.random.default_rng(seed)) for seed in range(count)]


def change_of(record: Record) -> ApplyMmcv:
    change = record.augmentation.changes[0]
    assert isinstance(change, ApplyMmcv)
    return change


@pytest.mark.parametrize("config", [FLIP, RESIZE, GREY, MIXED], ids=["flip", "resize", "grey", "mixed"])
def test_images_headers_and_masks_of_all_sensors_agree(config: dict) -> None:
    for draw in draws(config, 12):
        scenes = (optical(), radar(), picture())
        changed = change_scenes(scenes, draw.augmentation.changes)
        headers = change_headers(map(header_as_read, scenes), draw.augmentation.changes)
        assert len({scene.size for scene in changed}) == 1
        for scene, header in zip(changed, headers, strict=True):
            assert header.size == scene.size == scene.pixels.shape[1:] and header.grid_changes == scene.grid_changes
        marked = replace(
            radar(), pixels=np.where(decode_scene_mask(BOX, radar(), source="x"), 0.0, -20.0)[None].repeat(2, 0).astype(np.float32)
        )
        moved = change_of(draw).scene(marked)
        agree = (moved.pixels[0] > -3.0) == decode_scene_mask(BOX, moved, source="x")
        assert agree.mean() > 0.97
        if moved.size == (48, 48):
            assert agree.all()


def test_words_follow_flips_of_any_depth() -> None:
    for config in (FLIP, MIXED):
        answers = set()
        for draw in draws(config):
            turn, _ = change_of(draw).geometry((48, 48))
            expected = f"{'south' if turn.reverse_rows else 'north'}-{'east' if turn.reverse_cols else 'west'}"
            assert draw.turns[1].text == expected
            answers.add(expected)
        assert len(answers) == 4


def test_records_with_unsafe_words_keep_their_orientation_and_are_counted() -> None:
    record = record_of("<image>\nIs this West Street?", "yes")
    drawn = draws(FLIP, 40, record)
    assert {bool(draw.augmentation.kept) for draw in drawn} == {True, False}
    for draw in drawn:
        assert draw.turns == record.turns
        if not draw.augmentation.kept:
            assert not change_of(draw).geometry((48, 48))[0]
    assert "may be a name" in MmcvTransform(transform=FLIP).unsafe_words(record)
    assert "counts pixels" in MmcvTransform(transform=RESIZE).unsafe_words(record_of("<image>\nHow many pixels?", "3"))


def test_grey_is_for_colour_pictures_and_draws_the_same_for_all() -> None:
    kinds = set()
    for draw in draws({"type": "Compose", "transforms": [GREY, FLIP]}, 24):
        colour, bands = change_of(draw).scene(picture()), change_of(draw).scene(optical())
        kinds.add(bool((colour.pixels[0] == colour.pixels[1]).all() and (colour.pixels[1] == colour.pixels[2]).all()))
        turn, _ = change_of(draw).geometry((48, 48))
        np.testing.assert_array_equal(bands.pixels, turn.apply(optical().pixels))
        assert colour.pixels.shape == (3, 48, 48)
    assert kinds == {True, False}


def test_backscatter_is_resampled_as_power_and_gsd_follows() -> None:
    half = MmcvTransform(transform={"type": "Resize", "scale": (24, 24)})(record_of(*ASKED), np.random.default_rng(0))
    small = change_of(half).scene(radar())
    assert small.size == (24, 24) and small.gsd_m == pytest.approx(20)
    np.testing.assert_allclose((10 ** (small.pixels / 10)).mean(), (10 ** (radar().pixels / 10)).mean(), rtol=0.05)
    pixels = optical().pixels.copy()
    pixels[:, :10] = np.nan
    assert np.isnan(change_of(half).scene(replace(optical(), pixels=pixels)).pixels[:, :5]).all()


def test_draws_repeat_and_leave_global_random_numbers_alone() -> None:
    random.seed(3)
    np.random.seed(3)
    expected = random.random(), np.random.rand()
    random.seed(3)
    np.random.seed(3)
    first, again = draws(MIXED, 8), draws(MIXED, 8)
    for one, other in zip(first, again, strict=True):
        assert one.turns == other.turns
        np.testing.assert_array_equal(change_of(one).scene(picture()).pixels, change_of(other).scene(picture()).pixels)
    assert (random.random(), np.random.rand()) == expected


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ({"type": "Pad", "size": (2, 2)}, "transform names 'Pad', of which it is not known"),
        ({"type": "Compose", "transforms": [{"type": "LoadImageFromFile"}]}, "names 'LoadImageFromFile'"),
        ({"type": "RandomFlip", "chance": 0.5}, "mmcv cannot build .*chance"),
    ],
)
def test_other_and_wrong_transforms_are_refused(config: dict, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        MmcvTransform(transform=config)
