"""Questions of a validation as people see them: the images, the true and the drawn masks, the true and the given words."""

import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eocore.data.dataset import RecordDataset, SampleKey
from eocore.data.io.masks import decode_mask
from eocore.data.records import MaskRef
from eocore.errors import DataError
from eocore.evaluate.engine.predicting import grey
from eocore.evaluate.predictions import Prediction
from eocore.evaluate.reporting.plots import PREDICTION_COLOUR, TRUTH_COLOUR, draw_overlay, make_figure
from eocore.evaluate.settings import SETTINGS
from eocore.log import get_logger, plain_line
from eocore.portable.messages import IMAGE_PLACEHOLDER
from eocore.sensors.display import display_image
from eocore.sensors.scene import Scene

PANEL_IN = 2.6
"""Side of a panel [inch]."""
WORDS_IN = 0.8
"""Height of the words above a panel [inch]."""
LINE_LENGTH, NUM_LINES, QUESTION_LINES = 38, 5, 3
"""Of words above a panel [characters, lines], and lines of them for the question where the true answer follows."""


@dataclass(frozen=True)
class Question:
    """A question answered under one setting.

    Attributes:
        answer: with what is true.
        dataset: that shows the images of the setting.
        key: of the question there.
    """

    answer: Prediction
    dataset: RecordDataset
    key: SampleKey


def draw_questions(rows: Sequence[Sequence[Question]], *, seed: int) -> np.ndarray | None:
    """(H, W, 3) uint8: a row for each question, with the truth on the first image, then the answer under each setting on its images; None
    where no image can be read.

    Args:
        rows: questions, each under all of its settings.
        seed: of transforms that draw.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    panels = [[panel for number, item in enumerate(row) for panel in _panels(item, with_truth=not number, seed=seed)] for row in rows]
    panels = [row for row in panels if row]
    if not panels:
        return None
    width = max(map(len, panels))
    figure = make_figure(width=PANEL_IN * width, height=(PANEL_IN + WORDS_IN) * len(panels))
    figure.set_dpi(100)
    axes = figure.subplots(len(panels), width, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for row, found in zip(axes, panels, strict=True):
        for axis, (title, image) in zip(row, found, strict=False):
            axis.imshow(image, interpolation="nearest")
            axis.set_title(title, parse_math=False, fontsize=7, loc="left")
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a model that has just begun writes any character
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _panels(question: Question, *, with_truth: bool, seed: int) -> list[tuple[str, np.ndarray]]:
    """(words, picture) of one question under one setting."""
    answer = question.answer
    try:
        _, scenes, _ = question.dataset.load(question.key, seed=seed)
    except DataError as error:
        get_logger().warning("validation: sample '%s' is not drawn: %s", answer.sample_id, error)
        return []
    greyed = SETTINGS.find(answer.sensor).greyed
    shown = [display_image(grey(scene) if greyed and scene.role == greyed else scene) for scene in scenes]
    found = []
    if with_truth:
        asked = _shortened(answer.prompt.replace(IMAGE_PLACEHOLDER, "").strip().replace("\n", " / "), QUESTION_LINES)
        truth = _shortened(f"true: {answer.ground_truth}", NUM_LINES - QUESTION_LINES)
        found.append((f"{asked}\n{truth}", _drawn(shown[0], answer.ground_truth_masks, scene=scenes[0], truth=True)))
    for number, (scene, image) in enumerate(zip(scenes, shown, strict=True)):
        said = "no answer" if answer.prediction is None else answer.prediction
        words = f"{answer.sensor}: {said}" if not number else f"{answer.sensor} ({scene.role})"
        found.append((_shortened(words, NUM_LINES), _drawn(image, answer.prediction_masks, scene=scenes[0], truth=False)))
    return found


def _drawn(image: np.ndarray, rles: Sequence[object], *, scene: Scene, truth: bool) -> np.ndarray:
    """The image with masks that lie on the pixels of `scene`; as it is where it has other pixels."""
    if not rles or image.shape[:2] != scene.size:
        return image
    masks = [decode_mask(MaskRef("rle", dict(rle)), scene.size, source="a mask") for rle in rles]  # type: ignore[call-overload]
    return draw_overlay(image, np.any(masks, axis=0), colour=TRUTH_COLOUR if truth else PREDICTION_COLOUR)


def _shortened(text: str, num_lines: int) -> str:
    """The words in lines that fit above a panel."""
    return "\n".join(textwrap.wrap(plain_line(text), LINE_LENGTH, max_lines=num_lines, placeholder=" ..."))
