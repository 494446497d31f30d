"""On which scale the boxes of a file are: fractions of the image, 0 to 100, 0 to 1000, or pixels; told by all boxes of the file."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eocore.evaluate.metrics.boxes import Box
from eocore.evaluate.scoring.parsing.reading_options import PIXELS

SCALES = (1.0, 100.0, 1000.0)
"""What the far edge of an image is called. Source: GeoChat and VRSBench write 100, Qwen-VL and InternVL 1000, others shares."""
NAMES = {1.0: "0 to 1", 100.0: "0 to 100", 1000.0: "0 to 1000", PIXELS: "pixels"}
OVERSHOOT = 1.05
"""Boxes that a model draws may end this far beyond the image."""
MOST = 0.8
"""Fraction of a file's predicted boxes that a scale must hold; a few beyond it are mistakes of the model, not another scale."""
ALIKE = 1.4
"""Factor by which predicted boxes may lie farther out (or in) than the annotated ones, in the median, before another scale is likely."""

Size = tuple[int, int]


@dataclass(frozen=True)
class SizedBoxes:
    """The boxes of one sample, and the size (height, width) [px] of its image where it is known."""

    boxes: Sequence[Box]
    size: Size | None = None


@dataclass(frozen=True)
class Told:
    """A scale (`PIXELS` for pixels), and sentences for the user where it is not beyond doubt."""

    scale: float
    notes: tuple[str, ...] = ()


def scale_name(scale: float) -> str:
    """ "0 to 100" and the like."""
    return NAMES.get(scale, f"0 to {scale:g}")


def tell_annotation(samples: Sequence[SizedBoxes], *, default: float) -> Told:
    """The scale of annotated boxes: the smallest that holds all of them, pixels (of images of known size) among the scales.

    Args:
        samples: those whose annotation does not state its scale.
        default: where there is no box, or nothing but whole zeros and ones, which fit any scale.
    """
    far = _far(samples)
    if not len(far) or _are_zeros_and_ones(samples):
        return Told(default)
    return Told(_tightest(samples, fraction=1.0))


def tell_predictions(predicted: Sequence[SizedBoxes], annotated: Sequence[SizedBoxes], *, annotation: float) -> Told:
    """The scale of predicted boxes: the smallest that holds four of five.

    A smaller scale than the annotation's is taken only where the boxes also lie much nearer to the origin than the annotated ones: small
    boxes in a corner are no other scale. Pixels of images of unknown size cannot be brought to another scale: the annotation's stays.

    Args:
        predicted: by sample; those without a box say nothing.
        annotated: the same samples.
        annotation: scale of these.
    """
    far = _far(predicted)
    if not len(far):
        return Told(annotation)
    scale, ratio = _tightest(predicted, fraction=MOST), _ratio(predicted, annotated)
    if scale != annotation and _fraction_held(predicted, annotation) >= MOST:
        own, other = _extent(annotated, annotation), _extent(predicted, scale)
        if own <= other or ratio > (other / own) ** 0.5:
            scale = annotation
    if scale == PIXELS != annotation and not _sizes_known(predicted):
        return Told(annotation, (_unknown_sizes(float(far.max()), annotation),))
    return Told(scale, (*_mixed(predicted, scale), *_doubt(predicted, annotated, scale=scale, annotation=annotation)))


def tell_beyond(predicted: Sequence[SizedBoxes], scale: float) -> tuple[str, ...]:
    """Said where boxes of answers exceed the scale that they are read on: how many, how far, and the option that states another.

    Args:
        predicted: by sample, on the scale of the answers.
        scale: on which they are read, told or stated.
    """
    beyond = int((_reach(predicted, scale) > OVERSHOOT).sum())
    if not beyond:
        return ()
    far, count = float(_far(predicted).max()), sum(len(sample.boxes) for sample in predicted)
    return (
        f"{beyond} of {count} boxes of answers go beyond the scale of {scale_name(scale)}, up to {far:g}, and are compared as they are: "
        f"another scale is likely. Where it is so, state it, such as --prediction-scale {_larger(scale, far)}.",
    )


def _larger(scale: float, far: float) -> str:
    """The option's value for boxes that go up to `far` and are not on a scale."""
    holds = [other for other in SCALES if other > scale and far <= OVERSHOOT * other]
    return f"{holds[0]:g}" if holds else "pixels" if scale != PIXELS else f"{far:g}"


def _far(samples: Sequence[SizedBoxes]) -> np.ndarray:
    """(N,) the largest coordinate of every box."""
    return np.array([max(box.x0, box.y0, box.x1, box.y1) for sample in samples for box in sample.boxes])


def _fractions(samples: Sequence[SizedBoxes]) -> np.ndarray:
    """(N,) how far every box reaches, as a fraction of its image's side, where its numbers are pixels."""
    return np.array([max(box.x1 / s.size[1], box.y1 / s.size[0]) for s in samples if s.size for box in s.boxes])


def _sizes_known(samples: Sequence[SizedBoxes]) -> bool:
    return all(sample.size is not None for sample in samples if sample.boxes)


def _fraction_held(samples: Sequence[SizedBoxes], scale: float) -> float:
    reach = _reach(samples, scale)
    return float(np.mean(reach <= OVERSHOOT)) if len(reach) else 1.0


def _reach(samples: Sequence[SizedBoxes], scale: float) -> np.ndarray:
    """(N,) how far every box reaches, as a fraction of the image's side, on a scale; empty for pixels of unknown sizes."""
    if scale == PIXELS:
        return _fractions(samples) if _sizes_known(samples) else np.zeros(0)
    return _far(samples) / scale


def _tightest(samples: Sequence[SizedBoxes], *, fraction: float) -> float:
    """The smallest scale that holds a fraction of the boxes; `PIXELS` where none does."""
    known = [PIXELS] if _sizes_known(samples) else []
    reaches = {scale: np.quantile(_reach(samples, scale), fraction) for scale in (*SCALES, *known)}
    held = {scale: reach for scale, reach in reaches.items() if _fraction_held(samples, scale) >= fraction}
    return max(held, key=lambda scale: held[scale]) if held else PIXELS


def _extent(samples: Sequence[SizedBoxes], scale: float) -> float:
    """The number of the far edge; of pixels the mean side, or the farthest box where sizes are not known."""
    if scale != PIXELS:
        return scale
    sides = [max(sample.size) for sample in samples if sample.size]
    return float(np.mean(sides)) if sides else max(1.0, float(_far(samples).max(initial=1.0)))


def _ratio(predicted: Sequence[SizedBoxes], annotated: Sequence[SizedBoxes]) -> float:
    """Median over samples of how much farther out the predicted boxes lie than the annotated, in the numbers as they stand."""
    both = [pair for pair in zip(predicted, annotated, strict=True) if pair[0].boxes and pair[1].boxes]
    pairs = [(_far([said]).max(), _far([true]).max()) for said, true in both]
    ratios = [far / true for far, true in pairs if far > 0 and true > 0]
    return float(np.median(ratios)) if ratios else 1.0


def _mixed(predicted: Sequence[SizedBoxes], scale: float) -> tuple[str, ...]:
    """Said where some answers do not look like the rest."""
    boxes = [box for sample in predicted for box in sample.boxes]
    notes = list(tell_beyond(predicted, scale))
    small = sum(_is_share(box) for box in boxes)
    if 0 < small < len(boxes) and scale != 1.0:
        notes.append(
            f"{small} of {len(boxes)} boxes of answers hold fractions from 0 to 1 alone, while the others are read as {scale_name(scale)}: "
            "two scales in one file are likely. All are read on the one; score the answers apart, or state the scale (--prediction-scale)."
        )
    return tuple(notes)


def _doubt(predicted: Sequence[SizedBoxes], annotated: Sequence[SizedBoxes], *, scale: float, annotation: float) -> tuple[str, ...]:
    """Said where the boxes, brought to one scale, still lie elsewhere than the annotated ones."""
    expected = _extent(predicted, scale) / _extent(annotated, annotation) if scale != annotation else 1.0
    ratio = _ratio(predicted, annotated) / expected
    if 1 / ALIKE <= ratio <= ALIKE:
        return ()
    return (
        f"in the median, boxes of answers reach {ratio:.2g} times as far as the annotated ones, once read as {scale_name(scale)}: another "
        "scale is possible (such as pixels). State it where you know it (--prediction-scale).",
    )


def _is_share(box: Box) -> bool:
    """Whether a box holds nothing but numbers from 0 to 1, and not whole ones alone."""
    numbers = box.quad or (box.x0, box.y0, box.x1, box.y1)
    return all(0 <= number <= 1 for number in numbers) and not all(float(number).is_integer() for number in numbers)


def _are_zeros_and_ones(samples: Sequence[SizedBoxes]) -> bool:
    return all(number in (0, 1) for sample in samples for box in sample.boxes for number in (box.quad or (box.x0, box.y0, box.x1, box.y1)))


def _unknown_sizes(far: float, annotation: float) -> str:
    return (
        f"the answers' numbers go up to {far:g}, as pixels do, and the images' sizes are not in the file: they are read as "
        f"{scale_name(annotation)}. Give the sizes ('image_size', or 'height' and 'width'), or state the scale (--prediction-scale)."
    )
