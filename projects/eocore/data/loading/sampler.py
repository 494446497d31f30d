"""Which samples each rank takes at each step: a pure function of (seed, step), cut from one global batch."""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
from torch.utils.data import Sampler

from eocore.data.dataset import SampleKey, random_stream
from eocore.data.loading.shard import WHOLE, Shard
from eocore.errors import ConfigError

Keys = np.ndarray
"""(G, 2) int64: epoch and index of each sample."""


@dataclass(frozen=True, kw_only=True)
class LikeLengths:
    """Samples of like length go to one global batch.

    Attributes:
        lengths: epoch -> (num_samples,) cost of each sample.
        window: steps samples may move within.

    Raises:
        ConfigError: the window is empty.
    """

    lengths: Callable[[int], np.ndarray]
    window: int = 16

    def __post_init__(self) -> None:
        if self.window < 1:
            raise ConfigError(f"LikeLengths: window must be at least 1, found {self.window}.")


class GlobalBatchSampler(Sampler[list[SampleKey]]):
    """Lists of `batch_size` sample keys for one rank, without end or for `num_steps` steps.

    The stream of samples is epoch 0 in random order, then epoch 1 in another, and so on. Step s (one optimiser step) takes the samples
    [s * G, (s + 1) * G) of it, with G = batch_size * world_size * accumulate. So no sample is dropped or repeated and no batch is short:
    the batch in which an epoch ends is filled up with the beginning of the next. Any world size with the same G gets the same set of
    samples at each step. Starting at a later step costs nothing.

    With `like_lengths`, samples are moved inside windows of so many steps so that each global batch holds samples of like length, the
    batches of a window come in random order, and the samples of a batch are dealt out so that all ranks carry like loads.

    Args:
        num_samples: samples of one epoch.
        batch_size: samples of one rank in one micro-step.
        shard: this process among all, the seed of the order, and the optimiser step to begin with.
        num_steps: optimiser step to end before; None = never.
        accumulate: micro-steps of one optimiser step; each yields one list.
        like_lengths: cost of the samples, and how far they may move; None = they stay where they are.

    Raises:
        ConfigError: a count out of range; later, lengths of another number than num_samples.
    """

    def __init__(
        self,
        *,
        num_samples: int,
        batch_size: int,
        shard: Shard = WHOLE,
        num_steps: int | None = None,
        accumulate: int = 1,
        like_lengths: LikeLengths | None = None,
    ) -> None:
        for name, value in {"num_samples": num_samples, "batch_size": batch_size, "accumulate": accumulate}.items():
            if value < 1:
                raise ConfigError(f"GlobalBatchSampler: {name} must be at least 1, found {value}.")
        if num_steps is not None and num_steps < shard.start_step:
            raise ConfigError(f"GlobalBatchSampler: start_step {shard.start_step} must lie between 0 and num_steps {num_steps}.")
        self.num_samples, self.batch_size, self.accumulate, self.num_steps = num_samples, batch_size, accumulate, num_steps
        self.shard, self.like_lengths = shard, like_lengths
        self.window = 1 if like_lengths is None else like_lengths.window
        self._orders: dict[int, np.ndarray] = {}
        self._costs: dict[int, np.ndarray] = {}
        self._windows: dict[int, tuple[Keys, np.ndarray]] = {}

    @property
    def global_batch_size(self) -> int:
        """Samples of one optimiser step over all ranks."""
        return self.batch_size * self.shard.world_size * self.accumulate

    def __len__(self) -> int:
        """Lists yet to come. Raises TypeError where there is no end."""
        if self.num_steps is None:
            raise TypeError("GlobalBatchSampler has no length without num_steps.")
        return (self.num_steps - self.shard.start_step) * self.accumulate

    def __iter__(self) -> Iterator[list[SampleKey]]:
        start = self.shard.start_step
        steps = count(start) if self.num_steps is None else range(start, self.num_steps)
        for step in steps:
            chunks = self.global_batch(step)
            for micro in range(self.accumulate):
                yield chunks[micro * self.shard.world_size + self.shard.rank]

    def global_batch(self, step: int) -> list[list[SampleKey]]:
        """The samples of one optimiser step: micro-step by micro-step, and within each rank by rank."""
        number, index = divmod(step, self.window)
        keys, costs = self._window(number)
        chosen = slice(index * self.global_batch_size, (index + 1) * self.global_batch_size)
        parts = np.arange(self.global_batch_size).reshape(-1, self.batch_size)
        if self.like_lengths is not None:
            parts = deal(costs[chosen], num_parts=len(parts))
        return [[SampleKey(int(epoch), int(index)) for epoch, index in keys[chosen][part]] for part in parts]

    def _window(self, number: int) -> tuple[Keys, np.ndarray]:
        if number not in self._windows:
            size = self.window * self.global_batch_size
            epochs, indices = np.divmod(number * size + np.arange(size), self.num_samples)
            keys, costs = np.empty((size, 2), dtype=np.int64), np.zeros(size)
            for epoch in np.unique(epochs):
                here = epochs == epoch
                keys[here, 0], keys[here, 1] = epoch, self._order(int(epoch))[indices[here]]
                if self.like_lengths is not None:
                    costs[here] = self._cost(int(epoch), self.like_lengths.lengths)[keys[here, 1]]
            if self.like_lengths is not None:
                moved = self._by_length(costs, number)
                keys, costs = keys[moved], costs[moved]
            self._windows = {number: (keys, costs)}
        return self._windows[number]

    def _by_length(self, costs: np.ndarray, number: int) -> np.ndarray:
        # The order is random already, so a stable sort leaves samples of equal length in random order.
        batches = np.argsort(costs, kind="stable").reshape(self.window, self.global_batch_size)
        return random_stream(self.shard.seed, "window", number).permutation(batches).reshape(-1)

    def _order(self, epoch: int) -> np.ndarray:
        if epoch not in self._orders:
            _forget_before(self._orders, epoch - 1)
            self._orders[epoch] = random_stream(self.shard.seed, "order", epoch).permutation(self.num_samples)
        return self._orders[epoch]

    def _cost(self, epoch: int, lengths: Callable[[int], np.ndarray]) -> np.ndarray:
        if epoch not in self._costs:
            _forget_before(self._costs, epoch - 1)
            costs = np.asarray(lengths(epoch))
            if costs.shape != (self.num_samples,):
                raise ConfigError(f"GlobalBatchSampler: lengths of epoch {epoch} have shape {costs.shape}, expected ({self.num_samples},).")
            self._costs[epoch] = costs
        return self._costs[epoch]


def deal(costs: np.ndarray, *, num_parts: int) -> np.ndarray:
    """Equal parts of like cost, the most expensive part first, so that neighbours (the ranks of one micro-step) weigh alike.

    Longest first into the lightest part that has room. Source: R. L. Graham, Bounds on multiprocessing timing anomalies, 1969.

    Args:
        costs: (G,) cost of each sample; G a multiple of `num_parts`.
        num_parts: ranks times micro-steps.

    Returns:
        (num_parts, G / num_parts) positions in `costs`.
    """
    room = len(costs) // num_parts
    parts: list[list[int]] = [[] for _ in range(num_parts)]
    open_parts = [(0.0, number) for number in range(num_parts)]
    for position in np.argsort(-costs, kind="stable"):
        load, number = heapq.heappop(open_parts)
        parts[number].append(int(position))
        if len(parts[number]) < room:
            heapq.heappush(open_parts, (load + float(costs[position]), number))
    dealt = np.array(parts)
    return dealt[np.argsort(-costs[dealt].sum(axis=1), kind="stable")]


def _forget_before(cache: dict[int, np.ndarray], epoch: int) -> None:
    for old in [known for known in cache if known < epoch]:
        del cache[old]
