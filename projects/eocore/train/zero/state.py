"""Weights and optimiser state of a DeepSpeed engine, whole and by name, whatever the ZeRO stage, the number of ranks and the precision.

The state of AdamW and SGD has the shape of the weights; it is made before the first step, cut up with them and put together again. That of
other optimisers is kept as it is, for whole weights alone (`eocore.train.optimizers.check_stage`).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from eocore.errors import CheckpointError
from eocore.train.device import require_deepspeed

require_deepspeed()

from deepspeed.runtime.fp16.unfused_optimizer import FP16_UnfusedOptimizer  # noqa: E402  (the accelerator must be chosen before)
from deepspeed.utils import (  # noqa: E402
    safe_get_full_fp32_param,
    safe_get_full_optimizer_state,
    safe_set_full_fp32_param,
    safe_set_full_optimizer_state,
    safe_set_local_fp32_param,
    safe_set_local_optimizer_state,
)

MOMENTS = ("exp_avg", "exp_avg_sq")
"""What torch.optim.AdamW keeps of every parameter, beside the number of steps."""
MOMENTUM = ("momentum_buffer",)
"""What torch.optim.SGD keeps of every parameter."""
STEP = "step"
Read = Callable[[str], Tensor]


def moment_names(engine: Any) -> Sequence[str] | None:
    """What the optimiser keeps of every weight in its shape; None where its state is of other shapes."""
    optimizer = inner_optimizer(engine)
    if isinstance(optimizer, torch.optim.AdamW):
        return MOMENTS
    if isinstance(optimizer, torch.optim.SGD):
        return MOMENTUM if any(group["momentum"] for group in optimizer.param_groups) else ()
    return None


def prepare_moments(engine: Any) -> None:
    """Makes the moments of all trained weights, zero, as AdamW would in its first step; so they can be set, saved and left unchanged.

    SGD begins with the gradient itself, which is what a moment of zero becomes in its first step.
    """
    optimizer = inner_optimizer(engine)
    _undo_first_step(engine)
    names = moment_names(engine)
    if not names:
        return
    for parameter in _optimized(engine):
        if not optimizer.state[parameter]:
            if names == MOMENTS:
                optimizer.state[parameter][STEP] = torch.tensor(0.0)
            for name in names:
                optimizer.state[parameter][name] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
    if hasattr(engine.optimizer, "_lazy_init_hp_params_optimizer_state"):
        # ZeRO 1 and 2 cut the whole moments up by parameter, once, after the first step.
        engine.optimizer._lazy_init_hp_params_optimizer_state()


def _undo_first_step(engine: Any) -> None:
    """Takes back the step with which ZeRO 0 in bfloat16 makes its moments: it counts, and lets the weights decay.

    Source: DeepSpeed 0.19, FP16_UnfusedOptimizer.initialize_optimizer_states.
    """
    if isinstance(engine.optimizer, FP16_UnfusedOptimizer):
        engine.optimizer.refresh_fp32_params()
        inner_optimizer(engine).state.clear()


def _whole_masters(engine: Any) -> dict[Tensor, Tensor]:
    """Trained weight -> the float32 copy that is stepped in its stead, where copies are whole: ZeRO 0 in bfloat16."""
    if not isinstance(engine.optimizer, FP16_UnfusedOptimizer):
        return {}
    pairs = zip(engine.optimizer.fp16_groups, engine.optimizer.fp32_groups, strict=True)
    return {weight: master for weights, masters in pairs for weight, master in zip(weights, masters, strict=True)}


def inner_optimizer(engine: Any) -> torch.optim.Optimizer:
    """torch's optimiser inside DeepSpeed's, or on its own where nothing is partitioned."""
    optimizer: torch.optim.Optimizer = getattr(engine.optimizer, "optimizer", engine.optimizer)
    return optimizer


def _optimized(engine: Any) -> list[Tensor]:
    """What torch's optimiser steps: parameters, or flat pieces of them."""
    pieces = getattr(engine.optimizer, "fp32_partitioned_groups_flat", None)  # ZeRO-3 hands them over only while it steps
    if pieces is not None:
        return list(pieces)
    return [parameter for group in inner_optimizer(engine).param_groups for parameter in group["params"]]


def _trained(engine: Any) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, parameter) for name, parameter in engine.module.named_parameters() if parameter.requires_grad)


def gather_weights(engine: Any, *, keep: bool) -> dict[str, Tensor]:
    """Name -> whole trained weight, float32, on the CPU. Call it on all ranks.

    Args:
        engine: DeepSpeed's.
        keep: False gives nothing (on the ranks that only take part).
    """
    gathered = {}
    masters = _whole_masters(engine)
    for name, parameter in _trained(engine):
        whole = safe_get_full_fp32_param(parameter)
        if keep:
            gathered[name] = _on_cpu(masters.get(parameter, parameter) if whole is None else whole, parameter)
    return gathered


def gather_moments(engine: Any, *, keep: bool) -> tuple[dict[str, Tensor], int]:
    """(`exp_avg/NAME`, `exp_avg_sq/NAME` and so on -> whole state, on the CPU; steps that the optimiser counted). Call it on all ranks.

    Raises:
        CheckpointError: weights were stepped unequally often; one was left out of some steps.
    """
    state, masters, kinds = inner_optimizer(engine).state, _whole_masters(engine), moment_names(engine)
    gathered: dict[str, Tensor] = {}
    for name, parameter in _trained(engine):
        if kinds is None and keep:
            gathered |= {f"{kind}/{name}": value for kind, value in _kept_whole(state[masters.get(parameter, parameter)]).items()}
        for kind in kinds or ():
            whole = safe_get_full_optimizer_state(parameter, kind)
            if keep:
                gathered[f"{kind}/{name}"] = _on_cpu(state[masters.get(parameter, parameter)][kind] if whole is None else whole, parameter)
    return gathered, _steps(engine)


def _steps(engine: Any) -> int:
    """How many steps the optimiser counted for every weight; 0 where it counts none."""
    optimizer = inner_optimizer(engine)
    steps = sorted({int(entry[STEP]) for entry in optimizer.state.values() if STEP in entry})
    if len(steps) > 1:
        raise CheckpointError(
            f"{type(optimizer).__name__} stepped some weights {steps[0]} and others {steps[-1]} times; every weight must take part in "
            "every step."
        )
    return steps[0] if steps else 0


def _kept_whole(entry: dict[str, Any]) -> dict[str, Tensor]:
    """The tensors of a weight's state, but for its steps and what is a single number, which the next step makes anew."""
    tensors = {kind: value for kind, value in entry.items() if isinstance(value, Tensor) and value.ndim and kind != STEP}
    return {kind: value.detach().cpu().clone().contiguous() for kind, value in tensors.items()}


def load_state(engine: Any, weights: Read, *, moments: Read, steps: int, found: Sequence[str] = ()) -> None:
    """Sets the float32 weights and the optimiser state of every trained weight.

    Args:
        engine: DeepSpeed's, made of a model that has the trained weights already.
        weights: name -> whole weight.
        moments: `exp_avg/NAME` and so on -> whole state.
        steps: that the optimiser counted.
        found: what there is to ask `moments` for, where the state is not of the shape of the weights.
    """
    state, masters, kinds = inner_optimizer(engine).state, _whole_masters(engine), moment_names(engine)
    if kinds is None:
        _load_whole(engine, weights, moments={key: moments(key) for key in found}, steps=steps)
        return
    for name, parameter in _trained(engine):
        values = {kind: moments(f"{kind}/{name}") for kind in kinds}
        if hasattr(parameter, "ds_id"):
            safe_set_local_fp32_param(parameter, _own_piece(parameter, weights(name)))
            for kind, value in values.items():
                safe_set_local_optimizer_state(parameter, _own_piece(parameter, value), kind)
        elif hasattr(parameter, "_hp_mapping"):
            safe_set_full_fp32_param(parameter, weights(name))
            for kind, value in values.items():
                safe_set_full_optimizer_state(parameter, value, kind)
        else:
            stepped = masters.get(parameter, parameter)
            stepped.data.copy_(weights(name))
            for kind, value in values.items():
                state[stepped][kind].copy_(value)
    for entry in state.values():
        if isinstance(entry.get(STEP), Tensor):
            entry[STEP].fill_(steps)


def _load_whole(engine: Any, weights: Read, *, moments: dict[str, Tensor], steps: int) -> None:
    """Sets weights and the state that `_kept_whole` gave; there is none where it was saved before the first step."""
    state, masters = inner_optimizer(engine).state, _whole_masters(engine)
    stepped = {name: masters.get(parameter, parameter) for name, parameter in _trained(engine)}
    for name, weight in stepped.items():
        weight.data.copy_(weights(name))
        state[weight] = {STEP: steps} if moments else {}
    for key, value in moments.items():
        kind, _, name = key.partition("/")
        state[stepped[name]][kind] = value.to(stepped[name].device)


def _own_piece(parameter: nn.Parameter, whole: Tensor) -> Tensor:
    """This rank's piece of a ZeRO-3 parameter, filled up with zeros where the last rank's is shorter."""
    size, rank = parameter.ds_tensor.numel(), torch.distributed.get_rank()  # type: ignore[attr-defined]
    piece = whole.flatten()[size * rank : size * (rank + 1)]
    return torch.nn.functional.pad(piece, (0, size - len(piece)))


def _on_cpu(value: Tensor, parameter: nn.Parameter) -> Tensor:
    shape = getattr(parameter, "ds_shape", parameter.shape)
    return value.detach().float().cpu().reshape(shape).clone().contiguous()
