"""Overlap of masks: foreground IoU and what is made of it, per (image, phrase)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from eocore.data.masks import decode_mask
from eocore.data.records import MaskRef
from eocore.errors import DataError

Rle = Mapping[str, Any]

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""IoU from which a mask counts as found (>=). Source: RMSIN and LAVT report Pr@0.5 ... Pr@0.9."""


@dataclass(frozen=True)
class MaskOverlap:
    """What two masks share.

    Attributes:
        intersection: |prediction and truth| [px].
        union: |prediction or truth| [px].
        pixels: height x width [px]; 0 where neither mask exists.
        missing: nothing was predicted where something was asked for; scored 0 in any case.
    """

    intersection: int
    union: int
    pixels: int
    missing: bool = False


def mask_overlap(prediction: np.ndarray | None, truth: np.ndarray, *, source: str) -> MaskOverlap:
    """Foreground overlap of two masks.

    Args:
        prediction: (H, W) bool; None where the model drew nothing: an empty mask, and missing unless the truth is empty too.
        truth: (H, W) bool.
        source: sample id, for messages.

    Raises:
        DataError: the masks are not of one size, or not bool.
    """
    if prediction is None:
        return MaskOverlap(0, int(truth.sum()), truth.size, missing=bool(truth.any()))
    for name, mask in (("predicted", prediction), ("annotated", truth)):
        if mask.dtype != np.bool_ or mask.ndim != 2:
            raise DataError(f"{source}: the {name} mask must be (H, W) bool, found {mask.shape} {mask.dtype}. Threshold it first.")
    if prediction.shape != truth.shape:
        raise DataError(
            f"{source}: the predicted mask is {prediction.shape} but the annotated one {truth.shape} (height, width); they cannot be laid "
            "over each other. Predict at the size of the annotated image."
        )
    return MaskOverlap(int((prediction & truth).sum()), int((prediction | truth).sum()), truth.size)


def overlaps_of(predictions: Sequence[Rle], truths: Sequence[Rle], *, answered: bool, source: str) -> list[MaskOverlap]:
    """One overlap per annotated mask of a sample, paired in order; predicted masks beyond the annotated ones are left out.

    A sample without annotated masks (the phrase has no target) gives one overlap with the empty mask: drawing anything is wrong.

    Args:
        predictions: COCO RLE of the drawn masks.
        truths: COCO RLE of the annotated masks.
        answered: False where the sample could not be predicted at all: then every overlap is missing, also of a phrase without target.
        source: sample id, for messages.

    Raises:
        DataError: sizes differ, or an RLE cannot be read.
    """
    drawn = [_decode(rle, source=f"{source}, predicted mask {place}") for place, rle in enumerate(predictions, start=1)]
    asked = [_decode(rle, source=f"{source}, annotated mask {place}") for place, rle in enumerate(truths, start=1)]
    if not asked and not drawn:
        return [MaskOverlap(0, 0, 0, missing=not answered)]
    if not asked:
        return [mask_overlap(np.logical_or.reduce(drawn), np.zeros_like(drawn[0]), source=source)]
    padded = drawn[: len(asked)] + [None] * (len(asked) - len(drawn))
    overlaps = [mask_overlap(mask, truth, source=source) for mask, truth in zip(padded, asked, strict=True)]
    return overlaps if answered else [replace(overlap, missing=True) for overlap in overlaps]


def _decode(rle: Rle, *, source: str) -> np.ndarray:
    height, width = rle["size"]
    return decode_mask(MaskRef("rle", dict(rle)), (height, width), source=source, root=None)


def foreground_iou(overlap: MaskOverlap, *, both_empty: float) -> float:
    """Intersection over union of the foreground.

    Args:
        overlap: of one pair of masks; 0 where the prediction is missing.
        both_empty: value where neither mask has a pixel: 1 where a set has phrases without target (saying so is right),
            0 in the code of RMSIN.
    """
    if overlap.missing:
        return 0.0
    return overlap.intersection / overlap.union if overlap.union else both_empty


def mask_scores(overlaps: Sequence[MaskOverlap], *, both_empty: float = 1.0) -> dict[str, tuple[float, float]]:
    """Sums every score of a set is a quotient of: metric -> (numerator, denominator); sums of several samples may be added.

    `miou` (also called gIoU): mean IoU. `oiou` (also called cIoU): sum of intersections over sum of unions. `pr@X`: share with IoU >= X.
    A missing mask counts as IoU 0. Source: RMSIN, LAVT.

    Args:
        overlaps: of the annotated masks.
        both_empty: see `foreground_iou`.
    """
    ious = [foreground_iou(overlap, both_empty=both_empty) for overlap in overlaps]
    scores = {"miou": (sum(ious), float(len(ious)))}
    scores["oiou"] = (float(sum(overlap.intersection for overlap in overlaps)), float(sum(overlap.union for overlap in overlaps)))
    for threshold in THRESHOLDS:
        scores[f"pr@{threshold}"] = (float(sum(iou >= threshold for iou in ious)), float(len(ious)))
    return scores


def reference_compat(overlaps: Sequence[MaskOverlap]) -> dict[str, float | None]:
    """The published EarthMind evaluation's "mIoU" and "oIoU", which count the background as a second class and skip missing masks.

    For comparison with figures printed by that code only: an empty mask over a small object scores about 0.5 and 0.99.

    Returns:
        `miou_with_background`, `oiou_with_background` [0..1]; None where every mask is missing.
    """
    drawn = [overlap for overlap in overlaps if not overlap.missing and overlap.pixels]
    if not drawn:
        return {"miou_with_background": None, "oiou_with_background": None}
    inside = np.array([(item.pixels - item.union, item.intersection) for item in drawn], dtype=np.float64)
    around = np.array([(item.pixels - item.intersection, item.union) for item in drawn], dtype=np.float64)
    ious = np.divide(inside, around, out=np.ones_like(inside), where=around > 0)
    return {"miou_with_background": float(ious.mean()), "oiou_with_background": float(inside.sum() / around.sum())}
