"""Scales of boxes, told by all boxes of a file."""

import numpy as np
import pytest

from eocore.evaluate.metrics.boxes import Box
from eocore.evaluate.scoring.parsing.box_scales import SizedBoxes, Told, scale_name, tell_annotation, tell_predictions
from eocore.evaluate.scoring.parsing.reading_options import PIXELS

NUM = 40


def fractions(seed: int = 0, *, near: float = 1.0) -> np.ndarray:
    """(NUM, 4) boxes as fractions of the image, all within `near` of the upper left corner."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 0.6, (NUM, 2))
    return np.concatenate([start, start + rng.uniform(0.05, 0.4, (NUM, 2))], axis=1) * near


def sized(boxes: np.ndarray, scale: float, *, size: tuple[int, int] | None = None) -> list[SizedBoxes]:
    """A sample for each box, on a scale, or in pixels of images of `size`."""
    factor = np.array([size[1], size[0]] * 2) if scale == PIXELS and size else scale
    return [SizedBoxes([Box.of([round(float(number), 3) for number in box])], size) for box in boxes * factor]


@pytest.mark.parametrize("predicted", [1.0, 100.0, 1000.0])
@pytest.mark.parametrize("annotated", [1.0, 100.0, 1000.0])
def test_each_scale_beside_each(predicted, annotated):
    truth, said = sized(fractions(), annotated), sized(fractions() * 0.98, predicted)
    assert tell_annotation(truth, default=100.0) == Told(annotated)
    assert tell_predictions(said, truth, annotation=annotated) == Told(predicted)


@pytest.mark.parametrize("size", [(64, 64), (512, 512), (600, 800), (2000, 3000)])
def test_pixels_of_images_of_known_size(size):
    truth = sized(fractions(), 100.0, size=size)
    assert tell_predictions(sized(fractions(), PIXELS, size=size), truth, annotation=100.0).scale == PIXELS
    assert tell_annotation(sized(fractions(), PIXELS, size=size), default=100.0).scale == PIXELS
    assert tell_predictions(sized(fractions(), 1000.0, size=size), sized(fractions(), PIXELS, size=size), annotation=PIXELS).scale == 1000.0


def test_small_boxes_in_a_corner_are_no_other_scale():
    truth = sized(fractions(near=0.009), 100.0)
    assert tell_predictions(sized(fractions(near=0.009), 100.0), truth, annotation=100.0) == Told(100.0)
    whole = [SizedBoxes([Box(0, 0, 1, 1)])]
    assert tell_annotation(whole, default=100.0) == Told(100.0)
    assert tell_predictions(whole, whole, annotation=100.0) == Told(100.0)


def test_a_few_boxes_beyond_the_scale_are_mistakes_and_said():
    said = [*sized(fractions(), 100.0)[:-2], SizedBoxes([Box(0, 0, 150, 900)]), SizedBoxes([Box(1, 1, 3000, 4)])]
    told = tell_predictions(said, sized(fractions(), 100.0), annotation=100.0)
    assert told.scale == 100.0
    (note,) = told.notes
    assert note.startswith("2 of 40 boxes of answers go beyond the scale of 0 to 100, up to ")


def test_two_scales_in_one_file_are_said():
    said = [*sized(fractions(), 1.0)[: NUM // 2], *sized(fractions(), 1000.0)[NUM // 2 :]]
    told = tell_predictions(said, sized(fractions(), 100.0), annotation=100.0)
    assert any("20 of 40 boxes of answers hold fractions from 0 to 1 alone" in note for note in told.notes)


def test_pixels_of_images_of_unknown_size_are_left_and_said():
    told = tell_predictions(sized(fractions(), 3000.0), sized(fractions(), 100.0), annotation=100.0)
    assert told.scale == 100.0
    assert "numbers go up to" in told.notes[0]
    assert "Give the sizes" in told.notes[0]
    told = tell_predictions(sized(fractions(), 512.0), sized(fractions(), 100.0), annotation=100.0)
    assert told.scale == 1000.0
    assert "another scale is possible (such as pixels)" in told.notes[0]


def test_answers_without_boxes_keep_the_scale_of_the_annotation():
    assert tell_predictions([SizedBoxes([])], [SizedBoxes([Box(1, 2, 3, 4)])], annotation=1000.0) == Told(1000.0)
    assert tell_annotation([], default=100.0) == Told(100.0)


def test_names():
    assert [scale_name(scale) for scale in (1.0, 100.0, 1000.0, PIXELS, 999.0)] == ["0 to 1", "0 to 100", "0 to 1000", "pixels", "0 to 999"]
