"""Scores of pixels from masks, from class scores and from embeddings."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scene_files import WaterIndex

from eocore.data.records import Record
from eocore.errors import ConfigError
from eocore.evaluate.protocols import ClassPrompts
from eocore.scenes.pixel_scores import LOGIT, as_pixel_scores
from eocore.sensors.scene import Scene


class Answer:
    text = ""

    def __init__(self, masks: np.ndarray) -> None:
        self.masks = masks


class Draws:
    """Draws the bright pixels for "bright", nothing for anything else."""

    boxes_by_masks = True

    def answerer(self, max_new_tokens: int) -> Any:
        def answer(samples: Sequence[Any]) -> list[Answer]:
            return [
                Answer(scenes[0].pixels[:1] > 100 if "bright" in record.turns[0].text else np.zeros((0, 4, 4), bool))
                for record, scenes in samples
            ]

        return answer


class LikesBright:
    def class_scores(self, images: Sequence[Any], prompts: ClassPrompts) -> np.ndarray:
        brightness = np.array([scenes[0].pixels.mean() for _, scenes in images])
        return np.stack([brightness if name == "bright" else -brightness for name in prompts.classes], axis=1)


class SpeaksOnly:
    boxes_by_masks = False

    def answerer(self, max_new_tokens: int) -> Any:
        raise NotImplementedError


@pytest.fixture
def samples() -> list[Any]:
    pixels = np.zeros((1, 4, 4), np.float32)
    pixels[0, :2] = 200
    return [(Record(str(number), (), ()), (Scene(pixels + number, ("grey",), "grey_uint8", "uint8"),)) for number in range(2)]


def test_masks_are_logits_and_the_lack_of_one_is_too(samples: list[Any]) -> None:
    model = as_pixel_scores(Draws())
    first, _ = model.pixel_scores(samples, ["bright", "nothing"])
    assert model.pixel_scale == "logits" and first.shape == (2, 4, 4)
    assert (first[0, :2] == LOGIT).all() and (first[0, 2:] == -LOGIT).all() and (first[1] == -LOGIT).all()


def test_class_scores_hold_for_all_pixels_of_a_window(samples: list[Any]) -> None:
    model = as_pixel_scores(LikesBright())
    first, second = model.pixel_scores(samples, ["bright", "dark"])
    assert model.pixel_scale == "relative" and (first[0] == 100).all() and (second[1] == -101).all()


def test_a_model_that_scores_pixels_is_taken_as_it_is() -> None:
    model = WaterIndex()
    assert as_pixel_scores(model) is model


def test_a_model_that_does_none_of_these_is_refused() -> None:
    with pytest.raises(ConfigError, match="SpeaksOnly implements generates of the protocols that maps are made through"):
        as_pixel_scores(SpeaksOnly())
