"""The plan of a run: its figures are those of the packs that will be dealt."""

import json
from pathlib import Path

import numpy as np
import pytest

from eocore.data.loading.packing import PackingOptions, PackSampler
from eocore.data.loading.shard import Shard
from eocore.train.planning.plan import as_json, describe, draw, plan_run, single_balance

# 24 samples of 100 tokens and 8 of 400, so that two packs of 800 take either four times and more
TABLE = np.array([[100, 1, 0, 0, 10]] * 24 + [[400, 4, 1, 2, 20]] * 8, dtype=np.int32)


def make_sampler(*, full_rows: bool = False) -> PackSampler:
    options = PackingOptions(max_tokens=800, full_rows=full_rows, folder=None)
    return PackSampler(
        num_samples=32, sizes=lambda _: TABLE, cost=lambda table: table[:, 0] * 1e12, options=options, shard=Shard(world_size=2)
    )


def test_figures_are_those_of_the_packs() -> None:
    sampler = make_sampler()
    plan, packs = plan_run(sampler, lambda table: table[:, 0] * 1e12, accumulation=2, mfu=0.5, peak_tflops=100.0)
    steps = len(sampler.cuts(0)) - 1
    assert (plan.samples, plan.packs, plan.updates) == (32, 2 * steps, steps / 2)
    assert plan.totals == {"tokens": 5600, "tiles": 56, "mask_images": 8, "masks": 16, "scored": 400}
    assert plan.filled == pytest.approx(5600 / (2 * steps * 800)) and plan.wasted_tokens == 0
    assert packs.tokens.shape == packs.costs.shape == (steps, 2) and packs.tokens.sum() == 5600
    assert plan.balance == pytest.approx(packs.costs.mean(axis=1).sum() / packs.costs.max(axis=1).sum())
    assert plan.hours == pytest.approx(5600 / (2 * 100 * 0.5 * plan.balance) / 3600)
    assert plan.token_quantiles["50%"] == 100 and plan.token_quantiles["100%"] == 400


def test_full_rows_waste_their_filling() -> None:
    plan, packs = plan_run(make_sampler(full_rows=True), lambda table: table[:, 0], accumulation=1, mfu=0.4)
    assert plan.wasted_tokens == packs.tokens.size * 800 - 5600


def test_one_sample_a_rank_waits_for_the_dearest() -> None:
    assert single_balance(np.array([1.0, 1.0, 4.0, 4.0]), 4) == pytest.approx(2.5 / 4)
    assert np.isnan(single_balance(np.ones(3), 4))


def test_it_is_told_written_and_drawn(tmp_path: Path) -> None:
    plan, packs = plan_run(make_sampler(), lambda table: table[:, 0], accumulation=1, mfu=0.4)
    text = "\n".join(describe(plan))
    assert f"{plan.packs:,} of {plan.samples_per_pack:.1f} samples" in text and "5,600 (400 supervised)" in text
    assert json.loads(json.dumps(as_json(plan)))["packs"] == plan.packs
    draw(tmp_path / "plots" / "plan.png", TABLE, packs=packs, max_tokens=800)
    assert (tmp_path / "plots" / "plan.png").read_bytes()[1:4] == b"PNG"
