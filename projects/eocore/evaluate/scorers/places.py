"""Masks and boxes."""

from collections.abc import Sequence

import numpy as np

from eocore.errors import AnnotationError, ConfigError
from eocore.registry import METRICS

from ..intervals import Measure, mean_of, ratio
from ..metrics import boxes, segmentation
from ..predictions import Prediction
from .base import Judged, missing

BOTH_EMPTY = 1.0
"""IoU of an empty mask with an empty truth: saying that a phrase has no target is right where it has none."""


def _ratio_or_right(sums: np.ndarray) -> np.ndarray:
    return np.nan_to_num(ratio(sums), nan=BOTH_EMPTY)


@METRICS.register_module()
class ReferringMasks:
    """Foreground overlap of drawn and annotated masks: `miou` (gIoU), `oiou` (cIoU), `pr@X`, and where phrases without target are among
    them `no_target_accuracy` and `target_accuracy` (share of phrases with a target for which anything was drawn).

    Args:
        both_empty: IoU where neither mask has a pixel: 1, or 0 as RMSIN and LAVT count.
        eval_size: None scores at the size of the annotation; a number resizes both masks to that many pixels square, nearest neighbour
            (RMSIN and LAVT: 480).
    """

    headline = "miou"

    def __init__(self, *, both_empty: float = BOTH_EMPTY, eval_size: int | None = None) -> None:
        if both_empty not in (0, 1) or (eval_size is not None and eval_size < 1):
            raise ConfigError(f"ReferringMasks: both_empty must be 0 or 1 and eval_size 1 px or more; found {both_empty} and {eval_size}.")
        self._both_empty, self._eval_size = float(both_empty), eval_size

    def judge(self, samples: Sequence[Prediction]) -> Judged:
        """See `Scorer`."""
        overlaps = [self._overlaps(sample) for sample in samples]
        measures = self._measures(overlaps)
        measures.update(_target_measures(samples))
        extra = [max(0, len(sample.prediction_masks) - len(sample.ground_truth_masks)) for sample in samples]
        return Judged(
            samples=samples,
            measures=measures,
            num_items=np.array([len(group) for group in overlaps]),
            num_missing=np.array([sum(overlap.missing for overlap in group) for group in overlaps]),
            num_unparsed=np.zeros(len(samples), dtype=np.int64),
            num_extra=np.array(extra),
            quality=ratio(measures["miou"].statistics),
            compat=_background_measures(overlaps),
        )

    def _overlaps(self, sample: Prediction) -> list[segmentation.MaskOverlap]:
        return segmentation.overlaps_of(
            sample.prediction_masks,
            sample.ground_truth_masks,
            answered=sample.prediction is not None,
            source=f"sample '{sample.sample_id}'",
            eval_size=self._eval_size,
        )

    def _measures(self, overlaps: Sequence[Sequence[segmentation.MaskOverlap]]) -> dict[str, Measure]:
        parts = [segmentation.mask_scores(group, both_empty=self._both_empty) for group in overlaps]
        return {name: Measure(np.array([part[name] for part in parts], dtype=np.float64), _ratio_or_right) for name in parts[0]}


def _target_measures(samples: Sequence[Prediction]) -> dict[str, Measure]:
    empty = np.array([_has_no_target(sample) for sample in samples])
    if not empty.any():
        return {}
    drawn = np.array([any(_areas(sample.prediction_masks, sample)) for sample in samples])
    answered = 1 - missing(samples)
    return {
        "no_target_accuracy": mean_of(empty * ~drawn * answered, empty),
        "target_accuracy": mean_of(~empty * drawn, ~empty),
    }


def _has_no_target(sample: Prediction) -> bool:
    return not any(_areas(sample.ground_truth_masks, sample))


def _areas(rles: Sequence[segmentation.Rle], sample: Prediction) -> list[int]:
    return [segmentation.mask_area(rle, source=f"sample '{sample.sample_id}'") for rle in rles]


def _background_measures(overlaps: Sequence[Sequence[segmentation.MaskOverlap]]) -> dict[str, Measure]:
    statistics = np.array([segmentation.background_statistics(group) for group in overlaps])
    return {"miou_with_background": Measure(statistics[:, :2]), "oiou_with_background": Measure(statistics[:, 2:])}


THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""IoU from which a box counts as found (>=). Source: VRSBench reports 0.5 and 0.7, RSVG and DIOR-RSVG 0.5 ... 0.9."""


@METRICS.register_module()
class Grounding:
    """Boxes for phrases: `acc@X` (share of annotated boxes found with IoU >= X), `mean_iou`, `cum_iou` (shared area over covered area).

    IoU is taken in real numbers. Of an answer as many boxes are read as are annotated; several are paired so that the sum of IoU is
    largest. An answer without a box scores 0 and counts as unreadable. `acc@X_plus_one` shows what published code with a "+1" makes of it.

    Args:
        prediction_scale: what the far edge of an image is called in answers (100, 1000, 1), or None for the unit of the annotation.
        truth_scale: the same of annotations. Where only one of the two is given, the other is in pixels and `width` and `height` in the
            sample's meta are needed.
    """

    headline = "acc@0.5"

    def __init__(self, *, prediction_scale: float | None = None, truth_scale: float | None = None) -> None:
        for name, scale in (("prediction_scale", prediction_scale), ("truth_scale", truth_scale)):
            if scale is not None and scale <= 0:
                raise ConfigError(f"Grounding: {name} must be above 0, found {scale}.")
        self._scales = (prediction_scale, truth_scale)

    def judge(self, samples: Sequence[Prediction]) -> Judged:
        """See `Scorer`."""
        truths = [self._truth(sample) for sample in samples]
        given = [self._given(sample) for sample in samples]
        pairs = [_pair(said[: len(asked)], asked) for said, asked in zip(given, truths, strict=True)]
        ious = [[boxes.box_iou(*pair) if pair[0] else 0.0 for pair in group] for group in pairs]  # type: ignore[arg-type]
        counts = np.array([len(group) for group in truths])
        lost = missing(samples)
        return Judged(
            samples=samples,
            measures=_grounding_measures(ious, counts) | {"cum_iou": _cumulated(pairs)},
            num_items=counts,
            num_missing=lost * counts,
            num_unparsed=np.array([not said for said in given]) * (1 - lost) * counts,
            num_extra=np.array([max(0, len(said) - len(asked)) for said, asked in zip(given, truths, strict=True)]),
            quality=np.array([float(np.mean(group)) for group in ious]),
            compat=_plus_one(pairs, counts),
        )

    def _truth(self, sample: Prediction) -> list[boxes.Box]:
        found = [box for box in boxes.parse_boxes(sample.ground_truth) if box.area > 0]
        if not found:
            raise AnnotationError(
                f"sample '{sample.sample_id}': the annotation {sample.ground_truth!r:.80} holds no box with an area (x0 < x1, y0 < y1); no "
                "answer could be right. Correct it."
            )
        return self._scaled(found, sample, scale=self._scales[1])

    def _given(self, sample: Prediction) -> list[boxes.Box]:
        return self._scaled(boxes.parse_boxes(sample.prediction or ""), sample, scale=self._scales[0])

    def _scaled(self, found: list[boxes.Box], sample: Prediction, *, scale: float | None) -> list[boxes.Box]:
        if self._scales[0] == self._scales[1]:
            return found
        if scale is not None:
            return [box.scaled(1 / scale, 1 / scale) for box in found]
        sides = [sample.meta.get(name) for name in ("width", "height")]
        if not all(isinstance(side, int | float) and side > 0 for side in sides):
            raise AnnotationError(
                f"sample '{sample.sample_id}': boxes in pixels need 'width' and 'height' of the image in meta, found {sides}. Give them, "
                "or both scales."
            )
        return [box.scaled(1 / float(sides[0]), 1 / float(sides[1])) for box in found]  # type: ignore[arg-type]


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
        truths = [[box for box in boxes.parse_boxes(sample.ground_truth) if box.area > 0] for sample in samples]
        given = [boxes.parse_boxes(sample.prediction or "") for sample in samples]
        pairs = list(zip(given, truths, strict=True))
        found = np.array([boxes.count_matches(*pair, threshold=self._threshold) for pair in pairs], dtype=np.float64)
        hits = np.array([boxes.count_hits(*pair, threshold=self._threshold) for pair in pairs], dtype=np.float64)
        num_given, num_true = (np.array([len(pair[side]) for pair in pairs], dtype=np.float64) for side in (0, 1))
        f1 = Measure(np.stack([2 * found, num_given + num_true], axis=1), _ratio_or_right)
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
            quality=_ratio_or_right(f1.statistics),
            compat={f"precision_many_to_one@{self._threshold}": mean_of(hits, num_given)},
        )
