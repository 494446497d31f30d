"""Masks for phrases."""

from collections.abc import Sequence

import numpy as np

from eocore.errors import ConfigError
from eocore.evaluate.metrics import segmentation
from eocore.evaluate.predictions import Prediction
from eocore.evaluate.scoring.intervals import Measure, mean_of, ratio, ratio_or_one
from eocore.evaluate.scoring.scorers.base import Judged, missing
from eocore.registry import METRICS

BOTH_EMPTY = 1.0
"""IoU of an empty mask with an empty truth: saying that a phrase has no target is right where it has none."""


@METRICS.register_module()
class ReferringMasks:
    """Foreground overlap of drawn and annotated masks: `miou` (gIoU), `oiou` (cIoU), `pr@X`, and where phrases without target are among
    them `no_target_accuracy` and `target_accuracy` (fraction of phrases with a target for which anything was drawn).

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
        return {name: Measure(np.array([part[name] for part in parts], dtype=np.float64), ratio_or_one) for name in parts[0]}


@METRICS.register_module()
class ChangeMaskScores(ReferringMasks):
    """Overlap of change masks: `iou` and `f1` over the pixels of all pairs, as change detection reports them, beside `ReferringMasks`."""

    headline = "iou"

    def _measures(self, overlaps: Sequence[Sequence[segmentation.MaskOverlap]]) -> dict[str, Measure]:
        measures = super()._measures(overlaps)
        shared, covered = measures["oiou"].statistics.T
        # |drawn| + |true| = intersection + union
        f1 = np.stack([2 * shared, shared + covered], axis=1)
        return {"iou": measures["oiou"], "f1": Measure(f1, ratio_or_one), **measures}


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
