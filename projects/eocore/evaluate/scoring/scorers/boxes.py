"""Boxes: for phrases, and all of one kind."""

from collections.abc import Sequence

import numpy as np

from eocore.errors import ConfigError
from eocore.evaluate.metrics import boxes
from eocore.evaluate.predictions import Prediction
from eocore.evaluate.scoring.intervals import Measure, mean_of, ratio_or_one
from eocore.evaluate.scoring.parsing.reading_options import ORDERS
from eocore.evaluate.scoring.scorers.base import Judged, missing
from eocore.evaluate.scoring.scorers.box_reader import BoxReader, Size, size_of
from eocore.registry import METRICS

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""IoU from which a box counts as found (>=). Source: VRSBench reports 0.5 and 0.7, RSVG and DIOR-RSVG 0.5 ... 0.9."""


LHRS_LIMIT = 0.5
"""LHRS-Bot's main_vg.py counts a box as found above it."""


@METRICS.register_module()
class Grounding:
    """Boxes for phrases: `acc@X` (fraction of annotated boxes found with IoU >= X), `mean_iou`, `cum_iou` (shared area over covered area).

    IoU is taken in real numbers. Of an answer as many boxes are read as are annotated; several are paired so that the sum of IoU is
    largest. An answer that gives masks instead of numbers is taken by their bounds, the number of such in `details`. Without either it
    scores 0 and counts as unreadable. Overlaps of axis-aligned boxes are the same in pixels and in fractions of the sides. Boxes that leave
    the image, and those whose far corner lies before the near one, are counted in `details` and scored as they are. `acc@X_plus_one` shows
    what upstream code with a "+1" makes of it, `acc@0.5_plus_one_of_side` what it makes of boxes in fractions.

    True boxes are the `boxes` of meta, on the scale of `box_scale`, else those read from the annotated text.

    Args:
        prediction_scale: what the far edge of an image is called in answers (100, 1000, 1; 0 or "pixels" = pixels); None = told by the
            range of all answers (`reading.box_scales`), and said in the notes of the scores.
        truth_scale: the same of annotations; None = what `box_scale` of meta says, else told by the range of all annotations.
        order: of the four numbers of an answer's box, one of `ORDERS`.
    """

    headline = "acc@0.5"

    def __init__(
        self, *, prediction_scale: float | str | None = None, truth_scale: float | str | None = None, order: str = ORDERS[0]
    ) -> None:
        self._reader = BoxReader("Grounding", prediction_scale, truth_scale=truth_scale, order=order)

    def judge(self, samples: Sequence[Prediction]) -> Judged:
        """See `Scorer`."""
        read = self._reader.read(samples, need_area=True)
        truths, given, sizes = read.truths, read.given, [size_of(sample) for sample in samples]
        pairs = [_pair(said[: len(asked)], asked) for said, asked in zip(given, truths, strict=True)]
        ious = [[0.0 if said is None else boxes.box_iou(said, asked) for said, asked in group] for group in pairs]
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
            compat=_plus_one(pairs, counts) | _plus_one_of_side(pairs, counts, scales=read.scales, sizes=sizes),
            details=read.details,
            reasons=read.reasons,
            notes=read.notes,
        )


Pair = tuple[boxes.Box | None, boxes.Box]


def _pair(said: Sequence[boxes.Box], asked: Sequence[boxes.Box]) -> list[Pair]:
    """Each annotated box with the predicted one that is its own, None where there is none."""
    from scipy.optimize import linear_sum_assignment

    if not said:
        return [(None, truth) for truth in asked]
    table = np.array([[boxes.box_iou(box, truth) for truth in asked] for box in said])
    rows, columns = linear_sum_assignment(table, maximize=True)
    own = {int(column): said[int(row)] for row, column in zip(rows, columns, strict=True)}
    return [(own.get(index), truth) for index, truth in enumerate(asked)]


def _grounding_measures(ious: Sequence[Sequence[float]], counts: np.ndarray) -> dict[str, Measure]:
    measures = {f"acc@{limit}": mean_of([sum(iou >= limit for iou in group) for group in ious], counts) for limit in THRESHOLDS}
    return measures | {"mean_iou": mean_of([sum(group) for group in ious], counts)}


def _cumulated(pairs: Sequence[Sequence[Pair]]) -> Measure:
    areas = [[boxes.box_overlap(said, asked) if said else (0.0, asked.area) for said, asked in group] for group in pairs]
    return Measure(np.array([np.sum(group, axis=0) for group in areas]))


def _plus_one(pairs: Sequence[Sequence[Pair]], counts: np.ndarray) -> dict[str, Measure]:
    ious = [[boxes.box_iou_plus_one(said, asked) if said else 0.0 for said, asked in group] for group in pairs]
    return {f"acc@{limit}_plus_one": mean_of([sum(iou >= limit for iou in group) for group in ious], counts) for limit in (0.5, 0.7)}


def _plus_one_of_side(
    pairs: Sequence[Sequence[Pair]], counts: np.ndarray, *, scales: Sequence[float], sizes: Sequence[Size | None]
) -> dict[str, Measure]:
    """LHRS-Bot's accuracy: a whole side is added to both sides of boxes in fractions of it, so that most pairs overlap by half.

    Its headline leaves out answers without a box (`_parsed`). Source: main_vg.py; its issue 27 has the figures with true overlaps.
    """
    if not all(scale or size for scale, size in zip(scales, sizes, strict=True)):
        return {}
    ious = [
        [_plus_one_iou(pair, scale=scale, size=size) for pair in group] for group, scale, size in zip(pairs, scales, sizes, strict=True)
    ]
    right = [sum(iou > LHRS_LIMIT for iou in group) for group in ious]
    found = np.array([sum(said is not None for said, _ in group) for group in pairs])
    measures = {"acc@0.5_plus_one_of_side": mean_of(right, counts)}
    return measures | ({"acc@0.5_plus_one_of_side_parsed": mean_of(right, found)} if found.any() else {})


def _plus_one_iou(pair: Pair, *, scale: float, size: Size | None) -> float:
    said, asked = pair
    if said is None:
        return 0.0
    x, y = (scale, scale) if scale or size is None else (float(size[1]), float(size[0]))
    return boxes.box_iou_plus_one(said.scaled(1 / x, 1 / y), asked.scaled(1 / x, 1 / y))


@METRICS.register_module()
class Detection:
    """All boxes of one kind in an image (SAR ships): `f1@X`, `precision@X` and `recall@X` at IoU >= X, matched one to one; scales are
    told as in `Grounding`. `precision_many_to_one@X` is what EarthDial prints as accuracy.

    Args:
        threshold: IoU from which a box counts as found.
        prediction_scale: see `Grounding`.
        truth_scale: see `Grounding`.
        order: see `Grounding`.
    """

    def __init__(
        self,
        *,
        threshold: float = 0.5,
        prediction_scale: float | str | None = None,
        truth_scale: float | str | None = None,
        order: str = ORDERS[0],
    ) -> None:
        if not 0 < threshold <= 1:
            raise ConfigError(f"Detection: threshold must be above 0 and at most 1, found {threshold}.")
        self._threshold = threshold
        self._reader = BoxReader("Detection", prediction_scale, truth_scale=truth_scale, order=order)
        self.headline = f"f1@{threshold}"

    def judge(self, samples: Sequence[Prediction]) -> Judged:
        """See `Scorer`."""
        read = self._reader.read(samples, need_area=False)
        given, truths = read.given, read.truths
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
            details=read.details,
            reasons=read.reasons,
            notes=read.notes,
        )
