"""The loss scale of a DeepSpeed engine that trains in float16: gradients are computed that many times too large, and do not vanish.

DeepSpeed halves it where a gradient overflows (and leaves that update out) and doubles it after many updates without an overflow
(Micikevicius et al. 2018, arXiv:1710.03740).
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from eocore.train.device import require_deepspeed

require_deepspeed()

from deepspeed.runtime.fp16.unfused_optimizer import FP16_UnfusedOptimizer  # noqa: E402  (the accelerator must be chosen before)

STATE = ("cur_scale", "cur_iter", "last_overflow_iter", "cur_hysteresis")
"""What decides the course of the scale. Source: DeepSpeed 0.19, runtime/fp16/loss_scaler.py; without ZeRO there is no hysteresis."""
OPTIONS = {"loss_scale": 0, "initial_scale_power": 16, "loss_scale_window": 1000, "hysteresis": 2, "min_loss_scale": 1}
"""Section `fp16` of a DeepSpeed configuration that does not state them: a scale that adapts (0), from 2**16 down to 1."""


def prepare_loss_scale(engine: Any) -> None:
    """Leaves it to the guard to end a run whose gradients overflow at the smallest scale; DeepSpeed raises a bare exception."""
    scaler = _scaler(engine)
    if hasattr(scaler, "raise_error_at_min_scale"):
        scaler.raise_error_at_min_scale = False


def loss_scale(engine: Any) -> float:
    """By how much the loss is multiplied; 1 where the engine does not train in float16."""
    scaler = _scaler(engine)
    return 1.0 if scaler is None else float(scaler.cur_scale)


def scaled(engine: Any, loss: Tensor) -> Tensor:
    """What `engine.backward` is to be given for `loss`.

    DeepSpeed 0.19 scales it under ZeRO alone; without, its step divides the gradients by a scale they were not computed with.
    """
    return loss.float() * loss_scale(engine) if isinstance(engine.optimizer, FP16_UnfusedOptimizer) else loss


def scale_is_lowest(engine: Any) -> bool:
    """Whether an overflow cannot lower the scale any more."""
    scaler = _scaler(engine)
    lowest = getattr(scaler, "min_scale", getattr(scaler, "min_loss_scale", None))
    return scaler is None or lowest is None or scaler.cur_scale <= lowest


def grad_norm(engine: Any, scale: float) -> Any:
    """Norm of the whole gradient, as it would be without the loss scale; None where DeepSpeed does not know it.

    Args:
        engine: after a step.
        scale: of the loss before that step.
    """
    norm = engine.get_global_grad_norm()
    return norm if norm is None or not isinstance(engine.optimizer, FP16_UnfusedOptimizer) else norm / scale


def scale_state(engine: Any) -> dict[str, Any] | None:
    """What a run that continues must know of the scale, fit for JSON; None without float16."""
    scaler = _scaler(engine)
    return None if scaler is None else {name: getattr(scaler, name) for name in STATE if hasattr(scaler, name)}


def restore_scale(engine: Any, state: Mapping[str, Any] | None) -> None:
    """Continues with what `scale_state` gave; None, as a training in another precision records it, leaves the scale at its beginning."""
    scaler = _scaler(engine)
    for name, value in (state or {}).items():
        if hasattr(scaler, name):
            setattr(scaler, name, value)


def _scaler(engine: Any) -> Any:
    """DeepSpeed's object that holds the scale; None without float16."""
    if not engine.fp16_enabled():
        return None
    if isinstance(engine.optimizer, FP16_UnfusedOptimizer):
        return engine.optimizer.loss_scale_config
    return engine.optimizer.loss_scaler
