"""A whole training, or a trial of one step, from a config."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import set_random_seed

from eocore.config import require
from eocore.log import get_logger
from eocore.registry import TASKS
from eocore.train.checkpoint import find_checkpoint, read_state
from eocore.train.device import peak_memory_gib
from eocore.train.runner import Runner, build_runner, check_config
from eocore.train.start_from import load_from
from eocore.train.strategy import start_process_group
from eocore.train.task import PartCount, Task


def train(config: Config, work_dir: Path, *, resume: str | None = None) -> None:
    """Trains `config` to its last step.

    Args:
        config: as `load_config` gives it, its systems imported.
        work_dir: checkpoints, logs and curves go here.
        resume: a checkpoint folder, or `auto` for the newest one of `work_dir` if there is one.
    """
    checkpoint = find_checkpoint(work_dir, resume) if resume else None
    if resume and checkpoint is None:
        get_logger().info("no checkpoint in %s yet: starting at step 0", work_dir)
    _build(config, work_dir, checkpoint).train()


def dry_run(config: Config) -> str:
    """Builds everything, makes one real step on one batch, and tells parameter counts, shapes, losses and memory.

    Nothing is kept: logs go to a temporary folder, no hook runs. Only the first rank tells; the text of the others is empty.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = config.copy()
        config.hooks, config.tracking = {}, []
        runner = _build(config, Path(folder), None)
        parts = runner.model.parameter_table()
        loop = runner.prepare()
        batch = loop.next_batch()
        loop.put_back(batch)
        outputs = loop.run_step()
    if runner.rank != 0:
        return ""
    losses = {name: float(value) for name, value in outputs[0].items()}
    lines = [*describe_parts(parts), *describe_batch(batch), *_describe_result(losses)]
    return "".join(line + "\n" for line in lines)


def _build(config: Config, work_dir: Path, checkpoint: Path | None) -> Runner:
    training, *_ = check_config(config)
    rank, world_size = start_process_group(training.timeout_s)
    # The same seed on every rank: weights drawn at construction must be equal.
    set_random_seed(config.seed)
    task: Task = TASKS.build(require(config, "task"))
    start = training.start()
    if start is not None and checkpoint is None:
        load_from(task, start)
    step = read_state(checkpoint)["step"] if checkpoint else 0
    loader = task.build_loader(rank=rank, world_size=world_size, seed=config.seed, start_step=step * training.accumulation)
    return build_runner(config, task, loader, work_dir, resume=checkpoint)


def describe_parts(parts: list[PartCount]) -> list[str]:
    """A table of parameter counts, the total first."""
    total = PartCount(name="total", total=sum(part.total for part in parts), trainable=sum(part.trainable for part in parts))
    width = max(len(part.name) for part in [total, *parts])
    rows = [f"  {part.name:<{width}}  {part.total:>15,}  {part.trainable:>15,}" for part in [total, *parts]]
    return ["parameters", f"  {'part':<{width}}  {'all':>15}  {'trainable':>15}", *rows]


def describe_batch(batch: Any, name: str = "batch", depth: int = 0) -> list[str]:
    """Shapes and types of everything in a batch."""
    indent = "  " * depth
    if isinstance(batch, torch.Tensor):
        return [f"{indent}{name}: {tuple(batch.shape)} {str(batch.dtype).removeprefix('torch.')}"]
    if isinstance(batch, Mapping):
        inner = [line for key, value in batch.items() for line in describe_batch(value, str(key), depth + 1)]
        return [f"{indent}{name}", *inner]
    if isinstance(batch, list | tuple):
        inner = describe_batch(batch[0], "[0]", depth + 1) if batch else []
        return [f"{indent}{name}: {type(batch).__name__} of {len(batch)}", *inner]
    return [f"{indent}{name}: {type(batch).__name__}"]


def _describe_result(losses: Mapping[str, float]) -> list[str]:
    memory = ", ".join(f"{kind} {value:.2f} GiB" for kind, value in peak_memory_gib().items())
    return ["one step", *(f"  {name}: {value:.4f}" for name, value in losses.items()), f"peak memory: {memory}"]
