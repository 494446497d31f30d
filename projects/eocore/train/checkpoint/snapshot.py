"""What a checkpoint holds, taken from a running training and brought back into one, on any number of ranks and any ZeRO stage."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import safetensors
from safetensors.torch import save_file
from torch import Tensor

from eocore.dependencies import library_versions
from eocore.distributed import gather_to_all
from eocore.errors import CheckpointError
from eocore.log import get_logger
from eocore.models.freeze import trainable_names
from eocore.train.checkpoint.files import OPTIMIZER, STATE, WEIGHTS, publish, read_state, rng_name, verify, write_json
from eocore.train.checkpoint.random_state import random_states, restore_random_states
from eocore.train.checkpoint.weights import IDENTITY, check_names, names_in, open_tensors
from eocore.train.strategy import ZeroStrategy

FORMAT = 2
VALIDATION: Final = "validation"
"""Entry of trainer.json: `BestResult.state`, None where the run does not validate."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Everything a checkpoint will hold, in memory on the first rank; the other ranks' are empty.

    Attributes:
        step: updates made.
        weights: name -> trained weight, float32.
        moments: `exp_avg/NAME` and so on -> what the optimiser keeps of each weight.
        state: of trainer.json.
        random: states of each rank's generators.
        identity: what `Task.identity` tells.
    """

    step: int
    weights: Mapping[str, Tensor]
    moments: Mapping[str, Tensor]
    state: Mapping[str, Any]
    random: list[dict[str, Any]]
    identity: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_best(self) -> bool:
        """Whether validation found its best result after this very update."""
        best = (self.state.get(VALIDATION) or {}).get("best") or {}
        return bool(best.get("step") == self.step)


def take_snapshot(strategy: ZeroStrategy, *, step: int, config_text: str, extra: Mapping[str, Any]) -> Snapshot:
    """The state after `step` updates; later training does not change it. Call it on all ranks.

    Args:
        strategy: prepared.
        step: updates made.
        config_text: of the run; kept as text, never executed.
        extra: further entries of trainer.json.
    """
    weights = strategy.gather_trainable()
    moments, optimizer_steps = strategy.gather_moments()
    state = {
        "format": FORMAT,
        "step": step,
        "world_size": strategy.world_size,
        "zero_stage": strategy.config.get("zero_optimization", {}).get("stage", 0),
        "accumulation": strategy.config["gradient_accumulation_steps"],
        "seed": strategy.randomness["seed"],
        "optimizer_steps": optimizer_steps,
        "lr": [group["lr"] for group in strategy.optim_wrapper.optimizer.param_groups],
        "schedule": strategy.scheduler_state_dict(),
        "loss_scale": strategy.loss_scale_state(),
        "versions": library_versions(),
        **extra,
        "config": config_text,
    }
    states, identity = gather_to_all(random_states()), strategy.model.module.identity()
    return Snapshot(step=step, weights=weights, moments=moments, state=state, random=states, identity=identity)


def write(snapshot: Snapshot, work_dir: Path) -> Path:
    """The checkpoint folder that `snapshot` became. Only the first rank calls it.

    Raises:
        CheckpointError: it could not be written, or the disk does not hold what was written; older checkpoints stand.
    """

    def fill(folder: Path) -> None:
        metadata = {"step": str(snapshot.step), IDENTITY: json.dumps(snapshot.identity)}
        save_file(dict(snapshot.weights), folder / WEIGHTS, metadata=metadata)
        save_file(dict(snapshot.moments), folder / OPTIMIZER)
        write_json(folder / STATE, dict(snapshot.state))
        for rank, states in enumerate(snapshot.random):
            write_json(folder / rng_name(rank), states)

    try:
        final = publish(work_dir, snapshot.step, fill=fill)
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(
            f"{work_dir}: the checkpoint after step {snapshot.step} could not be written ({error}). Older checkpoints stand. Free space or "
            "fix the folder, then continue with --resume."
        ) from error
    verify(final)
    return final


def restore(strategy: ZeroStrategy, folder: Path, *, allow: Collection[str] = ()) -> int:
    """Brings optimiser, schedule and random states back; returns the number of updates made. Call it on all ranks.

    The trained weights were put into the model before it was wrapped (`load_trainable`); here the float32 masters get them too.

    Args:
        strategy: prepared.
        folder: a checkpoint, verified.
        allow: `schedule`: the schedule of this run, brought to the step of the checkpoint, instead of the checkpoint's.

    Raises:
        CheckpointError: it holds no optimiser state, or that of other weights.
    """
    state = read_state(folder)
    if not (folder / OPTIMIZER).is_file():
        raise CheckpointError(f"{folder} has no {OPTIMIZER}, so training cannot resume from it. Start anew from its {WEIGHTS}.")
    names = trainable_names(strategy.model.module)
    found, kinds = names_in(folder / OPTIMIZER), strategy.moment_names()
    wanted = found if kinds is None else [f"{kind}/{name}" for name in names for kind in kinds]
    check_names(found, wanted, path=folder / OPTIMIZER)
    if kinds is None:
        _check_owners(found, names, path=folder / OPTIMIZER)
    with open_tensors(folder / WEIGHTS) as weights, open_tensors(folder / OPTIMIZER) as moments:
        strategy.load_trainable_state(weights.get_tensor, moments.get_tensor, steps=int(state["optimizer_steps"]), found=found)
    step = int(state["step"])
    strategy.set_progress(step)
    strategy.restore_loss_scale(state.get("loss_scale"))
    if "schedule" in allow:
        strategy.replay_schedule(step)
    else:
        strategy.load_scheduler_state_dict(state["schedule"])
        for group, rate in zip(strategy.optim_wrapper.optimizer.param_groups, state["lr"], strict=True):
            group["lr"] = rate
    own = folder / rng_name(strategy.rank)
    if state["world_size"] == strategy.world_size:
        restore_random_states(json.loads(own.read_text()))
    elif strategy.rank == 0:
        get_logger().info("%d rank(s) then, %d now: dropout draws differ from here on", state["world_size"], strategy.world_size)
    return step


def _check_owners(found: Sequence[str], names: Sequence[str], *, path: Path) -> None:
    """Raise CheckpointError if the state is of other weights than those that train; it may be empty, before the first step."""
    owners = sorted({key.split("/", 1)[1] for key in found})
    check_names(owners, sorted(names) if owners else [], path=path)
