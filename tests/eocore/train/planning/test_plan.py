"""The plan of a run: its figures are those of the packs or batches that will be dealt."""

import json
from pathlib import Path

import numpy as np
import pytest

from eocore.data.loading.packing import PackingOptions, PackSampler
from eocore.data.loading.sampler import GlobalBatchSampler
from eocore.data.loading.shard import Shard
from eocore.errors import ConfigError
from eocore.train.planning.batches import PlannedBatches
from eocore.train.planning.plan import as_json, describe, draw, plan_run, single_balance

# 24 samples of 100 tokens and 8 of 400, so that two packs of 800 take either four times and more
TABLE = np.array([[100, 1, 0, 0, 10]] * 24 + [[400, 4, 1, 2, 20]] * 8, dtype=np.int32)


SHARD = Shard(world_size=2)


def make_packs(*, full_rows: bool = False) -> PlannedBatches:
    options = PackingOptions(max_tokens=800, full_rows=full_rows, folder=None)
    sampler = PackSampler(num_samples=32, sizes=lambda _: TABLE, cost=lambda table: table[:, 0] * 1e12, options=options, shard=SHARD)
    return PlannedBatches(shard=SHARD, table=TABLE, costs=TABLE[:, 0] * 1e12, useful=TABLE[:, 0] * 1e12, sampler=sampler)


def make_batches(*, batch_size: int, row_length: int | None = None) -> PlannedBatches:
    sampler = GlobalBatchSampler(num_samples=32, batch_size=batch_size, shard=SHARD)
    costs = TABLE[:, 0] * 1e12
    return PlannedBatches(shard=SHARD, table=TABLE, costs=costs, useful=costs, sampler=sampler, row_length=row_length)


def test_figures_are_those_of_the_packs() -> None:
    planned = make_packs()
    plan, packs = plan_run(planned, accumulation=2, mfu=0.5, peak_tflops=100.0)
    assert isinstance(planned.sampler, PackSampler)
    steps = len(planned.sampler.cuts(0)) - 1
    assert (plan.packed, plan.samples, plan.batches, plan.updates) == (True, 32, 2 * steps, steps / 2)
    assert plan.totals == {"tokens": 5600, "tiles": 56, "mask_images": 8, "masks": 16, "scored": 400}
    assert plan.filled == pytest.approx(5600 / (2 * steps * 800)) and plan.wasted_tokens == 0
    assert packs.tokens.shape == packs.costs.shape == (steps, 2) and packs.tokens.sum() == 5600
    assert plan.balance == pytest.approx(packs.costs.mean(axis=1).sum() / packs.costs.max(axis=1).sum())
    assert plan.hours == pytest.approx(5600 / (2 * 100 * 0.5 * plan.balance) / 3600)
    assert plan.samples_per_s == pytest.approx(32 * 2 * 100 * 0.5 * plan.balance / 5600)
    assert plan.token_quantiles["50%"] == 100 and plan.token_quantiles["100%"] == 400


def test_full_rows_waste_their_filling() -> None:
    plan, packs = plan_run(make_packs(full_rows=True), accumulation=1, mfu=0.4)
    assert plan.wasted_tokens == packs.tokens.size * 800 - 5600


def test_batches_are_padded_to_their_longest_sample() -> None:
    planned = make_batches(batch_size=5)
    plan, batches = plan_run(planned, accumulation=1, mfu=0.4)
    groups = list(planned.groups())
    assert (len(groups), plan.packed, plan.batches, plan.samples_per_batch) == (3, False, 6.4, 5.0)
    assert plan.updates == pytest.approx(3.2), "of the last two samples there is a part of an update"
    room = [[5 * max(TABLE[part, 0]) for part in group] for group in groups]
    assert batches.room.tolist() == room and plan.wasted_tokens == np.sum(room) - batches.tokens.sum()
    assert batches.costs.tolist() == [[TABLE[part, 0].sum() * 1e12 for part in group] for group in groups]


def test_rows_of_a_batch_have_room_for_several() -> None:
    planned = make_batches(batch_size=16, row_length=800)
    counts = [[(TABLE[part, 0] == 400).sum() for part in group] for group in planned.groups()]
    assert sum(map(sum, counts)) == 8
    _, batches = plan_run(planned, accumulation=1, mfu=0.4)
    assert all(room % 100 == 0 and room >= tokens for room, tokens in zip(batches.room.flat, batches.tokens.flat, strict=True))
    assert batches.room.sum() < plan_run(make_batches(batch_size=16), accumulation=1, mfu=0.4)[1].room.sum()


def test_too_few_samples_for_a_global_batch_are_an_error() -> None:
    with pytest.raises(ConfigError, match=r"an epoch has 32 samples, a global batch 34: .* Use fewer GPUs"):
        plan_run(make_batches(batch_size=17), accumulation=1, mfu=0.4)


def test_one_sample_a_rank_waits_for_the_dearest() -> None:
    assert single_balance(np.array([1.0, 1.0, 4.0, 4.0]), 4) == pytest.approx(2.5 / 4)
    assert np.isnan(single_balance(np.ones(3), 4))


def test_it_is_told_written_and_drawn(tmp_path: Path) -> None:
    planned = make_packs()
    plan, packs = plan_run(planned, accumulation=1, mfu=0.4)
    text = "\n".join(describe(plan))
    assert f"{plan.batches:,.0f} of {plan.samples_per_batch:.1f} samples" in text and "5,600 (400 supervised)" in text
    assert json.loads(json.dumps(as_json(plan)))["batches"] == plan.batches
    draw(tmp_path / "plots" / "plan.png", planned, figures=packs)
    assert (tmp_path / "plots" / "plan.png").read_bytes()[1:4] == b"PNG"
