"""How much faster a model answers in batches than one by one: the same samples, in one process, taking turns."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eocore.data.dataset import RecordDataset, SampleKey
from eocore.errors import ConfigError

from .run import Answerer, Sample


@dataclass(frozen=True)
class Throughput:
    """Samples a second by batch size.

    Attributes:
        num_samples: answered in each turn.
        rates: batch size -> samples/s of its fastest turn.
        same_texts: share of samples whose text is the same at every batch size.
    """

    num_samples: int
    rates: dict[int, float]
    same_texts: float

    def ratio(self, batch_size: int) -> float:
        """How many times as fast as batch size 1."""
        return self.rates[batch_size] / self.rates[1]


def measure_throughput(
    source: RecordDataset, answerer: Answerer, *, batch_sizes: Sequence[int], num_samples: int, turns: int = 3,
    on_turn: Callable[[], None] = lambda: None,
) -> Throughput:  # fmt: skip
    """Times the answers alone: images are read before.

    Args:
        source: the samples, images of one setting.
        answerer: of the model.
        batch_sizes: to compare; 1 is always among them.
        num_samples: to answer, from the first on, taken again from the start where there are fewer.
        turns: of each batch size, in turn, so that a busy moment of the machine hits all alike; the fastest counts.
        on_turn: called after each turn.

    Raises:
        ConfigError: a batch size or count below 1.
        DataError: a sample cannot be read.
    """
    sizes = sorted({1, *batch_sizes})
    if sizes[0] < 1 or num_samples < 1 or turns < 1:
        raise ConfigError(f"batch sizes {list(batch_sizes)}, {num_samples} samples, {turns} turns: all must be at least 1.")
    samples: list[Sample] = []
    for number in range(num_samples):
        record, scenes, _ = source.load(SampleKey(0, number % len(source)))
        samples.append((record, scenes))
    answerer(samples[: sizes[-1]])
    seconds = {size: float("inf") for size in sizes}
    texts: dict[int, list[str]] = {}
    for _ in range(turns):
        for size in sizes:
            began = time.perf_counter()
            answers = [answer for first in range(0, num_samples, size) for answer in answerer(samples[first : first + size])]
            seconds[size] = min(seconds[size], time.perf_counter() - began)
            texts[size] = [answer.text for answer in answers]
            on_turn()
    same = sum(len({texts[size][place] for size in sizes}) == 1 for place in range(num_samples))
    return Throughput(num_samples, {size: num_samples / seconds[size] for size in sizes}, same / num_samples)
