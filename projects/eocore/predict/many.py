"""Answers to many items: read ahead, answered in batches, each loss told and none the loss of others."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from eocore.data.records import ImageRef, Record
from eocore.errors import DataError, EOError, describe_unforeseen
from eocore.evaluate.protocols import Generates, PreparingAnswerer
from eocore.portable.messages import Text, Turn, about_images
from eocore.predict.answers import Prediction
from eocore.predict.asking import Question, ask
from eocore.predict.image_files import read_images, with_sensor
from eocore.predict.items import Item
from eocore.sensors.scene import Scene

NUM_READERS = 4
"""Threads that read images; decoding and resampling leave the interpreter free."""
Scenes = dict[str, Scene]


@dataclass(frozen=True)
class Done:
    """An item with its answer, or with what kept it from one."""

    item: Item
    prediction: Prediction | None = None
    error: str = ""


@dataclass(frozen=True)
class Asking:
    """How items are answered.

    Attributes:
        question: of all items that have none of their own.
        batch_size: items answered together.
        max_bytes: refuse to read more than this for one image; None = the readers' own.
    """

    question: Question
    batch_size: int = 8
    max_bytes: int | None = None


def answer_items(predictor: Any, items: Sequence[Item], *, asking: Asking) -> Iterator[list[Done]]:
    """Batches of answers, in the items' order; while the model answers one, the next is read.

    Args:
        predictor: of a system.
        items: to answer.
        asking: how.

    Raises:
        ConfigError: the predictor cannot answer such questions.
    """
    together = isinstance(predictor, Generates) and not asking.question.classes
    answer = _Together(predictor, asking.question) if together else _OneByOne(predictor, asking.question)
    batch: list[tuple[Item, Scenes, Any]] = []
    for item, scenes, prepared in _read_ahead(items, answer.prepare, asking=asking):
        if isinstance(scenes, str):
            yield [Done(item, error=scenes)]
            continue
        batch.append((item, scenes, prepared))
        if len(batch) == asking.batch_size:
            yield _answer(batch, answer.answer)
            batch = []
    if batch:
        yield _answer(batch, answer.answer)


Answer = Callable[[Sequence[tuple[Item, Scenes, Any]]], list[Prediction]]


class _OneByOne:
    """Answers of a model that takes one question at a time, or that scores classes."""

    def __init__(self, predictor: Any, question: Question) -> None:
        self._predictor, self._question = predictor, question

    def prepare(self, item: Item, scenes: Scenes) -> Any:
        """Nothing: `ask` does all."""

    def answer(self, batch: Sequence[tuple[Item, Scenes, Any]]) -> list[Prediction]:
        """One prediction an item."""
        own = [Question(item.text or self._question.text, self._question.classes, self._question.max_new_tokens) for item, _, _ in batch]
        return [ask(self._predictor, scenes, question=question) for (_, scenes, _), question in zip(batch, own, strict=True)]


class _Together:
    """Answers of a model that takes batches; masks lie on the first image of each item."""

    def __init__(self, predictor: Generates, question: Question) -> None:
        self._answerer, self._question = predictor.answerer(question.max_new_tokens), question

    def prepare(self, item: Item, scenes: Scenes) -> Any:
        """What the model takes."""
        sample = (_record(item, scenes, text=item.text or self._question.text), tuple(scenes.values()))
        return self._answerer.prepare(sample) if isinstance(self._answerer, PreparingAnswerer) else sample

    def answer(self, batch: Sequence[tuple[Item, Scenes, Any]]) -> list[Prediction]:
        """One prediction an item."""
        prepared = [one for _, _, one in batch]
        answers = self._answerer.answer(prepared) if isinstance(self._answerer, PreparingAnswerer) else self._answerer(prepared)
        return [
            Prediction(found.text, found.masks, next(iter(scenes)), scenes) for (_, scenes, _), found in zip(batch, answers, strict=True)
        ]


def _record(item: Item, scenes: Scenes, *, text: str) -> Record:
    images = tuple(ImageRef(role, scene.sensor, (scene.path,), bands=scene.bands, time=scene.time) for role, scene in scenes.items())
    return Record(item.item_id, images, (Turn("user", about_images(Text(text))),), source=item.source)


Found = tuple[Item, "Scenes | str", Any]
"""An item, its scenes or what is wrong with them, and what the model takes."""


def _read_ahead(items: Iterable[Item], prepare: Callable[[Item, Scenes], Any], *, asking: Asking) -> Iterator[Found]:
    waiting: deque[Future[Found]] = deque()
    with ThreadPoolExecutor(NUM_READERS) as readers:
        try:
            for item in items:
                waiting.append(readers.submit(_read, item, prepare, max_bytes=asking.max_bytes))
                if len(waiting) > 2 * asking.batch_size:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _read(item: Item, prepare: Callable[[Item, Scenes], Any], *, max_bytes: int | None) -> Found:
    try:
        scenes = read_images({name: with_sensor(name, file) for name, file in item.files.items()}, max_bytes=max_bytes)
        return item, scenes, prepare(item, scenes)
    except EOError as error:
        return item, str(error), None
    except Exception as error:  # one file costs no other its answer, whatever a library says of it
        return item, describe_unforeseen(error), None


def _answer(batch: Sequence[tuple[Item, Scenes, Any]], answer: Answer) -> list[Done]:
    """Answers a batch; where the model refuses it, each item by itself."""
    try:
        return [Done(item, found) for (item, _, _), found in zip(batch, answer(batch), strict=True)]
    except DataError as error:
        if len(batch) == 1:
            return [Done(batch[0][0], error=str(error))]
        return [done for one in batch for done in _answer([one], answer)]
