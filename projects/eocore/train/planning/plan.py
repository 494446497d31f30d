"""How a training will go: batches or packs, balance, steps and hours, from the sizes of its samples."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eocore.data.dataset import random_stream
from eocore.data.loading.packing import PackSampler, balance
from eocore.data.loading.sample_stats import FIELDS
from eocore.train.planning.batches import PlannedBatches

PEAK_TFLOPS = 989.4
"""H100 and H200, bfloat16 without sparsity [TFLOP/s]. Source: NVIDIA H100 data sheet (A100: 312)."""
TERA, HOUR_S = 1e12, 3600
QUANTILES = (0.05, 0.5, 0.95, 1.0)
BINS = 60
SHOWN_WHOLE = 100


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """Figures of one epoch.

    Attributes:
        num_gpus: ranks.
        samples: of the epoch.
        totals: tokens, tiles, mask images, masks and supervised tokens of the epoch.
        token_quantiles: length of samples at QUANTILES [tokens].
        packed: whether samples are dealt to packs; else each batch holds as many.
        batches, samples_per_batch: packs or batches of the epoch, on all ranks, and how many samples one holds; mean. An unpacked epoch
            that ends within a global batch counts as the part of one that it is.
        filled: fraction of the room for tokens that is used [1]: of the packs' budgets, or of the rows of batches.
        wasted_tokens: padding in the rows [tokens]; 0 where rows of packs end with their last sample.
        balance: fraction of the time in which ranks work that wait for the most expensive pack of each micro-step [1].
        balance_single: the same for one random sample a rank.
        updates: of the epoch.
        tflop: useful operations of the epoch, nothing computed twice [TFLOP].
        hours: of the epoch at `mfu` of `peak_tflops` a GPU, lost balance included.
        samples_per_s: that the loaders of all ranks must give for it.
        mfu, peak_tflops: as assumed.
    """

    num_gpus: int
    samples: int
    totals: Mapping[str, int]
    token_quantiles: Mapping[str, int]
    packed: bool
    batches: float
    samples_per_batch: float
    filled: float
    wasted_tokens: int
    balance: float
    balance_single: float
    updates: float
    tflop: float
    hours: float
    samples_per_s: float
    mfu: float
    peak_tflops: float


@dataclass(frozen=True, kw_only=True)
class BatchFigures:
    """Of every pack or batch of an epoch: (steps, ranks) tokens, tokens that there is room for, and costs."""

    tokens: np.ndarray
    room: np.ndarray
    costs: np.ndarray


def plan_run(planned: PlannedBatches, *, accumulation: int, mfu: float, peak_tflops: float = PEAK_TFLOPS) -> tuple[RunPlan, BatchFigures]:
    """The plan of epoch 0, and its batches.

    Args:
        planned: the batches.
        accumulation: micro-steps of an update.
        mfu: useful operations as a fraction of what the GPU could do.
        peak_tflops: of a GPU [TFLOP/s].

    Raises:
        ConfigError: an epoch has fewer samples than a global batch.
    """
    table, ranks = planned.table, planned.shard.world_size
    figures, tflop = measure_batches(planned), float(planned.useful.sum()) / TERA
    sampler = planned.sampler
    packed = isinstance(sampler, PackSampler)
    batches = float(figures.tokens.size) if packed else len(table) / sampler.global_batch_size * ranks
    used, fraction = float(figures.tokens.sum() / figures.room.sum()), balance(figures.costs)
    padded = sampler.options.full_rows if isinstance(sampler, PackSampler) else True
    quantiles, hours = np.quantile(table[:, 0], QUANTILES), tflop / (ranks * peak_tflops * mfu * fraction) / HOUR_S
    plan = RunPlan(
        num_gpus=ranks,
        samples=len(table),
        totals={name: int(column.sum(dtype=np.int64)) for name, column in zip(FIELDS, table.T, strict=True)},
        token_quantiles={f"{fraction:.0%}": int(value) for fraction, value in zip(QUANTILES, quantiles, strict=True)},
        packed=packed,
        batches=batches,
        samples_per_batch=len(table) / batches,
        filled=used,
        wasted_tokens=int((figures.room - figures.tokens).sum()) if padded else 0,
        balance=fraction,
        balance_single=single_balance(planned.costs, ranks, seed=planned.shard.seed),
        updates=batches / ranks / accumulation,
        tflop=tflop,
        hours=hours,
        samples_per_s=len(table) / (hours * HOUR_S),
        mfu=mfu,
        peak_tflops=peak_tflops,
    )
    return plan, figures


def measure_batches(planned: PlannedBatches) -> BatchFigures:
    """Tokens, room and costs of every batch of epoch 0. Raises ConfigError as `PlannedBatches.groups`."""
    ranks, lengths = planned.shard.world_size, planned.table[:, 0]
    rows = [
        (lengths[part].sum(dtype=np.int64), planned.room(part), planned.costs[part].sum()) for group in planned.groups() for part in group
    ]
    tokens, room, costs = (np.array(column).reshape(-1, ranks) for column in zip(*rows, strict=True))
    return BatchFigures(tokens=tokens, room=room, costs=costs)


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
        ("packs" if plan.packed else "batches", f"{plan.batches:,.0f} of {plan.samples_per_batch:.1f} samples"),
        ("room for tokens used", f"{plan.filled:.1%}"),
        ("tokens wasted as padding", f"{plan.wasted_tokens:,}"),
        (f"balance of {plan.num_gpus} GPUs", f"{plan.balance:.3f} (one random sample each: {plan.balance_single:.3f})"),
        ("updates of an epoch", f"{plan.updates:,.0f}"),
        ("useful work of an epoch", f"{_figure(plan.tflop)} TFLOP"),
        ("hours of an epoch", f"{_figure(plan.hours)} at {plan.mfu:.0%} of {plan.peak_tflops:g} TFLOP/s a GPU"),
        ("samples/s that loaders must give", f"{plan.samples_per_s:,.0f}"),
    )
    return [f"  {name:<34}{value}" for name, value in rows]


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= SHOWN_WHOLE else f"{value:.3g}"


def as_json(plan: RunPlan) -> dict[str, Any]:
    """The plan for a file."""
    return asdict(plan)


def draw(path: Path, planned: PlannedBatches, *, figures: BatchFigures) -> None:
    """PNG: lengths of samples and of packs or batches, and how far those of a step are apart in cost.

    Args:
        path: to write.
        planned: the batches.
        figures: of the batches.
    """
    from matplotlib.figure import Figure

    figure, one = Figure(figsize=(12.0, 3.6), layout="constrained"), "pack" if isinstance(planned.sampler, PackSampler) else "batch"
    samples, rows, spread = figure.subplots(1, 3)
    samples.hist(planned.table[:, 0], bins=BINS, color="#0072B2")
    samples.set(title=f"{len(planned.table):,} samples", xlabel="tokens of a sample", ylabel="samples", yscale="log")
    most = int(figures.room.max())
    rows.hist(figures.tokens.ravel(), bins=BINS, range=(0, most), color="#0072B2")
    rows.axvline(most, color="#D55E00", linestyle="--", label=f"room: {most:,}")
    rows.set(title=f"{figures.tokens.size:,} {one}{'s' if one == 'pack' else 'es'}", xlabel=f"tokens of a {one}", ylabel="number")
    rows.legend(fontsize=8, loc="upper left")
    spread.hist(figures.costs.mean(axis=1) / figures.costs.max(axis=1), bins=BINS, range=(0, 1), color="#0072B2")
    spread.set(title=f"{len(figures.costs):,} micro-steps", xlabel="mean cost / highest cost of the GPUs", ylabel="micro-steps")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
