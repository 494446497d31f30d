"""A question is put by the protocol that a predictor has, or it is said why it cannot be."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eocore.errors import ConfigError
from eocore.evaluate.protocols import ClassPrompts
from eocore.predict.answers import write_prediction
from eocore.predict.asking import Question, ask
from eocore.sensors.scene import Scene


class Brightest:
    """Scores each class by the mean of the channel of its index."""

    def class_scores(self, images: Sequence[Any], prompts: ClassPrompts) -> np.ndarray:
        return np.stack([scenes[0].pixels.mean(axis=(1, 2))[: len(prompts.classes)] for _, scenes in images])


@pytest.fixture
def scenes() -> dict[str, Scene]:
    pixels = np.stack([np.full((4, 5), value, np.float32) for value in (10, 200, 50)])
    return {"rgb": Scene(pixels, ("red", "green", "blue"), "rgb_uint8", "uint8", path="a.tif", role="rgb")}


def test_the_best_class_is_the_answer_and_all_scores_are_written(scenes: dict[str, Scene], tmp_path: Path) -> None:
    found = ask(Brightest(), scenes, question=Question(classes=("water", "forest", "city")))
    assert found.text == "forest" and found.scores == {"water": 10.0, "forest": 200.0, "city": 50.0}
    write_prediction(found, tmp_path)
    assert json.loads((tmp_path / "answer.json").read_text())["scores"]["city"] == 50.0
    assert (tmp_path / "answer.txt").read_text() == "forest\n"


@pytest.mark.parametrize(
    ("predictor", "question", "message"),
    [
        (Brightest(), Question("What is it?"), r"does not answer with text \(it implements: scores\). Name classes .* --classes"),
        (object(), Question("What is it?"), r"it implements: nothing"),
        (object(), Question(classes=("a", "b")), "neither scores classes nor embeds"),
    ],
)
def test_what_a_predictor_cannot_do_is_said(predictor: object, question: Question, message: str, scenes: dict[str, Scene]) -> None:
    with pytest.raises(ConfigError, match=message):
        ask(predictor, scenes, question=question)


def test_classes_need_an_image() -> None:
    with pytest.raises(ConfigError, match="no image is given"):
        ask(Brightest(), {}, question=Question(classes=("a",)))


def test_a_series_is_asked_of_models_that_read_one_alone(scenes: dict[str, Scene]) -> None:
    several = {f"rgb {time}": replace(scenes["rgb"], time=time) for time in ("before", "after")}
    with pytest.raises(ConfigError, match=r"this model reads images of one moment, found 2 \(before, after\).*reads series"):
        ask(Brightest(), several, question=Question(classes=("a", "b")))
