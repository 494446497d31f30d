"""Boxes: for phrases, and all of one kind."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eocore.data.masks import decode_mask, mask_to_box
from eocore.data.records import MaskRef
from eocore.errors import AnnotationError, ConfigError
from eocore.registry import METRICS

from ..intervals import Measure, mean_of, ratio_or_one
from ..metrics import boxes
from ..predictions import Prediction
from .base import Judged, missing

DEFAULT_SCALE = 100
"""What the far edge of an image is called where the annotation does not say. Source: GeoChat, VRSBench."""

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""IoU from which a box counts as found (>=). Source: VRSBench reports 0.5 and 0.7, RSVG and DIOR-RSVG 0.5 ... 0.9."""


@METRICS.register_module()
class Grounding:
    """Boxes for phrases: `acc@X` (share of annotated boxes found with IoU >= X), `mean_iou`, `cum_iou` (shared area over covered area).

    IoU is taken in real numbers. Of an answer as many boxes are read as are annotated; several are paired so that the sum of IoU is
    largest. An answer that gives masks instead of numbers is taken by their bounds, the number of such in `details`. Without either it
    scores 0 and counts as unreadable. `acc@X_plus_one` shows what published code with a "+1" makes of it.

    True boxes are the `boxes` of meta, on the scale of `box_scale`, else those read from the annotated text.

    Args:
        prediction_scale: what the far edge of an image is called in answers (100, 1000, 1; 0 = pixels); None = as in the annotation.
    """

    headline = "acc@0.5"

    def __init__(self, *, prediction_scale: float | None = None) -> None:
        if prediction_scale is not None and prediction_scale < 0:
            raise ConfigError(f"Grounding: prediction_scale must be 0 (pixels) or above, found {prediction_scale}.")
        self._scale = prediction_scale

    def judge(self, samples: Sequence[Prediction]) -> Judged:
        """See `Scorer`."""
        truths = [_annotated(sample) for sample in samples]
        given = [_given(sample, scale=self._scale) for sample in samples]
        pairs = [_pair(said[: len(asked)], asked) for said, asked in zip(given, truths, strict=True)]
        ious = [[0.0 if said is None else boxes.box_iou(said, asked) for said, asked in group] for group in pairs]
        counts = np.array([len(group) for group in truths])
        lost = missing(samples)
        drawn = sum(bool(sample.prediction_masks) and not boxes.parse_boxes(sample.prediction or "") for sample in samples)
        return Judged(
            samples=samples,
            measures=_grounding_measures(ious, counts) | {"cum_iou": _cumulated(pairs)},
            num_items=counts,
            num_missing=lost * counts,
            num_unparsed=np.array([not said for said in given]) * (1 - lost) * counts,
            num_extra=np.array([max(0, len(said) - len(asked)) for said, asked in zip(given, truths, strict=True)]),
            quality=np.array([float(np.mean(group)) for group in ious]),
            compat=_plus_one(pairs, counts),
            details={"boxes_from_masks": drawn} if drawn else {},
        )


def _annotated(sample: Prediction) -> list[boxes.Box]:
    found = [box for box in _boxes_of(sample) if box.area > 0]
    if not found:
        raise AnnotationError(
            f"sample '{sample.sample_id}': the annotation {sample.ground_truth!r:.80} holds no box with an area (x0 < x1, y0 < y1); no "
            "answer could be right. Correct it."
        )
    return found


def _boxes_of(sample: Prediction) -> list[boxes.Box]:
    """The true boxes, on the annotation's own scale."""
    listed = sample.meta.get("boxes")
    if listed is None:
        return boxes.parse_boxes(sample.ground_truth)
    if not isinstance(listed, list | tuple) or not all(isinstance(box, list | tuple) and len(box) in (4, 5, 8) for box in listed):
        raise AnnotationError(
            f"sample '{sample.sample_id}': 'boxes' in its meta must be lists of 4, 5 or 8 numbers, found {listed!r:.80}. Correct "
            "the annotation."
        )
    try:
        return [boxes.Box.of([float(number) for number in box]) for box in listed]
    except (TypeError, ValueError) as error:
        raise AnnotationError(f"sample '{sample.sample_id}': 'boxes' in its meta: {error}. Correct the annotation.") from error


def _given(sample: Prediction, *, scale: float | None) -> list[boxes.Box]:
    """The predicted boxes, on the annotation's scale."""
    own = float(sample.meta.get("box_scale", DEFAULT_SCALE))
    found = boxes.parse_boxes(sample.prediction or "")
    if found:
        return found if scale is None or scale == own else [_rescaled(box, sample, old=scale, new=own) for box in found]
    if sample.prediction is None:
        return []
    bounds = [_mask_bounds(rle, sample) for rle in sample.prediction_masks]
    return [
        _rescaled(box, sample, old=0.0, new=own, size=rle["size"]) for box, rle in zip(bounds, sample.prediction_masks, strict=True) if box
    ]


def _mask_bounds(rle: Mapping[str, Any], sample: Prediction) -> boxes.Box | None:
    height, width = rle["size"]
    mask = decode_mask(MaskRef("rle", dict(rle)), (height, width), source=f"sample '{sample.sample_id}', predicted mask")
    bounds = mask_to_box(mask)
    return boxes.Box.of(bounds) if bounds else None


def _rescaled(box: boxes.Box, sample: Prediction, *, old: float, new: float, size: Sequence[int] | None = None) -> boxes.Box:
    """From one scale to another; 0 is pixels, for which the size of the image (height, width) must be known."""
    if old == new:
        return box
    if old and new:
        return box.scaled(new / old, new / old)
    sides = size or sample.meta.get("image_size")
    if not isinstance(sides, list | tuple) or len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise AnnotationError(
            f"sample '{sample.sample_id}': boxes in pixels meet boxes on a scale of {old or new:g}, and 'image_size' ([height, width]) in "
            f"its meta is {sides!r:.40}. Give it, or state the scale."
        )
    height, width = sides
    return box.scaled(new / width, new / height) if not old else box.scaled(width / old, height / old)


Pair = tuple[boxes.Box | None, boxes.Box]


def _pair(said: Sequence[boxes.Box], asked: Sequence[boxes.Box]) -> list[Pair]:
    """Each annotated box with the predicted one that is its own, None where there is none."""
    from scipy.optimize import linear_sum_assignment

    if not said:
        return [(None, truth) for truth in asked]
    table = np.array([[boxes.box_iou(box, truth) for truth in asked] for box in said])
    rows, columns = linear_sum_assignment(table, maximize=True)
    own = {int(column): said[int(row)] for row, column in zip(rows, columns, strict=True)}
    return [(own.get(place), truth) for place, truth in enumerate(asked)]


def _grounding_measures(ious: Sequence[Sequence[float]], counts: np.ndarray) -> dict[str, Measure]:
    measures = {f"acc@{limit}": mean_of([sum(iou >= limit for iou in group) for group in ious], counts) for limit in THRESHOLDS}
    return measures | {"mean_iou": mean_of([sum(group) for group in ious], counts)}


def _cumulated(pairs: Sequence[Sequence[Pair]]) -> Measure:
    areas = [[boxes.box_overlap(said, asked) if said else (0.0, asked.area) for said, asked in group] for group in pairs]
    return Measure(np.array([np.sum(group, axis=0) for group in areas]))


def _plus_one(pairs: Sequence[Sequence[Pair]], counts: np.ndarray) -> dict[str, Measure]:
    ious = [[boxes.box_iou_plus_one(said, asked) if said else 0.0 for said, asked in group] for group in pairs]
    return {f"acc@{limit}_plus_one": mean_of([sum(iou >= limit for iou in group) for group in ious], counts) for limit in (0.5, 0.7)}


@METRICS.register_module()
class Detection:
    """All boxes of one kind in an image (SAR ships): `f1@X`, `precision@X` and `recall@X` at IoU >= X, matched one to one; boxes of
    answers and annotations are in one unit. `precision_many_to_one@X` is what EarthDial prints as accuracy.

    Args:
        threshold: IoU from which a box counts as found.
    """

    def __init__(self, *, threshold: float = 0.5) -> None:
        if not 0 < threshold <= 1:
            raise ConfigError(f"Detection: threshold must be above 0 and at most 1, found {threshold}.")
        self._threshold = threshold
        self.headline = f"f1@{threshold}"

    def judge(self, samples: Sequence[Prediction]) -> Judged:
        """See `Scorer`."""
        truths = [[box for box in _boxes_of(sample) if box.area > 0] for sample in samples]
        given = [_given(sample, scale=None) for sample in samples]
        pairs = list(zip(given, truths, strict=True))
        found = np.array([boxes.count_matches(*pair, threshold=self._threshold) for pair in pairs], dtype=np.float64)
        hits = np.array([boxes.count_hits(*pair, threshold=self._threshold) for pair in pairs], dtype=np.float64)
        num_given, num_true = (np.array([len(pair[side]) for pair in pairs], dtype=np.float64) for side in (0, 1))
        f1 = Measure(np.stack([2 * found, num_given + num_true], axis=1), ratio_or_one)
        return Judged(
            samples=samples,
            measures={
                self.headline: f1,
                f"precision@{self._threshold}": mean_of(found, num_given),
                f"recall@{self._threshold}": mean_of(found, num_true),
            },
            num_missing=missing(samples),
            num_unparsed=((num_given == 0) & (num_true > 0)).astype(np.int64) * (1 - missing(samples)),
            num_extra=np.maximum(0, num_given - num_true).astype(np.int64),
            quality=ratio_or_one(f1.statistics),
            compat={f"precision_many_to_one@{self._threshold}": mean_of(hits, num_given)},
        )
