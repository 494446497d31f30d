"""The learning rate that the optimiser is given at each update, and that no warning says otherwise."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from mmengine.config import Config
from torch.optim.optimizer import register_optimizer_step_pre_hook

from eocore.train.launch import train
from eocore.train.resilience.heartbeat import HEARTBEAT

LR, WARMUP, STEPS = 0.05, 2, 6
"""As `tiny_config` has them: 0.34 of six updates warm up."""


def formula(step: int) -> float:
    """The learning rate of update `step`, from 1: linear from 1e-5 of the highest, then a cosine to 0."""
    if step <= WARMUP:
        return LR * (1e-5 + (1 - 1e-5) * (step - 1) / (WARMUP - 1))
    return LR * 0.5 * (1 + math.cos(math.pi * (step - 1 - WARMUP) / (STEPS - WARMUP)))


@contextmanager
def rates_used() -> Iterator[dict[int, set[float]]]:
    """Update -> learning rates that torch's optimiser stepped with, on the way."""
    used: dict[int, set[float]] = {}

    def note(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        used.setdefault(HEARTBEAT.step, set()).update(float(group["lr"]) for group in optimizer.param_groups)

    handle = register_optimizer_step_pre_hook(note)
    try:
        yield used
    finally:
        handle.remove()


def check(used: dict[int, set[float]], steps: list[int]) -> None:
    assert sorted(used) == steps
    for step, rates in used.items():
        assert list(rates) == [pytest.approx(formula(step), rel=1e-9, abs=1e-12)], step


@pytest.mark.parametrize(("zero", "accumulation"), [("zero0", 1), ("zero2", 2), ("zero3", 1)])
def test_every_update_gets_the_rate_of_the_formula_and_nothing_warns(
    tiny: ModuleType, tmp_path: Path, zero: str, accumulation: int
) -> None:
    config = tiny.tiny_config(deepspeed=f"deepspeed_{zero}", accumulation=accumulation, max_iters=STEPS)
    with warnings.catch_warnings(), rates_used() as used:
        warnings.filterwarnings("error", message=".*optimizer.step")
        train(config, tmp_path / "run")
    check(used, [1, 2, 3, 4, 5, 6])


def test_a_resumed_run_continues_with_the_rate_that_is_due(tiny: ModuleType, tmp_path: Path) -> None:
    with warnings.catch_warnings(), rates_used() as used:
        warnings.filterwarnings("error", message=".*optimizer.step")
        train(tiny.tiny_config(), tmp_path / "run")
        used.clear()
        for path in (tmp_path / "run").glob("iter_000006"):
            path.rename(tmp_path / "last")
        train(tiny.tiny_config(), tmp_path / "run", resume="auto")
    check(used, [4, 5, 6])


@pytest.mark.parametrize("kind", ["nan_loss", "out_of_memory"])
def test_a_skipped_first_update_uses_its_rate_up(faulty: ModuleType, tmp_path: Path, kind: str) -> None:
    """A skipped update counts as a step, so the rates after it are those of the formula; the warning would be no news."""
    config = faulty.make_config({"faults": [{"kind": kind, "step": 1}]}, max_iters=STEPS)
    config["optimizer"] = {"lr": LR}
    with warnings.catch_warnings(), rates_used() as used:
        warnings.filterwarnings("error", message=".*optimizer.step")
        train(Config(config, format_python_code=False), tmp_path / "run")
    check(used, [2, 3, 4, 5, 6])
