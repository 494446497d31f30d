"""Packs: within their budgets, full, alike in cost, in an order that depends on seed and step alone."""

import itertools
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eocore.data.dataset import SampleKey
from eocore.data.loading.packing import LIMITED, PackingOptions, PackSampler, balance, cut_epoch, deal_packs
from eocore.data.loading.shard import Shard
from eocore.errors import ConfigError, LengthError

NUM_SAMPLES = 1200
LIMITS = {"max_tokens": 8192, "max_tiles": 30, "max_mask_images": 4}


def make_table(epoch: int) -> np.ndarray:
    """Sizes of a mixture like that of upstream: mostly one tile, some of five and ten, some with masks, few pairs of ten."""
    rng = np.random.default_rng(epoch)
    kinds = rng.choice(5, NUM_SAMPLES, p=[0.75, 0.1, 0.05, 0.08, 0.02])
    tiles = np.array([1, 5, 10, 1, 20])[kinds]
    masks = np.where(kinds == 3, rng.integers(1, 6, NUM_SAMPLES), 0)
    tokens = 256 * tiles + rng.integers(30, 200, NUM_SAMPLES)
    return np.stack([tokens, tiles, masks > 0, masks, rng.integers(2, 60, NUM_SAMPLES)], axis=1).astype(np.int32)


def cost(table: np.ndarray) -> np.ndarray:
    return 1.2e10 * table[:, 0] + 4.4e5 * table[:, 0].astype(float) ** 2 + 7.4e11 * table[:, 1] + 1.8e12 * table[:, 2]


def sampler(**choices: Any) -> PackSampler:
    options = {**LIMITS, "folder": None, **{key: choices.pop(key) for key in ("together", "folder", *LIMITS) if key in choices}}
    shard = Shard(**{field.name: choices.pop(field.name) for field in fields(Shard) if field.name in choices})
    given = {"num_samples": NUM_SAMPLES, "sizes": make_table, "cost": cost, "options": PackingOptions(**options), "shard": shard}
    return PackSampler(**{**given, **choices})


def indexes(packs: Sequence[Sequence[SampleKey]]) -> list[int]:
    return [key.index for pack in packs for key in pack]


def epoch_of(packer: PackSampler) -> list[list[list[SampleKey]]]:
    """The steps of epoch 0."""
    return [packer.global_batch(step) for step in range(len(packer.cuts(0)) - 1)]


class TestPacks:
    def test_every_budget_is_kept_and_every_sample_seen_once(self) -> None:
        table, steps = make_table(0), epoch_of(sampler(world_size=8))
        for pack in itertools.chain(*steps):
            assert pack and (table[[key.index for key in pack], :LIMITED].sum(axis=0) <= list(LIMITS.values())).all()
        assert sorted(index for packs in steps for index in indexes(packs)) == list(range(NUM_SAMPLES))

    @pytest.mark.parametrize("limit", list(LIMITS))
    def test_packs_are_as_full_as_the_scarcest_budget_allows(self, limit: str) -> None:
        column = list(LIMITS).index(limit)
        roomy = {name: 10**6 for name in LIMITS} | {limit: {"max_tokens": 8192, "max_tiles": 24, "max_mask_images": 3}[limit]}
        table, steps = make_table(0), epoch_of(sampler(world_size=4, **roomy))
        filled = [table[indexes(packs), column].sum() / (4 * roomy[limit]) for packs in steps[:-2]]
        assert np.mean(filled) > 0.93

    def test_ranks_of_a_step_cost_alike(self) -> None:
        table, steps = make_table(0), epoch_of(sampler(world_size=8))
        prices = cost(table)
        loads = [[prices[[key.index for key in pack]].sum() for pack in packs] for packs in steps]
        random = np.random.default_rng(0).permutation(prices)[: 8 * (NUM_SAMPLES // 8)].reshape(-1, 8)
        assert balance(loads) > 0.95 > 0.5 > balance(random.tolist())

    def test_samples_keep_to_the_order_of_the_epoch(self) -> None:
        from eocore.data.loading.sampler import GlobalBatchSampler

        plain = GlobalBatchSampler(num_samples=NUM_SAMPLES, batch_size=NUM_SAMPLES).global_batch(0)[0]
        place = {key.index: number for number, key in enumerate(plain)}
        steps = epoch_of(sampler(world_size=8))
        ends = np.cumsum([0, *(len(indexes(packs)) for packs in steps)])
        for packs, start, end in zip(steps, ends[:-1], ends[1:], strict=True):
            assert {place[index] for index in indexes(packs)} == set(range(start, end))

    def test_the_last_step_of_an_epoch_has_a_share_for_every_rank(self) -> None:
        for count in range(8, 300, 7):
            table = make_table(0)[:count]
            cuts = cut_epoch(cost(table), table[:, :LIMITED].astype(np.int64), limits=PackingOptions(**LIMITS).limits, num_packs=8)
            assert (np.diff(cuts) >= 8).all() and cuts[-1] == count
            parts = itertools.pairwise(cuts)
            assert all(deal_packs(cost(table[a:b]), table[a:b, :3], limits=PackingOptions(**LIMITS).limits, num_packs=8) for a, b in parts)


class TestOrder:
    def test_it_depends_on_seed_and_step_alone(self) -> None:
        first, again = sampler(world_size=2), sampler(world_size=2)
        later = [again.global_batch(step) for step in (170, 3, 90)]
        assert later == [[first.global_batch(step) for step in range(200)][step] for step in (170, 3, 90)]
        assert sampler(world_size=2, seed=1).global_batch(0) != first.global_batch(0)

    def test_epochs_follow_each_other(self) -> None:
        packer = sampler(world_size=2)
        steps = len(packer.cuts(0)) - 1
        assert {key.epoch for key in packer.global_batch(steps - 1)[0]} == {0}
        assert {key.epoch for pack in packer.global_batch(steps) for key in pack} == {1}

    def test_a_rank_gets_its_packs(self) -> None:
        ranks = [list(itertools.islice(sampler(world_size=4, rank=rank, start_step=5), 3)) for rank in range(4)]
        assert [[list(packs) for packs in zip(*ranks, strict=True)][step] for step in range(3)] == [
            sampler(world_size=4).global_batch(step) for step in (5, 6, 7)
        ]

    def test_packs_dealt_together_are_the_same_updates_on_any_number_of_ranks(self) -> None:
        def updates(world_size: int) -> list[list[list[SampleKey]]]:
            packer = sampler(world_size=world_size, together=8)
            micro = 8 // world_size
            return [list(itertools.chain(*(packer.global_batch(step * micro + part) for part in range(micro)))) for step in range(4)]

        assert updates(8) == updates(4) == updates(1)
        assert sampler(world_size=4, together=8).plan == sampler(world_size=8).plan != sampler(world_size=4).plan

    def test_a_later_start_reads_the_plan_that_was_kept(self, tmp_path: Path) -> None:
        many = 60_000
        table = np.tile(make_table(0), (50, 1))
        choices = {"num_samples": many, "sizes": lambda epoch: table, "folder": str(tmp_path), "world_size": 2}
        begin = time.process_time()
        step = len(sampler(**choices).cuts(0)) - 2
        planned = time.process_time() - begin
        expected = sampler(**choices).global_batch(step)
        started = []
        for _ in range(5):  # the quickest: others may find the processor's caches full
            begin = time.process_time()
            assert next(iter(sampler(start_step=step, **choices))) == expected[0]
            started.append(time.process_time() - begin)
        assert min(started) < planned / 5
        (kept,) = tmp_path.iterdir()
        kept.write_bytes(kept.read_bytes()[:50])
        assert sampler(**choices).global_batch(step) == expected, "a broken file is made again"


class TestRefusals:
    def test_a_sample_larger_than_a_pack_is_named(self) -> None:
        with pytest.raises(LengthError, match=r"\d+ of 1200 samples are larger than a pack alone; .* takes 2048 tokens, 30 tiles, 4 mask"):
            sampler(max_tokens=2048).global_batch(0)

    def test_too_few_samples_are_named(self) -> None:
        with pytest.raises(ConfigError, match="5 samples of an epoch are dealt to 8 packs at a time"):
            sampler(num_samples=5, sizes=lambda epoch: make_table(0)[:5], world_size=8).global_batch(0)

    def test_packs_that_ranks_cannot_share_are_named(self) -> None:
        with pytest.raises(ConfigError, match=r"packing\.together is 6, but 4 ranks work at the same time"):
            sampler(world_size=4, together=6)

    @pytest.mark.parametrize("value", [0, -1, 2.5, True])
    def test_a_budget_that_is_none_is_named(self, value: Any) -> None:
        with pytest.raises(ConfigError, match=r"packing\.max_tiles is .*; expected a whole number of at least 1"):
            PackingOptions(max_tokens=10, max_tiles=value)

    def test_sizes_of_another_data_set_are_named(self) -> None:
        with pytest.raises(ConfigError, match=r"sizes have shape \(1200, 5\), expected \(7, 5\)"):
            sampler(num_samples=7).global_batch(0)
