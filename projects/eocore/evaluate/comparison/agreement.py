"""How alike two predictions files are, whatever is right: of one model in two precisions, on two devices, before and after a change."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from eocore.errors import DataError
from eocore.evaluate.metrics.segmentation import foreground_iou, overlaps_of
from eocore.evaluate.predictions import Prediction, some_ids

EVERYTHING = "all"


class Agreement(TypedDict):
    """One line: the samples of a task under a setting, or all of them.

    `equal`: fraction of the `n` samples to which both files give the same text. `mask_iou`: mean over the `masks` pairs of drawn masks,
    paired in order; a mask that only one file has counts 0, None where neither draws any.
    """

    task: str
    setting: str
    n: int
    equal: float
    masks: int
    mask_iou: float | None


def measure_agreement(first: Sequence[Prediction], second: Sequence[Prediction]) -> list[Agreement]:
    """A line for each task and setting, and one for all.

    Raises:
        DataError: the files do not answer the same samples, or masks of one sample differ in size.
    """
    answers = [{sample.key: sample for sample in samples if sample.prediction is not None} for samples in (first, second)]
    lacking = [sorted(key.sample_id for key in set(mine) - set(theirs)) for mine, theirs in (answers, answers[::-1])]
    if any(lacking) or not answers[0]:
        raise DataError(
            f"{len(lacking[0])} samples are answered only in the first file ({some_ids(lacking[0]) or '-'}) and {len(lacking[1])} only in "
            f"the second ({some_ids(lacking[1]) or '-'}), {len(answers[0])} in the first at all; answers can be compared where both files "
            "have one. Predict the rest."
        )
    groups: dict[tuple[str, str], list[tuple[Prediction, Prediction]]] = {}
    for key, sample in answers[0].items():
        groups.setdefault((key.task, key.sensor), []).append((sample, answers[1][key]))
    everything = [pair for pairs in groups.values() for pair in pairs]
    groups[EVERYTHING, EVERYTHING] = everything
    return [_agreement(task, setting, pairs=pairs) for (task, setting), pairs in groups.items()]


def _agreement(task: str, setting: str, *, pairs: Sequence[tuple[Prediction, Prediction]]) -> Agreement:
    ious = [iou for one, other in pairs for iou in mask_ious(one, other)]
    return Agreement(
        task=task,
        setting=setting,
        n=len(pairs),
        equal=float(np.mean([one.prediction == other.prediction for one, other in pairs])),
        masks=len(ious),
        mask_iou=float(np.mean(ious)) if ious else None,
    )


def mask_ious(one: Prediction, other: Prediction) -> list[float]:
    """IoU of each pair of masks in order; 1 where both are empty, 0 for a mask that has no counterpart.

    Raises:
        DataError: the masks of a pair differ in size.
    """
    drawn, counterparts = one.prediction_masks, other.prediction_masks
    paired = min(len(drawn), len(counterparts))
    overlaps = overlaps_of(drawn[:paired], counterparts[:paired], answered=True, source=one.sample_id) if paired else []
    alone = max(len(drawn), len(counterparts)) - paired
    return [foreground_iou(overlap, both_empty=1.0) for overlap in overlaps] + [0.0] * alone
