"""What happens beside the training: progress and scalars, loss curves."""

import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from torch import Tensor

from eocore.data.loading.error_policy import NUM_REPLACED
from eocore.registry import HOOKS
from eocore.scalars import SCALARS
from eocore.train import tracking as _tracking  # noqa: F401  (registers the back end that configs name)
from eocore.train.checkpoint.files import TEMPORARY
from eocore.train.checkpoint.hook import check_interval
from eocore.train.curves import draw_curves
from eocore.train.device import peak_memory_gib
from eocore.train.progress import ProgressBar, ProgressLines, on_terminal
from eocore.train.task import COUNT_PREFIX

CURVES = "loss_curve.png"


@HOOKS.register_module()
class MetricsHook(Hook):
    """Averages what the task reports over ranks and steps, and passes it on: terminal, scalars.jsonl, the tracking back ends.

    A line of scalars.jsonl holds `step` (updates made), the task's losses and metrics, `lr`, `step_s`, `samples_per_s` and `tokens_per_s`
    where the task counts them, `data_share` (fraction of the time spent waiting for data), `eta_s`, and peak memory [GiB]. Results of
    validation stand in lines of their own, as `val/*` (`eocore.train.validation.hook`); their time is in no speed, but in `eta_s`.
    """

    observes_only = True

    def __init__(self, *, interval: int = 10) -> None:
        """
        Args:
            interval: updates per record.
        """
        check_interval("MetricsHook", interval)
        self.interval = interval
        self.window: dict[str, list[Tensor]] = defaultdict(list)
        self.steps = 0
        self.mark = 0.0
        self.data_mark = self.aside_mark = 0.0
        self.progress: ProgressBar | ProgressLines | None = None

    def before_train(self, runner: Any) -> None:
        """Begins the file (or continues with it, less what came after the step resumed from) and the progress display."""
        loop = runner.train_loop
        self.mark, self.data_mark, self.aside_mark = time.perf_counter(), loop.data_seconds, loop.aside_seconds
        if runner.rank != 0:
            return
        _keep_until(Path(runner.work_dir) / SCALARS, runner.iter)
        display = ProgressBar if on_terminal() else ProgressLines
        self.progress = display(start=runner.iter, total=runner.max_iters)

    def after_train_iter(self, runner: Any, batch_idx: int, *, data_batch: Any = None, outputs: Any = None) -> None:
        """Collects; every `interval` updates, and after the last, publishes."""
        for output in outputs:
            for name, value in output.items():
                self.window[name].append(value)
        self.steps += 1
        step = batch_idx + 1
        if step % self.interval == 0 or step == runner.max_iters:
            record = self._close_window(runner, step)
            if runner.rank == 0:
                self._publish(runner, record)

    def after_train(self, runner: Any) -> None:
        """Ends the progress display and closes the tracking back ends."""
        if self.progress is not None:
            self.progress.close()
        runner.visualizer.close()

    def after_failure(self, runner: Any) -> None:
        """Gives the terminal back before the error is shown."""
        self.after_train(runner)

    def _close_window(self, runner: Any, step: int) -> dict[str, float]:
        """The record of the window, equal on every rank."""
        mine = {name: (sum(float(value) for value in values), len(values)) for name, values in self.window.items()}
        loop, now = runner.train_loop, time.perf_counter()
        seconds, waited = now - self.mark - (loop.aside_seconds - self.aside_mark), loop.data_seconds - self.data_mark
        scalars = _merge(mine)
        counts = {name: scalars.pop(name) for name in list(scalars) if name.startswith(COUNT_PREFIX)}
        record = {"step": step} | scalars | {"lr": runner.optim_wrapper.optimizer.param_groups[0]["lr"]}
        record["step_s"] = seconds / self.steps
        record |= {name.removeprefix(COUNT_PREFIX): counts.pop(name) for name in (NUM_REPLACED,) if name in counts}
        record |= {f"{name.removeprefix(COUNT_PREFIX)}_per_s": count / seconds for name, count in counts.items()}
        record |= {"data_share": waited / seconds, "eta_s": (record["step_s"] + loop.aside_per_step) * (runner.max_iters - step)}
        record |= {f"peak_{kind}_gib": value for kind, value in peak_memory_gib().items()}
        self.window.clear()
        self.steps, self.mark, self.data_mark, self.aside_mark = 0, now, loop.data_seconds, loop.aside_seconds
        return record

    def _publish(self, runner: Any, record: dict[str, float]) -> None:
        add_scalars(Path(runner.work_dir), record)
        scalars = {name: value for name, value in record.items() if name != "step"}
        runner.visualizer.add_scalars(scalars, step=int(record["step"]))
        if self.progress is not None:
            self.progress.show(record)


def add_scalars(work_dir: Path, record: Mapping[str, float]) -> None:
    """Appends a line to scalars.jsonl of a run."""
    with (work_dir / SCALARS).open("a") as file:
        file.write(json.dumps(record) + "\n")


def forget_scalars(work_dir: Path, *, step: int, prefix: str) -> None:
    """Removes the lines of a step that hold names with a prefix, which will be written again."""
    _keep_lines(work_dir / SCALARS, lambda record: not (record["step"] == step and any(name.startswith(prefix) for name in record)))


def _merge(mine: dict[str, tuple[float, int]]) -> dict[str, float]:
    """Over all ranks: counts summed, everything else averaged over the batches that reported it."""
    everyone: list[Any] = [mine]
    if torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1:
        everyone = [None] * torch.distributed.get_world_size()
        # Ranks may report different names (a batch without masks), which rules out reducing one tensor.
        torch.distributed.all_gather_object(everyone, mine)
    merged: dict[str, float] = {}
    for name in dict.fromkeys(name for part in everyone for name in part):
        total = sum(part[name][0] for part in everyone if name in part)
        number = sum(part[name][1] for part in everyone if name in part)
        merged[name] = total if name.startswith(COUNT_PREFIX) else total / number
    return merged


def _keep_until(path: Path, step: int) -> None:
    _keep_lines(path, lambda record: 0 < record["step"] <= step)


def _keep_lines(path: Path, wanted: Callable[[Mapping[str, float]], bool]) -> None:
    lines = path.read_text().splitlines() if path.is_file() else []
    kept = [line for line in lines if wanted(_read_line(line))]
    aside = path.with_name(f"{TEMPORARY}{path.name}")
    aside.write_text("".join(line + "\n" for line in kept))
    os.replace(aside, path)


def _read_line(line: str) -> Mapping[str, float]:
    try:
        return {"step": float("inf")} | json.loads(line)
    except json.JSONDecodeError:  # a run that was killed while it wrote the line
        return {"step": float("inf")}


@HOOKS.register_module()
class LossCurveHook(Hook):
    """Draws loss_curve.png from scalars.jsonl after the last step."""

    priority = "LOWEST"
    observes_only = True

    def after_train(self, runner: Any) -> None:
        """Draws on the first rank."""
        if runner.rank == 0:
            work_dir = Path(runner.work_dir)
            draw_curves(work_dir / SCALARS, work_dir / CURVES)
