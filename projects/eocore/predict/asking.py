"""One question about images, put to a predictor by whichever protocol it implements."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eocore.data.formats.class_folders import LABEL
from eocore.data.records import ImageRef, Record
from eocore.errors import ConfigError
from eocore.evaluate.embedding_scores import as_scores, class_prompts
from eocore.evaluate.protocols import PreparesImages, Sample, implemented
from eocore.predict.answers import Prediction
from eocore.sensors.scene import Scene
from eocore.system import AnswersImages, DeclaresRoles, ReadsSeries

SAMPLE = "image"
"""Id of the only sample."""


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        text: a question or request; "" where classes are asked for.
        classes: names to choose among.
        max_new_tokens: longest answer.
    """

    text: str = ""
    classes: Sequence[str] = ()
    max_new_tokens: int = 256


def check_roles(predictor: object, roles: Iterable[str]) -> None:
    """Raise ConfigError if a role is none of those that the predictor declares; one that declares none takes any.

    Args:
        predictor: of a system.
        roles: of images that are given.
    """
    unknown = [role for role in roles if isinstance(predictor, DeclaresRoles) and role not in predictor.roles]
    if unknown and isinstance(predictor, DeclaresRoles):
        raise ConfigError(
            f"this model reads no image of role {', '.join(map(repr, unknown))}; its roles: {', '.join(predictor.roles)}. Give the image "
            "as one of these (--image ROLE=FILE), or leave it out."
        )


def check_series(predictor: object, moments: Iterable[str]) -> None:
    """Raise ConfigError if the images are of several moments and the model reads no series.

    Args:
        predictor: of a system.
        moments: of the images.
    """
    times = dict.fromkeys(moments)
    if len(times) > 1 and not (isinstance(predictor, ReadsSeries) and predictor.reads_series):
        raise ConfigError(
            f"this model reads images of one moment, found {len(times)} ({', '.join(time or 'none' for time in times)}). Ask about each by "
            "itself, or take a model that reads series (EarthMind)."
        )


def ask(predictor: object, scenes: Mapping[str, Scene], *, question: Question) -> Prediction:
    """The predictor's answer: text and masks, or class scores with the best class as text.

    Args:
        predictor: of a system, see `eocore.system.System.predictor`.
        scenes: by role.
        question: about them.

    Raises:
        ConfigError: the predictor cannot answer such a question, or reads no image of a role.
        DataError: the model cannot take the images or the text.
    """
    check_roles(predictor, (scene.role or name for name, scene in scenes.items()))
    check_series(predictor, [scene.time for scene in scenes.values()])
    if question.classes:
        return _score(predictor, scenes, classes=question.classes)
    if not isinstance(predictor, AnswersImages):
        able = ", ".join(implemented(predictor)) or "nothing"
        raise ConfigError(f"this model does not answer with text (it implements: {able}). Name classes to choose among with --classes.")
    if not question.text:
        raise ConfigError("--text is missing; expected a question or request about the images.")
    return predictor.predict(scenes, question.text, max_new_tokens=question.max_new_tokens)


def _score(predictor: object, scenes: Mapping[str, Scene], *, classes: Sequence[str]) -> Prediction:
    if not scenes:
        raise ConfigError("--classes: no image is given to choose a class for.")
    model = as_scores(predictor)
    sample = sample_of(scenes)
    shown = model.prepare_image(sample) if isinstance(model, PreparesImages) else sample
    scores = model.class_scores([shown], class_prompts(tuple(classes), [LABEL]))[0]
    found = dict(zip(classes, map(float, scores), strict=True))
    return Prediction(max(found, key=found.__getitem__), np.zeros((0, 1, 1), bool), "", scenes, found)


def sample_of(scenes: Mapping[str, Scene]) -> Sample:
    """A sample of images alone, by role, of which there is at least one."""
    images = tuple(ImageRef(role, scene.sensor, (scene.path,), bands=scene.bands, time=scene.time) for role, scene in scenes.items())
    return Record(sample_id=SAMPLE, images=images, source=next(iter(scenes.values())).path), tuple(scenes.values())
