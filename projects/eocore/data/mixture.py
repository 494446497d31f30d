"""A mixture: several datasets drawn from by weight, in an order that depends on (seed, epoch) alone."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from eocore.data.dataset import RecordDataset, SampleKey, SampleSource, Scenes, random_stream
from eocore.data.loading.error_policy import Origin
from eocore.data.records import Record
from eocore.errors import ConfigError
from eocore.option_types import annotations_of, check_option
from eocore.registry import DATASETS


@dataclass(frozen=True, kw_only=True)
class PartOptions:
    """An entry of `Mixture.parts`.

    Attributes:
        data: config of a dataset.
        weight: how often its samples are drawn in an epoch; a number above 0.
        name: for messages; "" = the dataset's.
    """

    uncompared: ClassVar[Mapping[str, str]] = {"name": "stands in messages only"}
    data: Mapping[str, Any]
    weight: float = 1.0
    name: str = ""


class _Part:
    """One dataset of a mixture and how many draws of an epoch are its own."""

    def __init__(self, dataset: SampleSource, name: str, *, weight: float, number: int) -> None:
        self.dataset, self.name, self.weight, self.number = dataset, name, weight, number
        self.draws = round(weight * len(dataset))
        self._orders: dict[int, np.ndarray] = {}

    def order(self, lap: int, seed: int) -> np.ndarray:
        """(N,) permutation of the dataset in its `lap`-th run through; the few laps one epoch meets are kept."""
        if lap not in self._orders:
            while len(self._orders) > math.ceil(self.weight) + 1:
                self._orders.pop(next(iter(self._orders)))
            self._orders[lap] = random_stream(seed, "mixture", self.number, lap).permutation(len(self.dataset)).astype(np.int32)
        return self._orders[lap]


@DATASETS.register_module()
class Mixture(SampleSource):
    """Several datasets as one.

    A dataset of N samples and weight w is drawn round(w * N) times an epoch: weight 3 equals naming the dataset three times, weight
    0.5 shows half of it. Each part runs through its dataset without replacement, lap after lap, and a lap left unfinished by one epoch
    is carried on by the next; so no sample is seen twice before all others were seen once, and the second epoch of weight 0.5 shows the
    other half. Only the draws are arranged here (part after part); a sampler shuffles them.

    Args:
        parts: each with the fields of `PartOptions`.
        seed: of the laps' order.
        name: for messages.

    Raises:
        ConfigError: no part, an unknown key, a weight that is no positive number or gives no draw, or one name twice.
    """

    sections: ClassVar[Mapping[str, Callable[..., Any]]] = {"parts.*": PartOptions}

    def __init__(self, *, parts: Sequence[Mapping[str, Any]], seed: int = 0, name: str = "mixture") -> None:
        self.name = name
        self.seed = seed
        self.parts = [_build_part(part, number) for number, part in enumerate(parts)]
        if not self.parts:
            raise ConfigError(f"{name}: a mixture needs at least one part.")
        names = [part.name for part in self.parts]
        twice = sorted({part for part in names if names.count(part) > 1})
        if twice:
            raise ConfigError(f"{name}: {', '.join(twice)} is duplicated. Give each part its own `name`, or one part a larger weight.")
        self._ends = np.cumsum([part.draws for part in self.parts])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def fractions(self) -> dict[str, float]:
        """Part name -> fraction of all draws [1]."""
        return {part.name: part.draws / len(self) for part in self.parts}

    def locate(self, key: SampleKey) -> tuple[int, SampleKey]:
        """(number of the part, key inside its dataset) of a draw; the inner epoch is the lap."""
        if not 0 <= key.index < len(self):
            raise IndexError(f"{self.name}: draw {key.index} of {len(self)}.")
        number = int(np.searchsorted(self._ends, key.index, side="right"))
        part = self.parts[number]
        draw = key.index - int(self._ends[number]) + part.draws
        lap, index = divmod(key.epoch * part.draws + draw, len(part.dataset))
        return number, SampleKey(lap, int(part.order(lap, self.seed)[index]))

    def draw(self, key: SampleKey, rng: np.random.Generator) -> tuple[Record, RecordDataset]:
        number, inner = self.locate(key)
        return self.parts[number].dataset.draw(inner, rng)

    def read(self, key: SampleKey, rng: np.random.Generator) -> tuple[Record, Scenes]:
        number, inner = self.locate(key)
        return self.parts[number].dataset.read(inner, rng)

    def describe(self, key: SampleKey) -> str:
        number, inner = self.locate(key)
        return f"{self.name}, part '{self.parts[number].name}', {self.parts[number].dataset.describe(inner)}"

    def origin(self, key: SampleKey) -> Origin:
        number, inner = self.locate(key)
        part = self.parts[number]
        return Origin(part.name, len(part.dataset), part.dataset.describe(inner))

    def replacement(self, key: SampleKey, rng: np.random.Generator) -> SampleKey:
        number, _ = self.locate(key)
        part = self.parts[number]
        return SampleKey(key.epoch, int(self._ends[number]) - part.draws + int(rng.integers(part.draws)))

    def leaves(self) -> list[RecordDataset]:
        return [leaf for part in self.parts for leaf in part.dataset.leaves()]

    def lengths(self, epoch: int = 0, *, image_tokens: int = 0) -> np.ndarray:
        return np.concatenate([self._part_lengths(part, epoch, image_tokens=image_tokens) for part in self.parts])

    def _part_lengths(self, part: _Part, epoch: int, *, image_tokens: int) -> np.ndarray:
        laps, indices = np.divmod(epoch * part.draws + np.arange(part.draws), len(part.dataset))
        lengths = np.empty(part.draws, dtype=np.int64)
        for lap in np.unique(laps):
            here = laps == lap
            found = part.dataset.lengths(int(lap), image_tokens=image_tokens)
            lengths[here] = found[part.order(int(lap), self.seed)[indices[here]]]
        return lengths


def _build_part(config: Mapping[str, Any], number: int) -> _Part:
    check_option(f"mixture part {number}", config, annotation=Mapping[str, Any])
    wrong = sorted(set(config) - {"data", "weight", "name"})
    if wrong or "data" not in config:
        found = f"has no key {', '.join(wrong)}" if wrong else "needs data"
        raise ConfigError(f"mixture part {number} {found}. Keys: data, weight, name.")
    for key, annotation in annotations_of(PartOptions).items():
        if key in config and key != "weight":  # of which more is said below
            check_option(f"mixture part {number}.{key}", config[key], annotation=annotation)
    options = PartOptions(**config)
    dataset = DATASETS.build(options.data)
    name, weight = options.name or dataset.name, options.weight
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < math.inf:
        raise ConfigError(f"mixture part '{name}': weight must be a number above 0, found {weight!r}. Remove the part to leave it out.")
    part = _Part(dataset, name, weight=float(weight), number=number)
    if not part.draws:
        raise ConfigError(
            f"mixture part '{name}': weight {weight} of {len(dataset)} samples gives no draw in an epoch. "
            f"Use {1 / len(dataset):.2g} or more."
        )
    return part
