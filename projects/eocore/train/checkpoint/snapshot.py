"""What a checkpoint holds, taken from a running training and brought back into one, on any number of ranks and any ZeRO stage."""

import hashlib
import json
import platform
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from eocore.errors import CheckpointError
from eocore.log import get_logger
from eocore.models.freeze import trainable_names
from eocore.train.checkpoint.files import MANIFEST, OPTIMIZER, STATE, WEIGHTS, publish, read_state, rng_name, verify, write_json
from eocore.train.checkpoint.random_state import random_states, restore_random_states
from eocore.train.ranks import gather_to_all
from eocore.train.strategy import ZeroStrategy
from eocore.train.task import Task

FORMAT = 2
IDENTITY = "identity"
MAX_NAMED = 8
LIBRARIES = ("torch", "transformers", "deepspeed", "mmengine", "numpy", "safetensors")


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Everything a checkpoint will hold, in memory on the first rank; the other ranks' are empty.

    Attributes:
        step: updates made.
        weights: name -> trained weight, float32.
        moments: `exp_avg/NAME` and `exp_avg_sq/NAME` -> moments of AdamW, float32.
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
        "versions": versions(),
        **extra,
        "config": config_text,
    }
    states, identity = gather_to_all(random_states()), strategy.model.module.identity()
    return Snapshot(step=step, weights=weights, moments=moments, state=state, random=states, identity=identity)


def versions() -> dict[str, str]:
    """Of Python and the libraries a result depends on."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


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
            "mend the folder, then go on with --resume."
        ) from error
    verify(final)
    return final


def restore(strategy: ZeroStrategy, folder: Path, *, allow: Collection[str] = ()) -> int:
    """Brings optimiser, schedule and random states back; gives the number of updates made. Call it on all ranks.

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
        raise CheckpointError(f"{folder} has no {OPTIMIZER}, so training cannot go on from it. Start anew from its {WEIGHTS}.")
    names = trainable_names(strategy.model.module)
    wanted = [f"{kind}/{name}" for name in names for kind in ("exp_avg", "exp_avg_sq")]
    _check_names(_names_in(folder / OPTIMIZER), wanted, path=folder / OPTIMIZER)
    with _open(folder / WEIGHTS) as weights, _open(folder / OPTIMIZER) as moments:
        strategy.load_trainable_state(weights.get_tensor, moments.get_tensor, steps=int(state["optimizer_steps"]))
    step = int(state["step"])
    strategy.set_progress(step)
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


def frozen_hash(model: nn.Module) -> str:
    """sha256 of all parameters that are not trained: names, shapes, types and values."""
    digest = hashlib.sha256()
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            digest.update(f"{name} {tuple(parameter.shape)} {parameter.dtype}\n".encode())
            digest.update(parameter.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def load_trainable(model: nn.Module, path: Path) -> None:
    """Copies the trained weights of a checkpoint into `model`, whose trainable parameters they must be, one for one.

    Args:
        model: not wrapped; its `requires_grad` flags say what is trained.
        path: a checkpoint folder, a .safetensors file, or a .pth file of mmengine (`state_dict` inside; frozen weights in it are ignored).

    Raises:
        CheckpointError: the file is missing or broken; names are missing or left over; a shape differs; it was trained with another
            vocabulary or whatever else `Task.identity` tells.
    """
    expected = trainable_names(model)
    found = read_weights(path)
    if not path.is_dir():  # our own hold what is trained, nothing else
        frozen = {name for name, _ in model.named_parameters()} | {name for name, _ in model.named_buffers()}
        found = {name: value for name, value in found.items() if name in expected or name not in frozen}
    _check_names(list(found), expected, path=path)
    check_identity(model, path)
    parameters = dict(model.named_parameters())
    shapes = [
        f"{name}: {tuple(found[name].shape)} in the file, {tuple(parameters[name].shape)} in the model"
        for name in expected
        if found[name].shape != parameters[name].shape
    ]
    if shapes:
        raise CheckpointError(f"{path} does not fit the model; nothing was loaded. {_some(shapes)}. Use the config it was trained with.")
    with torch.no_grad():
        for name in expected:
            parameters[name].copy_(found[name])


def check_identity(model: nn.Module, path: Path) -> None:
    """Nothing, if the checkpoint's weights mean in `model` what they meant where they were trained; older files do not tell.

    Raises:
        CheckpointError: `Task.identity` is not what it was.
    """
    file = path / WEIGHTS if path.is_dir() else path
    if not isinstance(model, Task) or file.suffix != ".safetensors":
        return
    with safetensors.safe_open(file, framework="pt") as opened:
        there = json.loads((opened.metadata() or {}).get(IDENTITY, "{}"))
    here = model.identity()
    different = [name for name, value in there.items() if here.get(name) != value]
    if different:
        shown = "; ".join(f"{name} was {there[name]}, is {here.get(name)}" for name in different)
        raise CheckpointError(
            f"{path} was trained with another {' and '.join(different)} ({shown}): its weights would mean something else. "
            "Use what it was trained with (for a vocabulary: the tokenizer folder of that run), or train anew."
        )


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """Name -> tensor of a checkpoint folder, a .safetensors or a .pth file. No code in a file is run.

    Raises:
        CheckpointError: it is missing or broken, or holds no such table.
    """
    if (path / MANIFEST).is_file():
        verify(path, only=WEIGHTS)
    file = path / WEIGHTS if path.is_dir() else path
    if not file.is_file():
        raise CheckpointError(f"{file} does not exist, so no weights can be loaded. Give an iter_* folder, a .safetensors or a .pth file.")
    content = _guarded(file, lambda: load_file(file) if file.suffix == ".safetensors" else _load_pth(file))
    weights = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise CheckpointError(f"{file} holds no name -> tensor table (`state_dict`), so no weights can be loaded. Use another checkpoint.")
    return weights


def _load_pth(file: Path) -> Any:
    return torch.load(file, map_location="cpu", weights_only=True)


def _guarded(file: Path, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Exception as error:  # the libraries raise many kinds for a damaged file
        # torch's messages go on with advice to switch its protection off.
        reason = f"{type(error).__name__}: {str(error).split('. ')[0]}"
        raise CheckpointError(f"{file} cannot be read ({reason}); it is damaged. Use another checkpoint.") from error


def _open(file: Path) -> Any:
    return _guarded(file, lambda: safetensors.safe_open(file, framework="pt"))


def _names_in(file: Path) -> list[str]:
    with _open(file) as opened:
        return list(opened.keys())


def _check_names(found: list[str], expected: list[str], *, path: Path) -> None:
    missing = sorted(set(expected) - set(found))
    unexpected = sorted(set(found) - set(expected))
    if missing or unexpected:
        raise CheckpointError(
            f"{path} holds {len(found)} weights, the model trains {len(expected)}; nothing was loaded. Missing: {_some(missing)}. "
            f"Unexpected: {_some(unexpected)}. Use the config it was trained with."
        )


def _some(items: list[str]) -> str:
    return ("; ".join(items[:MAX_NAMED]) + (f"; and {len(items) - MAX_NAMED} more" if len(items) > MAX_NAMED else "")) or "none"
