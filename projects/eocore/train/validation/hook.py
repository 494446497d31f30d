"""When a model in training is validated, and where results go: scalars.jsonl, log, tracking back ends, best checkpoint, early end."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook

from eocore.log import get_logger
from eocore.scalar_names import VALIDATED
from eocore.train.checkpoint.files import settle_best
from eocore.train.hooks import MetricsHook, add_scalars, forget_scalars
from eocore.train.progress import format_duration
from eocore.train.validation.validation import Found, Validation, save_picture

DURATION = f"{VALIDATED}validation_s"
PICTURE = f"{VALIDATED}samples"


class ValidationHook(Hook):
    """Validates when it is due, before the checkpoint of that update, which then knows the result.

    A run told to stop leaves a validation that is due or under way; the run that resumes makes it first.
    """

    priority = "LOW"

    def __init__(self, validation: Validation) -> None:
        self.validation = validation

    def before_train(self, runner: Any) -> None:
        """Makes the validation that the run resumed from was not given the time for; ends a run that had ended early."""
        best = self.validation.best
        if runner.rank == 0:
            missing = settle_best(Path(runner.work_dir), best.step)
            if missing:
                get_logger().warning("%s, the best checkpoint so far, is not in %s any more", missing, runner.work_dir)
        if self._end_if_exhausted(runner, runner.iter):
            return
        if best.validated is not None and best.validated < runner.iter and self.validation.is_due(runner.iter, runner.max_iters):
            if runner.rank == 0:
                forget_scalars(Path(runner.work_dir), step=runner.iter, prefix=VALIDATED)
            self._validate(runner, runner.iter)
            if runner.rank == 0:
                settle_best(Path(runner.work_dir), best.step)

    def after_train_iter(self, runner: Any, batch_idx: int, *, data_batch: Any = None, outputs: Any = None) -> None:
        """Validates where it is due."""
        step = batch_idx + 1
        if self.validation.best.validated is None:
            self.validation.best.validated = 0
        if self.validation.is_due(step, runner.max_iters) and not runner.orders.stop_agreed:
            self._validate(runner, step)

    def _validate(self, runner: Any, step: int) -> None:
        with _bar_hidden(runner):
            found = self.validation.run(runner.strategy, runner.orders, work_dir=Path(runner.work_dir))
        if found is None:
            if runner.rank == 0:
                get_logger().info("validation after step %d left, as the run was told to stop; --resume makes it first", step)
            return
        loop = runner.train_loop
        loop.aside_seconds += found.seconds
        loop.aside_per_step = found.seconds / self.validation.options.every
        before = self.validation.best.value
        unknown = dict.fromkeys(self.validation.names, math.nan)  # one that is not finite does not come
        better = self.validation.best.see(step, {**unknown, **found.results})
        if better:
            runner.orders.save_agreed = True  # all ranks have the same results
        if runner.rank == 0:
            _publish(runner, step, found=found)
            get_logger().info("validated after step %d: %s", step, self._describe(found, better=better, before=before))
        self._end_if_exhausted(runner, step)

    def _describe(self, found: Found, *, better: bool, before: float | None) -> str:
        """Results in one line: the loss, the one that `best` names, and all of answers."""
        best = self.validation.best
        shown = {name: value for name, value in found.results.items() if name == "loss" or name.count("/") == 2}
        name = best.options.best
        if name is not None and name in found.results:
            shown = {name: found.results[name], **shown}
        parts = [f"{name} {value:.4g}" for name, value in shown.items()]
        if better:
            parts[0] += " (best)" if before is None else f" (best, before: {before:.4g})"
        return "  ".join([*parts, f"took {format_duration(found.seconds)}"])

    def _end_if_exhausted(self, runner: Any, step: int) -> bool:
        reason = self.validation.best.ended
        if not reason or step == runner.max_iters:
            return False
        runner.train_loop.stop_training = True
        if runner.rank == 0:
            get_logger().info("step %d of %d: %s", step, runner.max_iters, reason)
        return True


def _publish(runner: Any, step: int, *, found: Found) -> None:
    record = {f"{VALIDATED}{name}": value for name, value in found.results.items()} | {DURATION: found.seconds}
    add_scalars(Path(runner.work_dir), {"step": step, **record})
    runner.visualizer.add_scalars(record, step=step)
    if found.picture is not None:
        save_picture(found.picture, Path(runner.work_dir), step=step)
        runner.visualizer.add_image(PICTURE, found.picture, step=step)


@contextmanager
def _bar_hidden(runner: Any) -> Iterator[None]:
    """A terminal shows one bar at a time."""
    shown = [hook.progress for hook in runner.hooks if isinstance(hook, MetricsHook) and hook.progress is not None]
    for bar in shown:
        bar.pause()
    try:
        yield
    finally:
        for bar in shown:
            bar.go_on()
