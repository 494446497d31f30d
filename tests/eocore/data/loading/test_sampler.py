"""The global batch: nothing dropped or repeated, the same for every world size and start, even over ranks."""

import itertools
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from torch.utils.data import DataLoader

from eocore.data.dataset import SampleKey
from eocore.data.loading.sampler import GlobalBatchSampler, LikeLengths, deal
from eocore.data.loading.shard import Shard
from eocore.errors import ConfigError

LENGTHS = np.random.default_rng(0).lognormal(6, 1, size=1000)


def lengths(epoch: int) -> np.ndarray:
    return np.roll(LENGTHS, epoch)


def steps(
    first: int, last: int, *, world_size: int = 1, seed: int = 0, lengths: Any = None, window: int = 16, **settings: Any
) -> list[list[SampleKey]]:
    """All keys of each step, over all ranks, in the order the ranks yield them."""
    per_rank = []
    for rank in range(world_size):
        shard = Shard(rank=rank, world_size=world_size, start_step=first, seed=seed)
        like = None if lengths is None else LikeLengths(lengths=lengths, window=window)
        sampler = GlobalBatchSampler(shard=shard, num_steps=last, like_lengths=like, **settings)
        batches = list(sampler)
        assert len(batches) == len(sampler) == (last - first) * sampler.accumulate
        assert all(len(batch) == settings["batch_size"] for batch in batches)
        per_rank.append([joined(batches[step : step + sampler.accumulate]) for step in range(0, len(batches), sampler.accumulate)])
    return [joined(parts) for parts in zip(*per_rank, strict=True)]


def joined(batches: Iterable[list[SampleKey]]) -> list[SampleKey]:
    return list(itertools.chain.from_iterable(batches))


@pytest.mark.parametrize("cost", [None, lambda epoch: LENGTHS[:10]])
def test_every_epoch_shows_every_sample_once_and_runs_on_into_the_next(cost: Any) -> None:
    batches = steps(0, 30, num_samples=10, batch_size=4, seed=1, lengths=cost, window=3)
    keys = joined(batches)
    assert sorted(keys) == [SampleKey(epoch, index) for epoch in range(12) for index in range(10)]


def test_without_lengths_epochs_follow_each_other_in_random_order() -> None:
    keys = joined(steps(0, 30, num_samples=10, batch_size=4))
    epochs = [keys[start : start + 10] for start in range(0, 120, 10)]
    assert [sorted(epoch) for epoch in epochs] == [[SampleKey(number, index) for index in range(10)] for number in range(12)]
    assert len({tuple(key.index for key in epoch) for epoch in epochs}) == 12


@pytest.mark.parametrize("cost", [None, lengths])
def test_the_global_batch_is_the_same_set_for_any_world_size(cost: Any) -> None:
    settings = {"num_samples": 1000, "seed": 3, "lengths": cost, "window": 4}
    one = steps(0, 150, batch_size=8, **settings)
    two = steps(0, 150, batch_size=4, world_size=2, **settings)
    accumulated = steps(0, 150, batch_size=2, world_size=2, accumulate=2, **settings)
    four = steps(0, 150, batch_size=2, world_size=4, **settings)
    assert [set(batch) for batch in one] == [set(batch) for batch in two] == [set(batch) for batch in four]
    assert [set(batch) for batch in one] == [set(batch) for batch in accumulated]
    assert all(len(set(batch)) == 8 for batch in one)


@pytest.mark.parametrize("cost", [None, lengths])
def test_a_later_start_gives_the_same_batches(cost: Any) -> None:
    settings = {"num_samples": 1000, "batch_size": 3, "world_size": 2, "accumulate": 2, "lengths": cost, "window": 5}
    assert steps(0, 200, **settings)[137:] == steps(137, 200, **settings)


def test_a_later_start_costs_no_more() -> None:
    def seconds(start: int) -> float:
        ones = LikeLengths(lengths=lambda epoch: np.ones(200_000))
        sampler = GlobalBatchSampler(num_samples=200_000, batch_size=16, shard=Shard(start_step=start), like_lengths=ones)
        begin = time.process_time()
        next(iter(sampler))
        return time.process_time() - begin

    seconds(0)
    assert min(seconds(10**7 + repeat) for repeat in range(8)) < 5 * min(seconds(repeat) for repeat in range(8)) + 0.05


def test_order_depends_on_the_seed() -> None:
    settings = {"num_samples": 1000, "batch_size": 8, "lengths": lengths}
    assert steps(0, 20, seed=1, **settings) == steps(0, 20, seed=1, **settings)
    assert steps(0, 20, seed=1, **settings) != steps(0, 20, seed=2, **settings)


def test_batches_hold_samples_of_like_length_in_no_order_of_length() -> None:
    def spread(batches: list[list[SampleKey]]) -> float:
        costs = [[lengths(key.epoch)[key.index] for key in batch] for batch in batches]
        return float(np.mean([np.std(batch) / np.mean(batch) for batch in costs]))

    grouped = steps(0, 62, num_samples=1000, batch_size=16, lengths=lengths, window=31)
    assert spread(grouped) < 0.25 * spread(steps(0, 62, num_samples=1000, batch_size=16))
    means = [np.mean([lengths(key.epoch)[key.index] for key in batch]) for batch in grouped[:31]]
    assert abs(np.corrcoef(means, np.arange(31))[0, 1]) < 0.5


def test_ranks_of_a_micro_step_carry_like_loads() -> None:
    def efficiency(cost: Any) -> float:
        """Mean over micro-steps of mean load / largest load of the 4 ranks."""
        like = None if cost is None else LikeLengths(lengths=cost, window=1)
        sampler = GlobalBatchSampler(num_samples=1000, batch_size=8, shard=Shard(world_size=4), accumulate=2, like_lengths=like)
        loads = []
        for step in range(15):
            chunks = sampler.global_batch(step)
            costs = np.array([sum(LENGTHS[key.index] for key in chunk) for chunk in chunks]).reshape(2, 4)
            loads.append((costs.mean(axis=1) / costs.max(axis=1)).mean())
        return float(np.mean(loads))

    assert efficiency(lambda epoch: LENGTHS) > 0.93
    assert efficiency(None) < 0.8


def test_dealt_shares_are_equal_in_number_and_hold_everything() -> None:
    costs = np.array([9.0, 1, 1, 1, 5, 5, 4, 4, 0, 0, 0, 0])
    parts = deal(costs, num_parts=3)
    assert parts.shape == (3, 4)
    assert sorted(parts.flatten()) == list(range(12))
    assert costs[parts].sum(axis=1).tolist() == [10, 10, 10]


def test_lengths_are_asked_for_each_epoch() -> None:
    asked: list[int] = []

    def remember(epoch: int) -> np.ndarray:
        asked.append(epoch)
        return np.ones(10)

    list(GlobalBatchSampler(num_samples=10, batch_size=5, num_steps=8, like_lengths=LikeLengths(lengths=remember, window=2)))
    assert asked == [0, 1, 2, 3]


def test_keys_reach_the_dataset_through_a_loader() -> None:
    class Echo:
        def __len__(self) -> int:
            return 10

        def __getitem__(self, key: SampleKey) -> tuple[int, int]:
            return key.epoch, key.index

    sampler = GlobalBatchSampler(num_samples=10, batch_size=4)
    loader: Any = DataLoader(Echo(), batch_sampler=sampler, collate_fn=list, num_workers=2)  # type: ignore[arg-type]
    assert list(itertools.islice(loader, 6)) == list(itertools.islice(sampler, 6))


def test_without_an_end_there_is_no_length() -> None:
    with pytest.raises(TypeError, match="no length without num_steps"):
        len(GlobalBatchSampler(num_samples=3, batch_size=1))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_samples": 0}, "num_samples must be at least 1, found 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, found 0"),
        ({"accumulate": 0}, "accumulate must be at least 1, found 0"),
        ({"shard": Shard(start_step=5), "num_steps": 4}, "start_step 5 must lie between 0 and num_steps 4"),
    ],
)
def test_wrong_numbers_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"GlobalBatchSampler: {message}"):
        GlobalBatchSampler(**{"num_samples": 10, "batch_size": 2, **settings})


def test_an_empty_window_is_named() -> None:
    with pytest.raises(ConfigError, match="LikeLengths: window must be at least 1, found 0"):
        LikeLengths(lengths=lengths, window=0)


def test_lengths_of_another_number_are_named() -> None:
    sampler = GlobalBatchSampler(num_samples=10, batch_size=2, like_lengths=LikeLengths(lengths=lambda epoch: np.ones(9)))
    with pytest.raises(ConfigError, match=r"lengths of epoch 0 have shape \(9,\), expected \(10,\)"):
        next(iter(sampler))
