"""Overlap of masks: foreground IoU and what is made of it, per (image, phrase).

Written here since scores are quotients of sums over samples, which intervals need: torchmetrics keeps the sums of a whole set alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from eocore.data.io.masks import decode_mask, resize_mask
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


def overlaps_of(
    predictions: Sequence[Rle], truths: Sequence[Rle], *, answered: bool, source: str, eval_size: int | None = None
) -> list[MaskOverlap]:
    """One overlap per annotated mask of a sample, paired in order; predicted masks beyond the annotated ones are left out.

    A sample without annotated masks (the phrase has no target) gives one overlap with the empty mask: drawing anything is wrong.

    Args:
        predictions: COCO RLE of the drawn masks.
        truths: COCO RLE of the annotated masks.
        answered: False where the sample could not be predicted at all: then every overlap is missing, also of a phrase without target.
        source: sample id, for messages.
        eval_size: None, or the side of the square [px] both masks are resized to, nearest neighbour, once their sizes were found equal.

    Raises:
        DataError: sizes differ, or an RLE cannot be read.
    """
    drawn = [_decode(rle, source=f"{source}, predicted mask {index}") for index, rle in enumerate(predictions, start=1)]
    asked = [_decode(rle, source=f"{source}, annotated mask {index}") for index, rle in enumerate(truths, start=1)]
    if not asked and not drawn:
        return [MaskOverlap(0, 0, 0, missing=not answered)]
    if not asked:
        return [mask_overlap(np.logical_or.reduce(drawn), np.zeros_like(drawn[0]), source=source)]
    sizes = {mask.shape for mask in (*drawn, *asked)}
    if eval_size is not None and len(sizes) == 1:
        drawn, asked = ([resize_mask(mask, (eval_size, eval_size)) for mask in masks] for masks in (drawn, asked))
    padded: list[np.ndarray | None] = drawn[: len(asked)] + [None] * (len(asked) - len(drawn))
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


def background_statistics(overlaps: Sequence[MaskOverlap]) -> tuple[float, float, float, float]:
    """What the upstream EarthMind evaluation's "mIoU" and "oIoU" are made of, of one sample, to be summed over samples.

    It counts the background as a second class and skips missing masks: an empty mask over a small object scores about 0.5 and 0.99. For
    comparison with figures printed by that code only.

    Returns:
        Sum of the mean IoU of background and foreground, number of masks drawn, shared pixels of both classes, covered pixels of both.
    """
    drawn = [overlap for overlap in overlaps if not overlap.missing and overlap.pixels]
    inside = np.array([(item.pixels - item.union, item.intersection) for item in drawn], dtype=np.float64).reshape(-1, 2)
    around = np.array([(item.pixels - item.intersection, item.union) for item in drawn], dtype=np.float64).reshape(-1, 2)
    ious = np.divide(inside, around, out=np.ones_like(inside), where=around > 0)
    return float(ious.mean(axis=1).sum()), float(len(drawn)), float(inside.sum()), float(around.sum())


def mask_area(rle: Rle, *, source: str) -> int:
    """Pixels of an RLE mask.

    Raises:
        AnnotationError: the RLE cannot be read.
    """
    return int(_decode(rle, source=source).sum())
