"""Reference numbers: hand-computed, and the published evaluation's formula on the same masks (0.6187 and 0.7544)."""

import numpy as np
import pytest
from pycocotools import mask as coco

from eocore.errors import DataError
from eocore.evaluate.metrics.segmentation import MaskOverlap, background_statistics, foreground_iou, mask_overlap, mask_scores, overlaps_of


def square(size: int, *, at: int, side: int) -> np.ndarray:
    mask = np.zeros((size, size), dtype=bool)
    mask[at : at + side, at : at + side] = True
    return mask


def rle(mask: np.ndarray) -> dict:
    packed = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": [int(side) for side in packed["size"]], "counts": packed["counts"].decode()}


def scores(*overlaps: MaskOverlap, both_empty: float = 1.0) -> dict[str, float]:
    return {name: part / whole for name, (part, whole) in mask_scores(overlaps, both_empty=both_empty).items() if whole}


def published(*overlaps: MaskOverlap) -> tuple[float, float]:
    """The published "mIoU" and "oIoU"."""
    total, count, inside, around = np.sum([background_statistics([overlap]) for overlap in overlaps], axis=0)
    return total / count, inside / around


def test_foreground_iou_of_shifted_squares():
    overlap = mask_overlap(square(10, at=2, side=4), square(10, at=3, side=4), source="a")
    assert overlap == MaskOverlap(9, 23, 100)
    assert foreground_iou(overlap, both_empty=1.0) == pytest.approx(9 / 23)


def test_background_counts_only_in_reference_compat():
    overlap = mask_overlap(square(10, at=2, side=4), square(10, at=3, side=4), source="a")
    assert published(overlap) == pytest.approx((0.6187, 0.7544), abs=5e-5)


def test_empty_mask_scores_zero_but_looks_good_with_background():
    overlap = mask_overlap(np.zeros((800, 800), dtype=bool), square(800, at=100, side=40), source="a")
    assert scores(overlap)["miou"] == 0.0
    assert not overlap.missing
    assert published(overlap) == pytest.approx((0.499, 0.995), abs=5e-4)


def test_missing_mask_counts_as_zero_and_is_marked():
    full = square(10, at=0, side=5)
    overlaps = [mask_overlap(full, full, source="a"), mask_overlap(None, full, source="b")]
    assert [overlap.missing for overlap in overlaps] == [False, True]
    assert scores(*overlaps)["miou"] == 0.5
    assert scores(*overlaps)["oiou"] == 0.5
    assert published(*overlaps)[0] == 1.0


def test_all_missing_leaves_no_reference_figure():
    assert background_statistics([MaskOverlap(0, 5, 100, missing=True)]) == (0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("both_empty", [0.0, 1.0])
def test_both_empty_rule_is_explicit(both_empty):
    nothing = np.zeros((4, 4), dtype=bool)
    assert scores(mask_overlap(nothing, nothing, source="a"), both_empty=both_empty)["miou"] == both_empty


def test_overall_and_mean_iou_differ_on_a_big_and_a_small_object():
    big, small = square(100, at=0, side=80), square(100, at=90, side=2)
    overlaps = [mask_overlap(big, big, source="a"), mask_overlap(np.zeros_like(small), small, source="b")]
    assert scores(*overlaps)["miou"] == 0.5
    assert scores(*overlaps)["oiou"] == pytest.approx(6400 / 6404)


def test_iou_on_the_threshold_counts():
    half = scores(MaskOverlap(5, 10, 100))
    assert [half[f"pr@{threshold}"] for threshold in (0.5, 0.6, 0.7, 0.8, 0.9)] == [1.0, 0.0, 0.0, 0.0, 0.0]


def test_masks_pair_in_order_and_lacking_ones_are_missing():
    first, second = square(10, at=0, side=3), square(10, at=5, side=3)
    overlaps = overlaps_of([rle(first)], [rle(first), rle(second)], answered=True, source="a")
    assert [(item.intersection, item.union, item.missing) for item in overlaps] == [(9, 9, False), (0, 9, True)]
    swapped = overlaps_of([rle(second), rle(first)], [rle(first), rle(second)], answered=True, source="a")
    assert [item.intersection for item in swapped] == [0, 0]


def test_masks_beyond_the_annotated_ones_change_nothing():
    first = square(10, at=0, side=3)
    one = overlaps_of([rle(first)], [rle(first)], answered=True, source="a")
    assert overlaps_of([rle(first), rle(square(10, at=5, side=3))], [rle(first)], answered=True, source="a") == one


@pytest.mark.parametrize("truths", [[], [rle(np.zeros((10, 10), dtype=bool))]], ids=["no mask", "empty mask"])
def test_phrase_without_target(truths):
    silent = overlaps_of([], truths, answered=True, source="a")
    drawn = overlaps_of([rle(square(10, at=0, side=3))], truths, answered=True, source="a")
    crashed = overlaps_of([], truths, answered=False, source="a")
    assert scores(*silent)["miou"] == 1.0
    assert scores(*drawn)["miou"] == 0.0
    assert scores(*crashed)["miou"] == 0.0
    assert [item.missing for item in (*silent, *drawn, *crashed)] == [False, False, True]


def test_sizes_must_agree():
    with pytest.raises(DataError, match=r"a: the predicted mask is \(8, 8\) but the annotated one \(10, 10\).*Predict at the size"):
        mask_overlap(square(8, at=0, side=2), square(10, at=0, side=2), source="a")


def test_masks_must_be_bool():
    with pytest.raises(DataError, match=r"a: the predicted mask must be \(H, W\) bool, found \(10, 10\) float64. Threshold"):
        mask_overlap(np.zeros((10, 10)), square(10, at=0, side=2), source="a")


def test_masks_can_be_scored_at_another_size():
    truth, drawn = square(100, at=0, side=50), square(100, at=0, side=49)
    coarse = overlaps_of([rle(drawn)], [rle(truth)], answered=True, source="a", eval_size=10)[0]
    assert (coarse.intersection, coarse.union, coarse.pixels) == (25, 25, 100)
    with pytest.raises(DataError, match="Predict at the size"):
        overlaps_of([rle(square(8, at=0, side=2))], [rle(truth)], answered=True, source="a", eval_size=10)
