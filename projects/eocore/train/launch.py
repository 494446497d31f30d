"""A whole training, or a trial of one step, from a config."""

import os
import tempfile
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import set_random_seed

from eocore.config import require
from eocore.distributed import Ranks, share_from_first
from eocore.errors import ConfigError, EOError
from eocore.files import keeping
from eocore.log import get_logger
from eocore.registry import TASKS
from eocore.train.checkpoint.files import AUTO, find_checkpoint, read_state
from eocore.train.checkpoint.hook import CheckpointHook
from eocore.train.checkpoint.resumption import check_allowable
from eocore.train.checkpoint.start_from import load_from
from eocore.train.device import make_deterministic, peak_memory_gib
from eocore.train.loader import prepare_loader
from eocore.train.resilience.heartbeat import HEARTBEAT
from eocore.train.resilience.preemption import Interrupts
from eocore.train.resilience.watchdog import Watchdog
from eocore.train.runner import Resumption, Runner, TrainingOptions, build_runner, check_config
from eocore.train.strategy import restart_count, start_process_group
from eocore.train.task import PartCount, Task
from eocore.train.validation.answers import MakeAnswers
from eocore.train.validation.validation import Validation, ValidationSetup, build_validation
from eocore.train.work_dir import RunState, WorkDir

DRY_RUN = "dry_run"
"""What the log calls a run that is only tried: a run has its folder's name."""


def train(
    config: Config,
    work_dir: Path,
    *,
    resume: str | None = None,
    strict: bool = False,
    allow: Collection[str] = (),
    answers: MakeAnswers | None = None,
) -> bool:
    """Trains `config`; True if it reached its end, False if it was told to stop before and has saved.

    The end is the last step, or an earlier one where validation has no better result any more (`training.validation.patience`).

    Args:
        config: as `load_config` returns it, its systems imported.
        work_dir: checkpoints, logs and curves go here; one run at a time.
        resume: a checkpoint folder, or `auto` for the newest one of `work_dir` if there is one. A process that torchrun starts again goes
            on in any case.
        strict: a damaged newest checkpoint is an error.
        allow: differences from the checkpoint that are accepted (`eocore.train.checkpoint.resumption.ALLOWABLE`).
        answers: makes what scores answers in validation: `eocore.predict.validation.ScoredAnswers`; None = it cannot.

    Raises:
        EOError: the config, the folder or the checkpoint cannot be used, or the training cannot continue; status.json has the reason too.
    """
    training, *_ = check_config(config)
    check_allowable(allow)
    _check_keeps_best(config, training)
    if restart_count() > 0:
        resume = resume or AUTO
    folder = WorkDir(work_dir, max_iters=training.max_iters)
    with Interrupts(partial(_tell_end, folder)) as interrupts:
        _, world_size = start_process_group(training.timeout_s)
        try:
            checkpoint = _on_first_rank(partial(_open_folder, folder, config, world_size=world_size, resume=resume, strict=strict))
            plan = RunPlan(resume=Resumption(checkpoint=checkpoint, allow=allow), answers=answers)
            return _run(config, folder, plan=plan, interrupts=interrupts)
        finally:
            folder.release()


def _open_folder(folder: WorkDir, config: Config, *, world_size: int, resume: str | None, strict: bool) -> Path | None:
    """The checkpoint to resume from, with the folder locked and the start recorded."""
    folder.acquire()
    inside = resume == AUTO or (resume is not None and Path(resume).resolve().parent == folder.path.resolve())
    if not inside:
        folder.require_unused()
    checkpoint = find_checkpoint(folder.path, resume, strict=strict) if resume else None
    if resume and checkpoint is None:
        get_logger().info("no checkpoint in %s yet: starting at step 0", folder.path)
    folder.record_start(config_text=config.pretty_text, world_size=world_size, checkpoint=checkpoint)
    return checkpoint


def _on_first_rank(do: Callable[[], Path | None]) -> Path | None:
    """What the first rank found, on every rank; its error is every rank's error."""
    found: Path | None = None
    problem: EOError | None = None
    if torch.distributed.get_rank() == 0:
        try:
            found = do()
        except EOError as error:
            problem = error
        except Exception as error:  # the other ranks wait for an answer, whatever it is
            problem = ConfigError(f"the work directory cannot be used: {type(error).__name__}: {error}. Choose another --work-dir.")
    found, problem = share_from_first((found, problem))
    if problem is not None:
        raise problem
    return found


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """Where a run begins, and what scores the answers of its validation."""

    resume: Resumption
    answers: MakeAnswers | None


def _check_keeps_best(config: Config, training: TrainingOptions) -> None:
    """Raise ConfigError if the best checkpoint is to be kept and nothing saves checkpoints."""
    validation = training.read_validation()
    types = [entry.get("type") for entry in config.get("hooks", {}).values() if entry is not None]
    if validation is not None and validation.best is not None and CheckpointHook.__name__ not in types:
        raise ConfigError(
            f"training.validation.best is '{validation.best}', but no CheckpointHook among `hooks` would keep its checkpoint. Add one, or "
            "leave best out."
        )


def _run(config: Config, folder: WorkDir, *, plan: RunPlan, interrupts: Interrupts) -> bool:
    training, *_ = check_config(config)
    failed = partial(_write_failure, folder)
    watchdog = Watchdog(folder.path, hang_timeout_s=training.hang_timeout_s, on_failure=failed)
    with watchdog, keeping(folder.path, "a file of the run", follows="Its checkpoints stand; resume from them with --resume."):
        runner = build_run(config, folder.path, plan=plan)
        runner.prepare()
        begun = runner.guard.step
        interrupts.obey(runner.orders, can_save=lambda: runner.guard.step > begun)
        with runner.orders.listening():
            runner.train()
    if runner.rank == 0:
        _record_end(folder, runner)
    return runner.iter == runner.max_iters or bool(runner.ended_early)


def _record_end(folder: WorkDir, runner: Runner) -> None:
    """What status.json and the log say of a run that was not ended by an error."""
    if runner.iter == runner.max_iters or runner.ended_early:
        folder.write_status("finished", step=runner.iter, reason=runner.ended_early)
        return
    order = "SIGINT, Ctrl-C" if runner.orders.interrupt_agreed else "SIGTERM"
    state: RunState = "interrupted" if runner.orders.interrupt_agreed else "preempted"
    folder.write_status(state, step=runner.iter, reason=f"told to stop ({order})")
    get_logger().info(
        "stopped after step %d of %d and saved, as told (%s). Continue: the same command with --resume",
        runner.iter,
        runner.max_iters,
        order,
    )


def _tell_end(folder: WorkDir, again: bool) -> None:
    """What status.json and the screen say of a run that Ctrl-C ends at once; the first rank speaks for all."""
    if int(os.environ.get("RANK", "0")) != 0:
        return
    newest = folder.newest_checkpoint()
    told = (
        "ended at once by a second Ctrl-C; updates since the newest checkpoint are lost" if again else "ended by Ctrl-C before any update"
    )
    todo = (
        f"resume from {newest} with the same command and --resume"
        if newest
        else "there is no checkpoint: start again from step 0 with --resume, or with another --work-dir"
    )
    if folder.held:
        folder.write_status("interrupted", step=max(HEARTBEAT.step - 1, 0), reason=told)
    get_logger().warning("%s; %s", told, todo)


def _write_failure(folder: WorkDir, reason: str) -> None:
    folder.write_status("failed", step=max(HEARTBEAT.step - 1, 0), reason=reason)


def dry_run(
    config: Config,
    work_dir: Path | None = None,
    *,
    resume: str | None = None,
    allow: Collection[str] = (),
    answers: MakeAnswers | None = None,
) -> str:
    """Builds everything, makes one real step on one batch, and tells parameter counts, shapes, losses and memory.

    Validation is built too, and told of, but not made.

    Nothing is kept: logs go to a temporary folder; hooks and tracking back ends are built, but none runs. Only the first rank tells; the
    text of the others is empty.

    Args:
        config: as `load_config` returns it, its systems imported.
        work_dir: of the run that `resume` means by `auto`.
        resume, allow, answers: as `train`; the step is then the one that would come next.

    Raises:
        EOError: as `train`.
    """
    training, *_ = check_config(config)
    _check_keeps_best(config, training)
    checkpoint = find_checkpoint(work_dir or Path(), resume) if resume else None
    with tempfile.TemporaryDirectory() as folder:
        config = config.copy()
        config.hooks, config.tracking = {}, []
        plan = RunPlan(resume=Resumption(checkpoint=checkpoint, allow=allow), answers=answers)
        runner = build_run(config, Path(folder) / DRY_RUN, plan=plan, tried=True)
        parts = runner.model.parameter_table()
        with closing(runner.prepare()) as loop:
            batch = loop.next_batch()
            loop.put_back(batch)
            outputs = loop.run_step()
    if runner.rank != 0:
        return ""
    losses = {name: float(value) for name, value in outputs[0].items()}
    validation = [] if runner.validation is None else runner.validation.describe()
    lines = [*describe_parts(parts), *describe_batch(batch), *_describe_result(losses), *validation]
    return "".join(line + "\n" for line in lines)


def build_run(config: Config, work_dir: Path, *, plan: RunPlan, tried: bool = False) -> Runner:
    """The runner of a run, or of one that is only `tried`: that never validates.

    Args:
        config: as `train`.
        work_dir: checkpoints, logs and curves go here.
        plan: of the run.
        tried: build validation, and leave it aside.

    Raises:
        EOError: as `train`.
    """
    training, *_ = check_config(config)
    checkpoint = plan.resume.checkpoint
    if training.deterministic:
        make_deterministic()
    rank, world_size = start_process_group(training.timeout_s)
    HEARTBEAT.mark("building model and data")
    # The same seed on every rank: weights drawn at construction must be equal.
    set_random_seed(config.seed)
    task: Task = TASKS.build(require(config, "task"))
    start = training.start()
    if start is not None and checkpoint is None:
        load_from(task, start)
    step = read_state(checkpoint)["step"] if checkpoint else 0
    loader = task.build_loader(rank=rank, world_size=world_size, seed=config.seed, start_step=step * training.accumulation)
    prepare_loader(loader, training.loader_timeout_s)
    validation = _build_validation(config, task, training=training, answers=plan.answers)
    runner = build_runner(
        config, task, train_loader=loader, work_dir=work_dir, resume=plan.resume, validation=None if tried else validation
    )
    runner.validation = validation
    return runner


def _build_validation(config: Config, task: Task, *, training: TrainingOptions, answers: MakeAnswers | None) -> Validation | None:
    options = training.read_validation()
    if options is None:
        return None
    ranks = Ranks(torch.distributed.get_rank(), torch.distributed.get_world_size())
    setup = ValidationSetup(config=config, options=options, ranks=ranks, answers=answers, timeout_s=training.loader_timeout_s)
    return build_validation(task, setup)


def describe_parts(parts: list[PartCount]) -> list[str]:
    """A table of parameter counts, the total first."""
    total = PartCount(name="total", total=sum(part.total for part in parts), trainable=sum(part.trainable for part in parts))
    width = max(len(part.name) for part in [total, *parts])
    rows = [f"  {part.name:<{width}}  {part.total:>15,}  {part.trainable:>15,}" for part in [total, *parts]]
    return ["parameters", f"  {'part':<{width}}  {'all':>15}  {'trainable':>15}", *rows]


def describe_batch(batch: Any, name: str = "batch", *, depth: int = 0) -> list[str]:
    """Shapes and types of everything in a batch."""
    indent = "  " * depth
    if isinstance(batch, torch.Tensor):
        return [f"{indent}{name}: {tuple(batch.shape)} {str(batch.dtype).removeprefix('torch.')}"]
    if isinstance(batch, tuple) and hasattr(batch, "_asdict"):
        batch = {key: value for key, value in batch._asdict().items() if value is not None}
    if isinstance(batch, Mapping):
        inner = [line for key, value in batch.items() for line in describe_batch(value, str(key), depth=depth + 1)]
        return [f"{indent}{name}", *inner]
    if isinstance(batch, list | tuple):
        inner = describe_batch(batch[0], "[0]", depth=depth + 1) if batch else []
        return [f"{indent}{name}: {type(batch).__name__} of {len(batch)}", *inner]
    return [f"{indent}{name}: {type(batch).__name__}"]


def _describe_result(losses: Mapping[str, float]) -> list[str]:
    memory = ", ".join(f"{kind} {value:.2f} GiB" for kind, value in peak_memory_gib().items())
    return ["one step", *(f"  {name}: {value:.4f}" for name, value in losses.items()), f"peak memory: {memory}"]
