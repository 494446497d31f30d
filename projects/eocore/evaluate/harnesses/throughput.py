"""How much faster a model answers in batches than one by one: the same samples, in one process, taking turns."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from eocore.data.dataset import RecordDataset
from eocore.errors import ConfigError, DataError
from eocore.evaluate.engine.predicting import Lost, RankSamples, image_key, respond_to_samples
from eocore.evaluate.engine.responders import GeneratedAnswers
from eocore.evaluate.protocols import Answerer


@dataclass(frozen=True)
class Throughput:
    """Samples a second by batch size.

    Attributes:
        num_samples: answered in each turn.
        num_images: different ones among them.
        rates: batch size -> samples/s of its fastest turn.
        same_texts: fraction of samples whose text is the same at every batch size.
    """

    num_samples: int
    num_images: int
    rates: dict[int, float]
    same_texts: float

    def ratio(self, batch_size: int) -> float:
        """How many times as fast as batch size 1."""
        return self.rates[batch_size] / self.rates[1]


@dataclass(frozen=True, kw_only=True)
class ThroughputOptions:
    """What is timed.

    Attributes:
        batch_sizes: to compare; 1 is always among them.
        num_samples: to answer, from the first on, taken again from the start where there are fewer.
        different_images: take the first question about each image alone.
        turns: of each batch size, in turn, so that a busy moment of the machine hits all alike; the fastest counts.

    Raises:
        ConfigError: a batch size or count below 1.
    """

    batch_sizes: Sequence[int]
    num_samples: int
    different_images: bool = False
    turns: int = 3

    def __post_init__(self) -> None:
        if min(self.sizes) < 1 or self.num_samples < 1 or self.turns < 1:
            raise ConfigError(
                f"batch sizes {list(self.batch_sizes)}, {self.num_samples} samples, {self.turns} turns: all must be at least 1."
            )

    @property
    def sizes(self) -> list[int]:
        """The batch sizes, smallest first."""
        return sorted({1, *self.batch_sizes})


def measure_throughput(
    source: RecordDataset, answerer: Answerer, *, options: ThroughputOptions, on_turn: Callable[[], None] = lambda: None
) -> Throughput:
    """Times the way of an evaluation from image files to answers: while a batch is answered, the next is read and prepared.

    Args:
        source: the samples, images of one setting.
        answerer: of the model.
        options: what is timed.
        on_turn: called after each turn.

    Raises:
        DataError: a sample cannot be read, or the model cannot take it.
    """
    sizes, num_samples = options.sizes, options.num_samples
    indices = _choose(source, num_samples, different_images=options.different_images)
    _answer_all(source, answerer, indices=indices[: sizes[-1]], batch_size=sizes[-1])
    seconds = {size: float("inf") for size in sizes}
    texts: dict[int, list[str]] = {}
    for _ in range(options.turns):
        for size in sizes:
            began = time.perf_counter()
            texts[size] = _answer_all(source, answerer, indices=indices, batch_size=size)
            seconds[size] = min(seconds[size], time.perf_counter() - began)
            on_turn()
    same = sum(len({texts[size][index] for size in sizes}) == 1 for index in range(num_samples))
    images = {image_key(source.records[index]) for index in indices}
    return Throughput(num_samples, len(images), {size: num_samples / seconds[size] for size in sizes}, same / num_samples)


def _choose(source: RecordDataset, num_samples: int, *, different_images: bool) -> list[int]:
    first: dict[Any, int] = {}
    for index, record in enumerate(source.records):
        first.setdefault(image_key(record) if different_images else index, index)
    chosen = list(first.values())
    return [chosen[number % len(chosen)] for number in range(num_samples)]


def _answer_all(source: RecordDataset, answerer: Answerer, *, indices: Sequence[int], batch_size: int) -> list[str]:
    texts = []
    own = RankSamples(source, "", indices, batch_size=batch_size)
    for item in (item for batch in respond_to_samples(own, GeneratedAnswers(answerer)) for item in batch):
        if isinstance(item, Lost):
            raise DataError(item.reason)
        texts.append(item[1].text)
    return texts
