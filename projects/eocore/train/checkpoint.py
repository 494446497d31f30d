"""Checkpoints: folders that appear whole or not at all, holding what is trained and what is needed to go on.

work_dir/latest                          name of the newest checkpoint
work_dir/iter_000100/trainable.safetensors   trained weights, whole, float32
work_dir/iter_000100/trainer.json        step, schedule, versions, config text
work_dir/iter_000100/rng_00000.json      random states of each rank
work_dir/iter_000100/deepspeed/          weights and optimiser state as DeepSpeed shards them
"""

import json
import os
import platform
import random
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from eocore.errors import CheckpointError
from eocore.models.freeze import trainable_names
from eocore.train.strategy import ZeroStrategy
from eocore.train.task import Task

WEIGHTS = "trainable.safetensors"
STATE = "trainer.json"
LATEST = "latest"
IDENTITY = "identity"
AUTO = "auto"
PATTERN = re.compile(r"iter_(\d{6,})")
TEMPORARY = ".writing-"
MAX_NAMED = 8


def checkpoint_name(step: int) -> str:
    """Folder name of the checkpoint after `step` updates."""
    return f"iter_{step:06d}"


def save(strategy: ZeroStrategy, work_dir: Path, *, step: int, config_text: str) -> Path:
    """Writes the checkpoint after `step` updates and points `latest` at it. Call it on all ranks.

    All is written and flushed to disk under a temporary name, then renamed: a run killed at any moment leaves the older checkpoints and
    the pointer as they were.

    Returns:
        The new folder.
    """
    final = work_dir / checkpoint_name(step)
    writing = work_dir / f"{TEMPORARY}{final.name}"
    if strategy.rank == 0:
        shutil.rmtree(writing, ignore_errors=True)
        writing.mkdir(parents=True)
    torch.distributed.barrier()
    strategy.save_shards(writing)
    weights = strategy.gather_trainable()
    _write_json(writing / f"rng_{strategy.rank:05d}.json", _random_states())
    if strategy.rank == 0:
        identity = strategy.model.module.identity()
        save_file(weights, writing / WEIGHTS, metadata={"step": str(step), IDENTITY: json.dumps(identity)})
        _write_json(writing / STATE, _trainer_state(strategy, step, config_text))
    torch.distributed.barrier()
    if strategy.rank == 0:
        _publish(writing, final)
    torch.distributed.barrier()
    return final


def _publish(writing: Path, final: Path) -> None:
    for path in sorted(writing.rglob("*")):
        _flush(path)
    _flush(writing)
    if final.exists():
        shutil.rmtree(final)
    os.rename(writing, final)
    pointer = final.parent / f"{TEMPORARY}{LATEST}"
    pointer.write_text(final.name + "\n")
    _flush(pointer)
    os.replace(pointer, final.parent / LATEST)
    _flush(final.parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _trainer_state(strategy: ZeroStrategy, step: int, config_text: str) -> dict[str, Any]:
    return {
        "step": step,
        "world_size": strategy.world_size,
        "zero_stage": strategy.config.get("zero_optimization", {}).get("stage", 0),
        "accumulation": strategy.config["gradient_accumulation_steps"],
        "seed": strategy.randomness["seed"],
        "schedule": strategy.scheduler_state_dict(),
        "versions": {"python": platform.python_version(), "torch": str(torch.__version__)},
        "config": config_text,
    }


def find_checkpoint(work_dir: Path, request: str) -> Path | None:
    """The checkpoint a run is asked to go on from.

    Args:
        work_dir: of the run.
        request: a checkpoint folder, or `auto`: the newest complete one of `work_dir`, which may be none.

    Raises:
        CheckpointError: the folder asked for is not a complete checkpoint.
    """
    if request != AUTO:
        read_state(Path(request))
        return Path(request)
    complete = list_checkpoints(work_dir)
    return complete[-1] if complete else None


def list_checkpoints(work_dir: Path) -> list[Path]:
    """The complete checkpoints of a run, oldest first."""
    folders = [path for path in work_dir.glob("iter_*") if PATTERN.fullmatch(path.name) and (path / STATE).is_file()]
    return sorted(folders, key=lambda path: int(path.name.removeprefix("iter_")))


def prune(work_dir: Path, keep: int) -> None:
    """Removes all complete checkpoints but the newest `keep`."""
    for folder in list_checkpoints(work_dir)[:-keep]:
        # Renamed first: a removal that is cut short must not leave half a checkpoint under a valid name.
        doomed = work_dir / f"{TEMPORARY}removed-{folder.name}"
        os.rename(folder, doomed)
        shutil.rmtree(doomed)


def read_state(folder: Path) -> dict[str, Any]:
    """What trainer.json of a checkpoint says.

    Raises:
        CheckpointError: it is missing or broken.
    """
    path = folder / STATE
    if not path.is_file():
        found = ", ".join(item.name for item in list_checkpoints(folder)) or "none"
        raise CheckpointError(
            f"{folder} is no complete checkpoint: it has no {STATE}. Checkpoints inside it: {found}. Name an iter_* folder."
        )
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{path}:{error.lineno}: not JSON ({error.msg}); the checkpoint is damaged. Use another one.") from error


def restore(strategy: ZeroStrategy, folder: Path) -> int:
    """Brings weights, optimiser, schedule and random states back; gives the number of updates made. Call it on all ranks.

    Raises:
        CheckpointError: the checkpoint is damaged, does not fit the model, or was written by another number of ranks or ZeRO stage.
    """
    state = read_state(folder)
    stage = strategy.config.get("zero_optimization", {}).get("stage", 0)
    accumulation = strategy.config["gradient_accumulation_steps"]
    here = {"world_size": strategy.world_size, "zero_stage": stage, "accumulation": accumulation}
    for key, value in here.items():
        if state[key] != value:
            raise CheckpointError(
                f"{folder} was written with {key} {state[key]}, this run has {value}; its optimiser state cannot be read so. Resume with "
                f"{key} {state[key]}, or start anew from its {WEIGHTS}."
            )
    _check_names(_names_in(folder / WEIGHTS), trainable_names(strategy.model.module), folder)
    check_identity(strategy.model.module, folder / WEIGHTS)
    strategy.load_shards(folder)
    strategy.load_scheduler_state_dict(state["schedule"])
    _restore_random_states(json.loads((folder / f"rng_{strategy.rank:05d}.json").read_text()))
    return int(state["step"])


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
    frozen = {name for name, _ in model.named_parameters()} | {name for name, _ in model.named_buffers()}
    found = {name: value for name, value in found.items() if name in expected or name not in frozen}
    _check_names(list(found), expected, path)
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
    """Name -> tensor of a checkpoint folder, a .safetensors or a .pth file.

    Raises:
        CheckpointError: it is missing, broken, or holds something else.
    """
    file = path / WEIGHTS if path.is_dir() else path
    if not file.is_file():
        raise CheckpointError(f"{file} does not exist, so no weights can be loaded. Give an iter_* folder, a .safetensors or a .pth file.")
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # the libraries raise many kinds for a damaged file
        # torch's messages go on with advice to switch its protection off.
        reason = f"{type(error).__name__}: {str(error).split('. ')[0]}"
        raise CheckpointError(f"{file} cannot be read ({reason}); it is damaged. Use another checkpoint.") from error
    weights = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise CheckpointError(f"{file} holds no name -> tensor table (`state_dict`), so no weights can be loaded. Use another checkpoint.")
    return weights


def _names_in(file: Path) -> list[str]:
    try:
        with safetensors.safe_open(file, framework="pt") as opened:
            return list(opened.keys())
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{file} cannot be read ({error}); the checkpoint is damaged. Resume from another one.") from error


def _check_names(found: list[str], expected: list[str], path: Path) -> None:
    missing = sorted(set(expected) - set(found))
    unexpected = sorted(set(found) - set(expected))
    if missing or unexpected:
        raise CheckpointError(
            f"{path} holds {len(found)} weights, the model trains {len(expected)}; nothing was loaded. Missing: {_some(missing)}. "
            f"Unexpected: {_some(unexpected)}. Use the config it was trained with."
        )


def _some(items: list[str]) -> str:
    return ("; ".join(items[:MAX_NAMED]) + (f"; and {len(items) - MAX_NAMED} more" if len(items) > MAX_NAMED else "")) or "none"


def _random_states() -> dict[str, Any]:
    version, numbers, gauss = random.getstate()
    algorithm, keys, position, has_gauss, cached = cast(tuple[str, np.ndarray, int, int, float], np.random.get_state())
    states: dict[str, Any] = {
        "python": [version, list(numbers), gauss],
        "numpy": [algorithm, keys.tolist(), position, has_gauss, cached],
        "torch": torch.get_rng_state().numpy().tobytes().hex(),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state().numpy().tobytes().hex()
    return states


def _restore_random_states(states: dict[str, Any]) -> None:
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
    algorithm, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((algorithm, np.array(keys, dtype=np.uint32), position, has_gauss, cached))
    torch.set_rng_state(_as_bytes(states["torch"]))
    if torch.cuda.is_available() and "cuda" in states:
        torch.cuda.set_rng_state(_as_bytes(states["cuda"]))


def _as_bytes(text: str) -> Tensor:
    return torch.frombuffer(bytearray.fromhex(text), dtype=torch.uint8)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n")
