"""How a training that packs its samples will go: packs, balance, steps and hours, from the real sizes of its samples."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eocore.data.dataset import random_stream
from eocore.data.loading.packing import Cost, PackSampler, balance
from eocore.data.loading.sample_stats import FIELDS

PEAK_TFLOPS = 989.4
"""H100 and H200, bfloat16 without sparsity [TFLOP/s]. Source: NVIDIA H100 data sheet (A100: 312)."""
TERA, HOUR_S = 1e12, 3600
QUANTILES = (0.05, 0.5, 0.95, 1.0)
BINS = 60


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """Figures of one epoch.

    Attributes:
        num_gpus: ranks.
        samples: of the epoch.
        totals: tokens, tiles, mask images, masks and supervised tokens of the epoch.
        token_quantiles: length of samples at QUANTILES [tokens].
        packs, samples_per_pack: of the epoch, on all ranks; mean.
        filled: fraction of the packs' room for tokens that is used [1].
        wasted_tokens: padding in the rows [tokens]; 0 where rows end with their last sample.
        balance: fraction of the time in which ranks work that wait for the most expensive pack of each micro-step [1].
        balance_single: the same for one random sample a rank.
        updates: of the epoch.
        tflop: useful operations of the epoch, nothing computed twice [TFLOP].
        hours: of the epoch at `mfu` of `peak_tflops` a GPU, lost balance included.
        mfu, peak_tflops: as assumed.
    """

    num_gpus: int
    samples: int
    totals: Mapping[str, int]
    token_quantiles: Mapping[str, int]
    packs: int
    samples_per_pack: float
    filled: float
    wasted_tokens: int
    balance: float
    balance_single: float
    updates: float
    tflop: float
    hours: float
    mfu: float
    peak_tflops: float


@dataclass(frozen=True, kw_only=True)
class PackFigures:
    """Of every pack of an epoch: (steps, ranks) tokens and costs."""

    tokens: np.ndarray
    costs: np.ndarray


def plan_run(
    sampler: PackSampler, useful: Cost, *, accumulation: int, mfu: float, peak_tflops: float = PEAK_TFLOPS
) -> tuple[RunPlan, PackFigures]:
    """The plan of epoch 0, and its packs.

    Args:
        sampler: of any rank; its cost decides the balance.
        useful: operations that the training cannot do without.
        accumulation: micro-steps of an update.
        mfu: useful operations as a fraction of what the GPU could do.
        peak_tflops: of a GPU [TFLOP/s].
    """
    table = sampler.sizes(0)
    costs, options = np.asarray(sampler.cost(table), dtype=np.float64), sampler.options
    packs = list(sampler.epoch_packs(0))
    ranks = sampler.shard.world_size
    tokens = np.array([[table[pack, 0].sum() for pack in group] for group in packs]).reshape(-1, ranks)
    loads = np.array([[costs[pack].sum() for pack in group] for group in packs]).reshape(-1, ranks)
    tflop = float(np.asarray(useful(table)).sum()) / TERA
    fraction = balance(loads)
    whole = tokens.size * options.max_tokens
    quantiles = np.quantile(table[:, 0], QUANTILES)
    plan = RunPlan(
        num_gpus=ranks,
        samples=len(table),
        totals={name: int(column.sum(dtype=np.int64)) for name, column in zip(FIELDS, table.T, strict=True)},
        token_quantiles={f"{fraction:.0%}": int(value) for fraction, value in zip(QUANTILES, quantiles, strict=True)},
        packs=tokens.size,
        samples_per_pack=len(table) / tokens.size,
        filled=float(tokens.sum() / whole),
        wasted_tokens=int(whole - tokens.sum()) if options.full_rows else 0,
        balance=fraction,
        balance_single=single_balance(costs, ranks, seed=sampler.shard.seed),
        updates=len(tokens) / accumulation,
        tflop=tflop,
        hours=tflop / (ranks * peak_tflops * mfu * fraction) / HOUR_S,
        mfu=mfu,
        peak_tflops=peak_tflops,
    )
    return plan, PackFigures(tokens=tokens, costs=loads)


def single_balance(costs: np.ndarray, num_ranks: int, *, seed: int = 0) -> float:
    """Fraction of the time [1] in which ranks work that each take one random sample and wait for the most expensive; NaN for too few."""
    order = random_stream(seed, "single").permutation(len(costs))[: len(costs) // num_ranks * num_ranks]
    return balance(costs[order].reshape(-1, num_ranks)) if len(order) else float("nan")


def describe(plan: RunPlan) -> list[str]:
    """The plan as a table."""
    totals, lengths = plan.totals, ", ".join(f"{fraction} {value:,}" for fraction, value in plan.token_quantiles.items())
    rows = (
        ("samples of an epoch", f"{plan.samples:,}"),
        ("tokens", f"{totals['tokens']:,} ({totals['scored']:,} supervised)"),
        ("length of samples [tokens]", lengths),
        ("tiles, images for masks, masks", f"{totals['tiles']:,}, {totals['mask_images']:,}, {totals['masks']:,}"),
        ("packs", f"{plan.packs:,} of {plan.samples_per_pack:.1f} samples"),
        ("room for tokens used", f"{plan.filled:.1%}"),
        ("tokens wasted as padding", f"{plan.wasted_tokens:,}"),
        (f"balance of {plan.num_gpus} GPUs", f"{plan.balance:.3f} (one random sample each: {plan.balance_single:.3f})"),
        ("updates of an epoch", f"{plan.updates:,.0f}"),
        ("useful work of an epoch", f"{plan.tflop:,.0f} TFLOP"),
        ("hours of an epoch", f"{plan.hours:,.2f} at {plan.mfu:.0%} of {plan.peak_tflops:g} TFLOP/s a GPU"),
    )
    return [f"  {name:<32}{value}" for name, value in rows]


def as_json(plan: RunPlan) -> dict[str, Any]:
    """The plan for a file."""
    return asdict(plan)


def draw(path: Path, table: np.ndarray, *, packs: PackFigures, max_tokens: int) -> None:
    """PNG: lengths of samples and of packs, and how far the packs of a step are apart in cost.

    Args:
        path: to write.
        table: sizes of the samples.
        packs: of the epoch.
        max_tokens: of a pack.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.0, 3.6), layout="constrained")
    samples, rows, spread = figure.subplots(1, 3)
    samples.hist(table[:, 0], bins=BINS, color="#0072B2")
    samples.set(title=f"{len(table):,} samples", xlabel="tokens of a sample", ylabel="samples", yscale="log")
    rows.hist(packs.tokens.ravel(), bins=BINS, range=(0, max_tokens), color="#0072B2")
    rows.axvline(max_tokens, color="#D55E00", linestyle="--", label=f"room: {max_tokens:,}")
    rows.set(title=f"{packs.tokens.size:,} packs", xlabel="tokens of a pack", ylabel="packs")
    rows.legend(fontsize=8, loc="upper left")
    spread.hist(packs.costs.mean(axis=1) / packs.costs.max(axis=1), bins=BINS, range=(0, 1), color="#0072B2")
    spread.set(title=f"{len(packs.costs):,} micro-steps", xlabel="mean cost / highest cost of the GPUs", ylabel="micro-steps")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
