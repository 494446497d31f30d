"""The optimisers a config can choose, and what each keeps of a weight beside it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from eocore.dependencies import require_bitsandbytes
from eocore.errors import ConfigError
from eocore.text import did_you_mean

Groups = Sequence[Mapping[str, Any]]
Make = Callable[[Groups, Mapping[str, Any]], torch.optim.Optimizer]


@dataclass(frozen=True, kw_only=True)
class OptimizerKind:
    """An optimiser by name.

    Attributes:
        make: groups of parameters and the options of `reads` become the optimiser.
        reads: options of `OptimizerOptions` that it takes beside `lr`, `weight_decay` and `lr_factors`.
        whole: its state is of whole weights (their rows, or blocks of them): the pieces into which ZeRO 1 to 3 cut them would change
            its numbers with the number of ranks.
        state_bytes: what it keeps of each number of a weight.
    """

    make: Make
    reads: tuple[str, ...]
    whole: bool = False
    state_bytes: float


def _adamw(groups: Groups, options: Mapping[str, Any]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, **options)  # type: ignore[arg-type]


def _adamw_8bit(groups: Groups, options: Mapping[str, Any]) -> torch.optim.Optimizer:
    require_bitsandbytes("optimizer.type='AdamW8bit'")
    from bitsandbytes.optim import AdamW8bit

    made: torch.optim.Optimizer = AdamW8bit(groups, **options)
    return made


def _sgd(groups: Groups, options: Mapping[str, Any]) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, **options)  # type: ignore[arg-type]


def _adafactor(groups: Groups, options: Mapping[str, Any]) -> torch.optim.Optimizer:
    from transformers.optimization import Adafactor

    # the rate is the schedule's, as for the others, not one that the optimiser makes of steps and weights
    made: torch.optim.Optimizer = Adafactor(groups, scale_parameter=False, relative_step=False, warmup_init=False, **options)
    return made


OPTIMIZERS = {
    "AdamW": OptimizerKind(make=_adamw, reads=("betas", "eps"), state_bytes=8),
    "AdamW8bit": OptimizerKind(make=_adamw_8bit, reads=("betas", "eps"), whole=True, state_bytes=2),
    "SGD": OptimizerKind(make=_sgd, reads=("momentum",), state_bytes=4),
    "Adafactor": OptimizerKind(make=_adafactor, reads=(), whole=True, state_bytes=0),
}
"""AdamW: Loshchilov and Hutter 2019, arXiv:1711.05101. AdamW8bit: its moments in 8 bits by blocks of 256 (Dettmers et al. 2022,
arXiv:2110.02861). Adafactor: Shazeer and Stern 2018, arXiv:1804.04235; it keeps a number for each row and column of a matrix."""


def optimizer_kind(name: str) -> OptimizerKind:
    """The optimiser of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in OPTIMIZERS:
        raise ConfigError(
            f"optimizer.type is {name!r}, which does not exist.{did_you_mean(str(name), OPTIMIZERS)} Choices: {', '.join(OPTIMIZERS)}."
        )
    return OPTIMIZERS[name]


def check_stage(name: str, zero_config: Mapping[str, Any]) -> None:
    """Raise ConfigError if an optimiser does not work on the pieces into which a DeepSpeed configuration cuts weights."""
    stage = int(zero_config.get("zero_optimization", {}).get("stage", 0))
    if stage and optimizer_kind(name).whole:
        raise ConfigError(
            f"optimizer.type='{name}' keeps state of whole weights, and ZeRO-{stage} cuts them into pieces: its numbers would change with "
            "the number of ranks, and no run could be resumed. Set training.deepspeed='deepspeed_zero0', or take AdamW or SGD."
        )
