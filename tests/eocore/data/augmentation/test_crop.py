"""Crops keep images, masks and words together, and are not made where words would become wrong."""

from dataclasses import replace

import numpy as np
import pytest
from augmented_samples import optical, radar, record_of

from eocore.data.augmentation.crop import CutScenes, RandomCrop
from eocore.data.changes import change_headers, change_scenes, with_headers
from eocore.data.io.masks import decode_scene_mask
from eocore.data.io.readers import SceneHeader, header_as_read
from eocore.data.records import Expression, MaskRef, Record
from eocore.errors import ConfigError

NORTH, SOUTH = MaskRef("box", [20, 4, 28, 10]), MaskRef("box", [18, 40, 30, 46])


@pytest.mark.parametrize("phrase", ["forest", "lake", "harvest of the field"])
def test_a_phrase_that_only_ends_like_a_rank_is_cropped(phrase: str) -> None:
    record = record_of(f"<image>\nSegment the {phrase}.", "[SEG]", masks=(NORTH,))
    assert any(draw.augmentation.changes and window(draw)[0] > 4 for draw in draws(record, 200, least_visible=0.3))


def draws(record: Record, count: int = 60, **options: object) -> list[Record]:
    transform = RandomCrop(**{"side": (0.5, 0.9), **options})  # type: ignore[arg-type]
    return [transform(record, np.random.default_rng(seed)) for seed in range(count)]


def window(record: Record) -> tuple[int, int, int, int]:
    change = record.augmentation.changes[0]
    assert isinstance(change, CutScenes)
    return change.window_of((48, 48))


def test_images_headers_and_masks_show_the_same_part() -> None:
    record = record_of("<image>\nSegment the lake.", "[SEG]", masks=(NORTH,))
    cropped = next(draw for draw in draws(record) if draw.augmentation.changes)
    row, col, height, width = window(cropped)
    scenes = (optical(), radar())
    before = decode_scene_mask(NORTH, scenes[0], source="x")
    for scene, after in zip(scenes, change_scenes(scenes, cropped.augmentation.changes), strict=True):
        np.testing.assert_array_equal(after.pixels, scene.pixels[:, row : row + height, col : col + width])
        np.testing.assert_array_equal(decode_scene_mask(NORTH, after, source="x"), before[row : row + height, col : col + width])
        assert after.georeference is not None and after.gsd_m == 10.0
        assert after.georeference.transform[2] == 500_000 + 10 * col and after.georeference.transform[5] == 5_400_000 - 10 * row
        header = change_headers([header_as_read(scene)], cropped.augmentation.changes)[0]
        assert header.size == after.size == (height, width) and header.grid_changes == after.grid_changes


def test_sensors_of_other_pixels_are_cut_along_common_edges() -> None:
    def header_of(ref: object) -> SceneHeader:
        side = 96 if getattr(ref, "role", "") == "multispectral" else 48
        return SceneHeader(side, side, ("a",), "uint8")

    record = with_headers(record_of("<image>\nSegment the lake.", "[SEG]", masks=(NORTH,)), header_of)
    changes = [draw.augmentation.changes[0] for draw in draws(record) if draw.augmentation.changes]
    assert len(changes) > 20
    for change in changes:
        assert isinstance(change, CutScenes)
        assert change.window_of((96, 96)) == tuple(2 * edge for edge in change.window_of((48, 48)))
    uneven = with_headers(record, lambda ref: SceneHeader(47 + (ref.role == "sar"), 48, ("a",), "uint8"))
    assert draws(uneven, 1)[0].augmentation.kept == ("RandomCrop: the images have no common pixel edges to cut along",)


def test_enough_of_every_mask_stays_inside() -> None:
    record = record_of("<image>\nSegment it.", "[SEG]", "And this?", "[SEG]", masks=(NORTH, SOUTH))
    cropped = [draw for draw in draws(record, least_visible=0.8, side=(0.8, 1.0)) if draw.augmentation.changes]
    assert len(cropped) > 10
    for draw in cropped:
        row, col, height, width = window(draw)
        for mask in (NORTH, SOUTH):
            whole = decode_scene_mask(mask, radar(), source="x")
            assert whole[row : row + height, col : col + width].sum() >= 0.8 * whole.sum()


def test_directions_in_words_are_true_of_the_crop_and_its_middle_did_not_move_away() -> None:
    record = record_of("<image>\nSegment the lake in the north.", "[SEG] lake in the north", masks=(NORTH,))
    cropped = [window(draw) for draw in draws(record, 200) if draw.augmentation.changes]
    assert len(cropped) > 20
    for row, _, height, _ in cropped:
        assert (7 - row) / height < 0.4 and row + height / 2 <= 24
    wrong = record_of("<image>\nSegment the lake in the south.", "[SEG]", masks=(NORTH,))
    kept = {draw.augmentation.kept for draw in draws(wrong, least_visible=0.0)}
    assert kept == {("RandomCrop: 'south' would not be true of the crop",)}


def test_the_place_of_an_expression_is_left_out_where_it_would_be_wrong() -> None:
    record = replace(record_of(), expressions=(Expression("lake", NORTH, "north"),))
    places = {draw.expressions[0].place for draw in draws(record, 200, side=(0.3, 0.9)) if draw.augmentation.changes}
    assert places == {"north", ""}


def test_the_largest_must_be_whole_and_other_ranks_prevent_a_crop() -> None:
    largest = record_of("<image>\nSegment the largest lake.", "[SEG]", masks=(NORTH,))
    for draw in draws(largest, least_visible=0.3):
        if draw.augmentation.changes:
            row, col, height, width = window(draw)
            assert row <= 4 and row + height >= 10 and col <= 20 and col + width >= 28
    second = record_of("<image>\nSegment the second largest lake.", "[SEG]", masks=(NORTH,))
    kept = {draw.augmentation.kept for draw in draws(second, least_visible=0.0)}
    assert kept == {("RandomCrop: 'second' may be true of the whole image alone",)}


@pytest.mark.parametrize("texts", [("<image>\nHow many lakes are there?", "2"), ("<image>\nIs there water?", "yes")])
def test_what_is_said_of_the_whole_image_prevents_a_crop(texts: tuple[str, str]) -> None:
    record = record_of(*texts)
    assert all("is said of the whole image" in draw.augmentation.kept[0] and not draw.augmentation.changes for draw in draws(record, 5))
    assert all(draw.augmentation.changes for draw in draws(record_of(*texts), 5, whole_image_stays_true=True))
    assert RandomCrop().unsafe_words(record)
    labelled = replace(record_of(), labels=("forest",))
    assert RandomCrop().unsafe_words(labelled) and not RandomCrop(whole_image_stays_true=True).unsafe_words(labelled)


def test_coordinates_move_into_the_crop_or_prevent_it() -> None:
    record = record_of("<image>\nSegment the lake at [400, 400, 500, 500].", "[SEG]", masks=(MaskRef("box", [20, 20, 25, 25]),))
    cropped = [draw for draw in draws(record, box_scale=960, least_visible=1.0) if draw.augmentation.changes]
    assert len(cropped) > 20
    for draw in cropped:
        row, col, height, width = window(draw)
        x0, y0, x1, y1 = (
            (edge - first) / side * 960 for edge, first, side in ((20, col, width), (20, row, height), (25, col, width), (25, row, height))
        )
        assert draw.turns[0].words == f"Segment the lake at [{x0:.0f}, {y0:.0f}, {x1:.0f}, {y1:.0f}]."
    assert all("box_scale does not say" in draw.augmentation.kept[0] for draw in draws(record, 5))


def test_a_side_beyond_the_image_is_refused() -> None:
    with pytest.raises(ConfigError, match="RandomCrop: side must be two numbers"):
        RandomCrop(side=(0.5, 1.5))
