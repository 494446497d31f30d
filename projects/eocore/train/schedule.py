"""Optimiser and learning-rate schedule from their config sections."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import nn

from eocore.errors import ConfigError
from eocore.models.freeze import matches
from eocore.text import did_you_mean
from eocore.train.optimizers import OPTIMIZERS, optimizer_kind

SCHEDULES = ("cosine", "linear", "constant", "wsd")
"""Course of the rate after the warm-up: half a cosine down, a straight line down, level, or level and then a straight line down
(warm-up, stable, decay: Hu et al. 2024, arXiv:2404.06395)."""


@dataclass(frozen=True, kw_only=True)
class OptimizerOptions:
    """Config section `optimizer`. Defaults are those of the upstream EarthMind training, but for `lr`, which must be given.

    Attributes:
        type: a key of `eocore.train.optimizers.OPTIMIZERS`: AdamW, AdamW8bit, SGD or Adafactor.
        lr: highest learning rate.
        weight_decay: of matrices and tables; vectors (norms, biases, layer scales) have none.
        betas: decay of the two moments; of AdamW and AdamW8bit.
        eps: added to the denominator; of AdamW and AdamW8bit.
        momentum: decay of the one moment of SGD.
        lr_factors: pattern (as in `eocore.models.freeze`, names from the task on: `model.seg_head`) -> factor on `lr`; the first that
            matches counts.
    """

    lr: float
    type: str = "AdamW"
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    momentum: float = 0.9
    lr_factors: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.lr <= 0:
            raise ConfigError(f"optimizer.lr is {self.lr}; expected a positive number, nothing would be learned. Upstream: 4e-5.")
        reads = optimizer_kind(self.type).reads
        for option in fields(self):
            readers = [name for name, kind in OPTIMIZERS.items() if option.name in kind.reads]
            if readers and option.name not in reads and _plain(getattr(self, option.name)) != _plain(option.default):
                raise ConfigError(
                    f"optimizer.{option.name} is {getattr(self, option.name)}, which {self.type} does not read; {' and '.join(readers)} "
                    "would. Take it out, or set optimizer.type."
                )
        for pattern, factor in self.lr_factors.items():
            if factor <= 0:
                raise ConfigError(f"optimizer.lr_factors['{pattern}'] is {factor}; expected a positive number. Freeze by task.trainable.")


@dataclass(frozen=True, kw_only=True)
class ScheduleOptions:
    """Config section `schedule`: linear warm-up, then the course that `type` names, by optimiser step.

    Attributes:
        type: one of `SCHEDULES`.
        warmup_ratio: fraction of all steps that warm up.
        warmup_start: first learning rate, as a fraction of the highest.
        final_ratio: last learning rate, as a fraction of the highest; a constant one ignores it.
        decay_ratio: fraction of all steps, at the end, in which the rate of "wsd" falls.
    """

    type: str = "cosine"
    warmup_ratio: float = 0.05
    warmup_start: float = 1e-5
    final_ratio: float = 0.0
    decay_ratio: float = 0.1

    def __post_init__(self) -> None:
        if self.type not in SCHEDULES:
            near = did_you_mean(self.type, SCHEDULES)
            raise ConfigError(f"schedule.type is {self.type!r}, which does not exist.{near} Choices: {', '.join(SCHEDULES)}.")
        for name in ("warmup_ratio", "final_ratio", "decay_ratio"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"schedule.{name} is {getattr(self, name)}; expected a fraction between 0 and 1.")
        if not 0.0 < self.warmup_start <= 1.0:
            raise ConfigError(f"schedule.warmup_start is {self.warmup_start}; expected a fraction above 0 and up to 1.")
        if self.type == "wsd" and self.warmup_ratio + self.decay_ratio > 1:
            raise ConfigError(
                f"schedule.warmup_ratio is {self.warmup_ratio} and decay_ratio {self.decay_ratio}, together more than the run. Lower one."
            )


def build_optimizer(model: nn.Module, options: OptimizerOptions) -> torch.optim.Optimizer:
    """The optimiser of the trainable parameters alone: matrices with weight decay, vectors without, a pair of groups for each `lr` factor.

    Raises:
        ConfigError: nothing is trainable, a pattern of `lr_factors` matches nothing that is, or a library is missing.
    """
    trainable = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if not trainable:
        raise ConfigError(
            f"{type(model).__name__} has no trainable parameter: no step could change it. Check the task's trainable patterns."
        )
    factors = _factors(list(trainable), options.lr_factors)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in trainable.items():
        groups.setdefault((factors[name], parameter.ndim > 1), []).append(parameter)
    settings = [
        {"params": groups[key], "lr": options.lr * key[0], "weight_decay": options.weight_decay if key[1] else 0.0}
        # the group of the plain lr comes first: its rate is the one that logs and curves show
        for key in sorted(groups, key=lambda key: (key[0] != 1.0, -key[0], not key[1]))
    ]
    kind = optimizer_kind(options.type)
    own = {name: getattr(options, name) for name in kind.reads}
    if "betas" in own:
        own["betas"] = (options.betas[0], options.betas[1])
    return kind.make(settings, {"lr": options.lr, **own})


def _plain(value: Any) -> Any:
    """Lists, which configs hold, as tuples."""
    return tuple(value) if isinstance(value, list) else value


def _factors(names: Sequence[str], lr_factors: Mapping[str, float]) -> dict[str, float]:
    for pattern in lr_factors:
        if not any(matches(name, pattern) for name in names):
            raise ConfigError(f"optimizer.lr_factors names '{pattern}', which matches no trainable parameter, so it would change nothing.")
    return {name: next((factor for pattern, factor in lr_factors.items() if matches(name, pattern)), 1.0) for name in names}


def build_schedule(options: ScheduleOptions, max_iters: int) -> list[dict[str, Any]]:
    """Configs of mmengine's parameter schedulers for a run of `max_iters` optimiser steps."""
    warmup = round(options.warmup_ratio * max_iters)
    # LinearLR spreads its climb over end - begin - 1 steps: with fewer than two steps there is nothing to climb.
    warmup = warmup if warmup >= 2 else 0
    schedule: list[dict[str, Any]] = []
    if warmup:
        schedule.append({"type": "LinearLR", "start_factor": options.warmup_start, "by_epoch": False, "begin": 0, "end": warmup})
    if warmup < max_iters:
        schedule += _after_warmup(options, warmup, max_iters=max_iters)
    return schedule


def _after_warmup(options: ScheduleOptions, begin: int, *, max_iters: int) -> list[dict[str, Any]]:
    """The course of the rate from step `begin` on."""
    if options.type == "constant":
        return []
    if options.type == "cosine":
        cosine = {"type": "CosineAnnealingLR", "eta_min_ratio": options.final_ratio, "by_epoch": False}
        return [cosine | {"begin": begin, "end": max_iters}]
    if options.type == "wsd":
        begin = max(begin, max_iters - round(options.decay_ratio * max_iters))
    # one step more than there are: the last one still learns where the rate goes to zero
    line = {"type": "LinearLR", "start_factor": 1.0, "end_factor": options.final_ratio, "by_epoch": False}
    return [line | {"begin": begin, "end": max_iters + 1}] if begin < max_iters else []
