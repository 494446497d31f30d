"""The boxes of answers and annotations, brought to one scale; what the scorers of boxes share."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eocore.data.io.masks import decode_mask, mask_to_box
from eocore.data.records import MaskRef
from eocore.errors import AnnotationError, ConfigError
from eocore.evaluate.metrics import boxes
from eocore.evaluate.predictions import Prediction
from eocore.evaluate.scoring.parsing import box_scales
from eocore.evaluate.scoring.parsing.box_scales import Size, SizedBoxes, Told
from eocore.evaluate.scoring.parsing.boxes import ReadBoxes, parse_boxes, read_boxes
from eocore.evaluate.scoring.parsing.reading_options import ORDERS, PIXELS

DEFAULT_SCALE = 100.0
"""What the far edge of an image is called where neither the annotation nor its numbers tell. Source: GeoChat, VRSBench."""

LIKELIER = 0.2
"""By how much the mean overlap in another order must be larger before that is said."""


@dataclass(frozen=True)
class BoxesRead:
    """The boxes of all samples, on the annotation's scale (`scales`, of each), and how they were read."""

    scales: list[float]
    truths: list[list[boxes.Box]]
    given: list[list[boxes.Box]]
    reasons: list[str]
    notes: tuple[str, ...]
    details: dict[str, Any]


class BoxReader:
    """Reads the boxes of answers and annotations and brings them to one scale.

    Raises:
        ConfigError: a scale or an order that there is not.
    """

    def __init__(self, owner: str, prediction_scale: float | str | None, *, truth_scale: float | str | None, order: str) -> None:
        if order not in ORDERS:
            raise ConfigError(f"{owner}: order must be one of {', '.join(ORDERS)}, found {order!r}.")
        self._prediction = _stated(owner, "prediction_scale", scale=prediction_scale)
        self._truth, self._order = _stated(owner, "truth_scale", scale=truth_scale), order

    def read(self, samples: Sequence[Prediction], *, need_area: bool) -> BoxesRead:
        """All boxes of all samples.

        Args:
            samples: of one task and setting, since their scale is told by all of them.
            need_area: an annotation without a box is an error; else it says that there is none.
        """
        truths = [_annotated(sample) if need_area else [box for box in _boxes_of(sample) if box.area > 0] for sample in samples]
        said = [read_boxes(sample.prediction or "") for sample in samples]
        written = [[_ordered(box, self._order) for box in read.boxes] for read in said]
        sizes = [size_of(sample) for sample in samples]
        annotated = [SizedBoxes(*pair) for pair in zip(truths, sizes, strict=True)]
        own = self._annotation_scales(samples, annotated)
        told = self._prediction_scale([SizedBoxes(*pair) for pair in zip(written, sizes, strict=True)], annotated, own=own)
        answers = zip(samples, written, own, strict=True)
        given = [_given(sample, found, own=scale, scale=told.scale) for sample, found, scale in answers]
        notes, details = self._report(said, given, own=own, told=told)
        details |= _odd_boxes(given, own, sizes=sizes)
        by_order = {name: _in_order(samples, said, order=name, scales=(told.scale, own)) for name in ORDERS}
        notes = (*notes, *_doubt_of_order(by_order, truths, order=self._order), *_without_area(given))
        return BoxesRead(own, truths, given, _reasons(said), notes, details)

    def _annotation_scales(self, samples: Sequence[Prediction], annotated: Sequence[SizedBoxes]) -> list[float]:
        """Of each sample."""
        if self._truth is not None:
            return [self._truth] * len(samples)
        stated = [sample.meta.get("box_scale") for sample in samples]
        unstated = [item for item, scale in zip(annotated, stated, strict=True) if scale is None]
        told = box_scales.tell_annotation(unstated, default=DEFAULT_SCALE).scale
        return [told if scale is None else float(scale) for scale in stated]

    def _prediction_scale(self, written: Sequence[SizedBoxes], annotated: Sequence[SizedBoxes], *, own: Sequence[float]) -> Told:
        if self._prediction is not None:
            return Told(self._prediction, box_scales.tell_beyond(written, self._prediction))
        kinds = sorted(set(own))
        if len(kinds) > 1:
            several = f"annotations are on {len(kinds)} scales, each answer is read on its annotation's; else state it: --prediction-scale."
            parts = [[item for item, scale in zip(written, own, strict=True) if scale == kind] for kind in kinds]
            beyond = (note for part, kind in zip(parts, kinds, strict=True) for note in box_scales.tell_beyond(part, kind))
            return Told(kinds[0], (several, *beyond))
        return box_scales.tell_predictions(written, annotated, annotation=kinds[0])

    def _report(
        self, said: Sequence[ReadBoxes], given: Sequence[Sequence[boxes.Box]], *, own: Sequence[float], told: Told
    ) -> tuple[tuple[str, ...], dict[str, Any]]:
        """(notes, details) on what was read, and how."""
        drawn = sum(bool(boxes_) and not read.numbers for boxes_, read in zip(given, said, strict=True))
        details: dict[str, Any] = {"boxes_from_masks": drawn} if drawn else {}
        notes = list(told.notes)
        malformed = sum(read.malformed for read in said)
        if malformed:
            details["malformed_json"] = malformed
            notes.append(f"{malformed} answers hold JSON that cannot be decoded, as if cut off; whole boxes in it are read.")
        if any(read.numbers for read in said):
            answers, truths = box_scales.scale_name(told.scale), ", ".join(map(box_scales.scale_name, sorted(set(own))))
            how = "told by their range" if self._prediction is None else "stated"
            details["box_scales"] = {"answers": answers, "annotations": truths, "how": how, "order": self._order}
            read_as = f"scale of boxes: answers {answers} ({how}), annotations {truths}"
            notes.insert(0, f"{read_as}. Override: --prediction-scale, --truth-scale.")
        return tuple(notes), details


def _stated(owner: str, name: str, *, scale: float | str | None) -> float | None:
    if scale is None or scale == "pixels":
        return None if scale is None else PIXELS
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 <= scale < math.inf:
        raise ConfigError(f"{owner}: {name} must be 0 or 'pixels', or a number above 0 that stands for the whole side, found {scale!r}.")
    return float(scale)


def _ordered(box: boxes.Box, order: str) -> boxes.Box:
    """A box whose numbers stand in another order; corners are x, y in any."""
    if order == ORDERS[0] or box.quad:
        return box
    if order == "yxyx":
        return replace(box, x0=box.y0, y0=box.x0, x1=box.y1, y1=box.x1)
    return replace(box, x1=box.x0 + box.x1, y1=box.y0 + box.y1)


def _in_order(
    samples: Sequence[Prediction], said: Sequence[ReadBoxes], *, order: str, scales: tuple[float, Sequence[float]]
) -> list[list[boxes.Box]]:
    """The boxes written in answers, read in an order of their numbers, brought from the answers' scale to the annotations' (`scales`)."""
    return [
        [_rescaled(_ordered(box, order), sample, old=scales[0], new=own) for box in read.boxes]
        for sample, read, own in zip(samples, said, scales[1], strict=True)
    ]


def _doubt_of_order(
    by_order: Mapping[str, Sequence[Sequence[boxes.Box]]], truths: Sequence[Sequence[boxes.Box]], *, order: str
) -> Sequence[str]:
    """Said where boxes overlap the annotated ones far better in another order of their numbers."""
    overlaps = {name: _mean_best_iou(given, truths) for name, given in by_order.items()}
    best = max(overlaps, key=lambda name: overlaps[name])
    if overlaps[best] < overlaps[order] + LIKELIER:
        return ()
    return (
        f"read as {order}, answers' boxes overlap the annotated ones by {overlaps[order]:.0%} in the mean, read as {best} by "
        f"{overlaps[best]:.0%}: another order is likely. Where it is so, state it: --box-order {best}.",
    )


def _mean_best_iou(given: Sequence[Sequence[boxes.Box]], truths: Sequence[Sequence[boxes.Box]]) -> float:
    """Of the first box of every answer, with the annotated box that it overlaps best."""
    both = [(said[0], asked) for said, asked in zip(given, truths, strict=True) if said and asked]
    best = [max(boxes.box_iou(box, truth) for truth in asked) for box, asked in both]
    return sum(best) / len(best) if best else 0.0


def _without_area(given: Sequence[Sequence[boxes.Box]]) -> Sequence[str]:
    found = [box for group in given for box in group]
    empty = sum(not box.area for box in found)
    return (
        (f"{empty} of {len(found)} boxes of answers have no area, or their far corner before the near one: they overlap nothing.",)
        if empty
        else ()
    )


def _odd_boxes(given: Sequence[Sequence[boxes.Box]], scales: Sequence[float], *, sizes: Sequence[Size | None]) -> dict[str, int]:
    """How many predicted boxes leave the image, and how many are empty or have their corners the wrong way round; only what there is."""
    outside = empty = 0
    for group, scale, size in zip(given, scales, sizes, strict=True):
        far = (scale, scale) if scale else (size[1], size[0]) if size else (math.inf, math.inf)
        outside += sum(min(box.x0, box.y0) < 0 or box.x1 > far[0] or box.y1 > far[1] for box in group)
        empty += sum(not box.area for box in group)
    return {name: count for name, count in (("boxes_outside", outside), ("boxes_without_area", empty)) if count}


def size_of(sample: Prediction) -> Size | None:
    """(height, width) [px] of the image of a sample, None where it is not known."""
    sides = sample.meta.get("image_size")
    is_size = isinstance(sides, list | tuple) and len(sides) == 2 and all(type(side) is int and side > 0 for side in sides)
    return (sides[0], sides[1]) if is_size and isinstance(sides, list | tuple) else None


def _given(sample: Prediction, written: Sequence[boxes.Box], *, own: float, scale: float) -> list[boxes.Box]:
    """The predicted boxes on the annotation's scale: those written, else the bounds of those drawn."""
    if written or sample.prediction is None:
        return [_rescaled(box, sample, old=scale, new=own) for box in written]
    bounds = [_mask_bounds(rle, sample) for rle in sample.prediction_masks]
    pairs = zip(bounds, sample.prediction_masks, strict=True)
    return [_rescaled(box, sample, old=PIXELS, new=own, size=rle["size"]) for box, rle in pairs if box]


def _reasons(said: Sequence[ReadBoxes]) -> list[str]:
    return ["" if read.numbers else "JSON that is cut off or malformed" if read.malformed else "no box" for read in said]


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
        return parse_boxes(sample.ground_truth)
    if not isinstance(listed, list | tuple) or not all(isinstance(box, list | tuple) and len(box) in (4, 5, 8) for box in listed):
        raise AnnotationError(
            f"sample '{sample.sample_id}': 'boxes' in its meta must be lists of 4, 5 or 8 numbers, found {listed!r:.80}. Correct "
            "the annotation."
        )
    try:
        return [boxes.Box.of([float(number) for number in box]) for box in listed]
    except (TypeError, ValueError) as error:
        raise AnnotationError(f"sample '{sample.sample_id}': 'boxes' in its meta: {error}. Correct the annotation.") from error


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
