"""Packs: the samples of one rank in one micro-step, as many as budgets of tokens, tiles and mask images have room for.

Packs are dealt out together, as many as work at the same time: the samples come in the order of the epoch, as many as fit; each goes,
most expensive first, to the cheapest pack that has room. So the packs of a step cost alike, no sample moves to another step, and
what a step holds depends on nothing but the sizes, the seed and its number.
"""

import hashlib
import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import ClassVar

import numpy as np
from torch.utils.data import Sampler

from eocore.data.dataset import SampleKey, random_stream
from eocore.data.loading.sample_stats import FIELDS, read_array, write_array
from eocore.data.loading.shard import WHOLE, Shard
from eocore.errors import ConfigError, LengthError

LIMITED = 3
"""The first so many of FIELDS have a budget."""
NO_LIMIT = np.iinfo(np.int32).max
SHRINK = 64
"""Where samples do not fit, one in so many is left to the next step."""

Cost = Callable[[np.ndarray], np.ndarray]
"""(N, len(FIELDS)) sizes -> (N,) cost of each sample, in any unit."""


@dataclass(frozen=True, kw_only=True)
class PackingOptions:
    """Config section `packing`.

    Attributes:
        max_tokens: of a pack, which is one row.
        max_tiles: of a pack; None = no limit but the tokens.
        max_mask_images: of a pack; None = no limit.
        together: packs that are dealt out together; a multiple of the ranks. None = one a rank. Ranks x micro-steps of an update, to have
            the same updates on another number of ranks.
        full_rows: fill every row up to `max_tokens`, so that compiled code sees one shape.
        folder: where sizes and plans are kept; None = nowhere.
    """

    uncompared: ClassVar[Mapping[str, str]] = {
        "folder": "a cache",
        "together": "the plan is compared, which holds the number it comes to",
    }
    max_tokens: int
    max_tiles: int | None = None
    max_mask_images: int | None = None
    together: int | None = None
    full_rows: bool = False
    folder: str | None = "work_dirs/sample_sizes"

    def __post_init__(self) -> None:
        for name in ("max_tokens", "max_tiles", "max_mask_images", "together"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ConfigError(f"packing.{name} is {value!r}; expected a whole number of at least 1.")

    @property
    def limits(self) -> np.ndarray:
        """(LIMITED,) int64 budgets."""
        given = (self.max_tokens, self.max_tiles, self.max_mask_images)
        return np.array([NO_LIMIT if limit is None else limit for limit in given], dtype=np.int64)


def deal_packs(costs: np.ndarray, sizes: np.ndarray, *, limits: np.ndarray, num_packs: int) -> list[list[int]] | None:
    """Positions of the samples of each pack, the most expensive pack first; None where they do not fit.

    Longest processing time first. Source: R. L. Graham, Bounds on multiprocessing timing anomalies, 1969.

    Args:
        costs: (N,) of each sample, above 0.
        sizes: (N, LIMITED).
        limits: (LIMITED,) budgets of a pack.
        num_packs: how many.
    """
    packs: list[list[int]] = [[] for _ in range(num_packs)]
    room = [limits.tolist() for _ in range(num_packs)]
    loads = [(0.0, number) for number in range(num_packs)]
    needs, prices = sizes.tolist(), costs.tolist()
    for position in np.argsort(-costs, kind="stable").tolist():
        need, passed = needs[position], []
        while loads and any(wanted > free for wanted, free in zip(need, room[loads[0][1]], strict=True)):
            passed.append(heapq.heappop(loads))
        if not loads:
            return None
        load, number = loads[0]
        heapq.heapreplace(loads, (load + prices[position], number))
        packs[number].append(position)
        room[number] = [free - wanted for wanted, free in zip(need, room[number], strict=True)]
        for entry in passed:
            heapq.heappush(loads, entry)
    return [packs[number] for _, number in sorted(loads, key=lambda entry: (-entry[0], entry[1]))]


def cut_epoch(costs: np.ndarray, sizes: np.ndarray, *, limits: np.ndarray, num_packs: int) -> np.ndarray:
    """(G + 1,) int64 positions at which the samples of an epoch, in its order, are cut into groups of `num_packs` packs; first 0, last N.

    A group takes as many samples as fit. The last two share theirs where little was left for the last.

    Raises:
        ConfigError: fewer samples than packs.
    """
    total = len(costs)
    if total < num_packs:
        raise ConfigError(
            f"{total} samples of an epoch are dealt to {num_packs} packs at a time; each needs one. Use fewer ranks, or more data."
        )
    sums = np.concatenate([np.zeros((1, LIMITED), np.int64), np.cumsum(sizes, axis=0, dtype=np.int64)])

    def fit(start: int, end: int) -> bool:
        return deal_packs(costs[start:end], sizes[start:end], limits=limits, num_packs=num_packs) is not None

    cuts = [0]
    while cuts[-1] < total:
        start = cuts[-1]
        most = [
            int(np.searchsorted(sums[:, field], sums[start, field] + num_packs * limits[field], side="right")) - 1
            for field in range(LIMITED)
        ]
        end = max(min(*most, total), min(start + num_packs, total))
        while end > start + num_packs and not fit(start, end):
            end = max(end - max((end - start) // SHRINK, 1), start + num_packs)
        cuts.append(end)
    if len(cuts) > 2 and 2 * (cuts[-1] - cuts[-2]) < cuts[-2] - cuts[-3]:
        half, least = (cuts[-3] + cuts[-1]) // 2, cuts[-1] - num_packs
        cuts[-2] = half if fit(cuts[-3], half) and fit(half, cuts[-1]) else min(cuts[-2], least)
    return np.array(cuts, dtype=np.int64)


class PackSampler(Sampler[list[SampleKey]]):
    """The packs of one rank, without end. The samples of an epoch come in the order in which `GlobalBatchSampler` gives them.

    Every epoch is cut into groups by itself. Starting later costs as much as looking up where that group begins.

    Args:
        num_samples: of one epoch.
        sizes: epoch -> table of sizes (`eocore.data.loading.sample_stats`).
        cost: of samples by their sizes.
        options: budgets.
        shard: this process among all, of which each takes one pack in a micro-step; the seed of the order; the micro-step to begin with.

    Raises:
        ConfigError: `together` is no multiple of the ranks, or an epoch has fewer samples than packs are dealt together.
        LengthError: a sample alone is larger than a pack.
    """

    def __init__(
        self,
        *,
        num_samples: int,
        sizes: Callable[[int], np.ndarray],
        cost: Cost,
        options: PackingOptions,
        shard: Shard = WHOLE,
    ) -> None:
        self.together = options.together or shard.world_size
        if self.together % shard.world_size:
            raise ConfigError(
                f"packing.together is {self.together}, but {shard.world_size} ranks work at the same time: packs would be left over. "
                "Choose a multiple of the ranks."
            )
        self.num_samples, self.sizes, self.cost, self.options = num_samples, sizes, cost, options
        self.shard = shard
        self._cuts: dict[int, np.ndarray] = {}
        self._first_groups = [0]
        self._epoch: tuple[int, np.ndarray, np.ndarray, np.ndarray] | None = None
        self._group: tuple[int, list[list[SampleKey]]] = (-1, [])

    @property
    def global_batch_size(self) -> int:
        """Packs of one micro-step over all ranks."""
        return self.shard.world_size

    @cached_property
    def plan(self) -> str:
        """A digest of all that decides which samples a pack holds."""
        digest = hashlib.sha256(f"{self.shard.seed} {self.together} {self.options.limits.tolist()}".encode())
        digest.update(np.ascontiguousarray(self.sizes(0)).tobytes())
        digest.update(np.asarray(self.cost(self.sizes(0))).tobytes())
        return digest.hexdigest()[:32]

    def __iter__(self) -> Iterator[list[SampleKey]]:
        for step in count(self.shard.start_step):
            yield self.global_batch(step)[self.shard.rank]

    def global_batch(self, step: int) -> list[list[SampleKey]]:
        """The packs of one micro-step, rank by rank."""
        number, index = divmod(step * self.shard.world_size, self.together)
        if self._group[0] != number:
            self._group = (number, self._deal(number))
        return self._group[1][index : index + self.shard.world_size]

    def cuts(self, epoch: int) -> np.ndarray:
        """(G + 1,) where the groups of an epoch begin, in its order, and its end."""
        if epoch not in self._cuts:
            path = None if self.options.folder is None else Path(self.options.folder) / f"{self._digest(epoch)}_groups.npy"
            kept = None if path is None else read_array(path)
            if kept is None:
                _, _, costs, sizes = self._ordered(epoch)
                kept = cut_epoch(costs, sizes, limits=self.options.limits, num_packs=self.together)
                if path is not None and len(kept) > SHRINK:
                    write_array(path, kept)
            self._cuts[epoch] = kept
        return self._cuts[epoch]

    def epoch_packs(self, epoch: int) -> Iterator[list[list[int]]]:
        """Group by group, the samples of each pack as indexes of the dataset."""
        _, order, costs, sizes = self._ordered(epoch)
        cuts = self.cuts(epoch)
        for start, end in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
            packs = deal_packs(costs[start:end], sizes[start:end], limits=self.options.limits, num_packs=self.together)
            assert packs is not None
            yield [order[start:end][pack].tolist() for pack in packs]

    def _deal(self, number: int) -> list[list[SampleKey]]:
        epoch = self._epoch_of(number)
        group = number - self._first_groups[epoch]
        start, end = self.cuts(epoch)[group : group + 2]
        _, order, costs, sizes = self._ordered(epoch)
        packs = deal_packs(costs[start:end], sizes[start:end], limits=self.options.limits, num_packs=self.together)
        assert packs is not None, "a group that was cut fits"
        return [[SampleKey(epoch, int(index)) for index in order[start:end][pack]] for pack in packs]

    def _epoch_of(self, number: int) -> int:
        while self._first_groups[-1] <= number:
            self._first_groups.append(self._first_groups[-1] + len(self.cuts(len(self._first_groups) - 1)) - 1)
        return int(np.searchsorted(self._first_groups, number, side="right")) - 1

    def _ordered(self, epoch: int) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
        """(epoch, order, costs and limited sizes in that order)."""
        if self._epoch is None or self._epoch[0] != epoch:
            table = self.sizes(epoch)
            self._check(table)
            order = random_stream(self.shard.seed, "order", epoch).permutation(self.num_samples)
            costs = np.maximum(np.asarray(self.cost(table), dtype=np.float64), 1.0)[order]
            self._epoch = (epoch, order, costs, table[order, :LIMITED].astype(np.int64))
        return self._epoch

    def _check(self, table: np.ndarray) -> None:
        if table.shape != (self.num_samples, len(FIELDS)):
            raise ConfigError(f"PackSampler: sizes have shape {table.shape}, expected ({self.num_samples}, {len(FIELDS)}).")
        large = (table[:, :LIMITED] > self.options.limits).any(axis=1)
        if large.any():
            worst = int(np.flatnonzero(large)[0])
            held = ", ".join(f"{size} {name}" for name, size in zip(FIELDS, table[worst], strict=True))
            allowed = ", ".join(
                f"{limit} {name}" for name, limit in zip(FIELDS, self.options.limits.tolist(), strict=False) if limit < NO_LIMIT
            )
            raise LengthError(
                f"{int(large.sum())} of {len(table)} samples are larger than a pack alone; the first, of index {worst}, has {held}, a pack "
                f"takes {allowed}. Raise packing.max_*, or lower max_tiles."
            )

    def _digest(self, epoch: int) -> str:
        _, _, costs, sizes = self._ordered(epoch)
        digest = hashlib.sha256(f"{self.together} {self.options.limits.tolist()}".encode())
        digest.update(np.ascontiguousarray(sizes).tobytes() + costs.tobytes())
        return digest.hexdigest()[:32]


def balance(loads: np.ndarray | Sequence[Sequence[float]]) -> float:
    """Fraction of the time [1] in which ranks work that wait for the most expensive of them after every micro-step.

    Args:
        loads: (steps, ranks) costs.
    """
    table = np.asarray(loads, dtype=np.float64)
    return float(table.mean(axis=1).sum() / table.max(axis=1).sum())
