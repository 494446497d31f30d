"""When a checkpoint is saved: by step, by time, when told so, and after the last step."""

import time
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook

from eocore.distributed import share_from_first
from eocore.errors import CheckpointError, ConfigError
from eocore.log import get_logger
from eocore.registry import HOOKS
from eocore.train.checkpoint.snapshot import take_snapshot
from eocore.train.checkpoint.writer import CheckpointWriter

POLICIES = ("stop", "continue")


@HOOKS.register_module()
class CheckpointHook(Hook):
    """Saves every `interval` updates, every `minutes`, when the run is told to save or to stop, after the last update, and where
    validation has a better result than before."""

    priority = "VERY_LOW"
    observes_only = True

    def __init__(
        self, *, interval: int = 500, minutes: float | None = None, keep: int = 2, background: bool = False, on_error: str = "stop"
    ) -> None:
        """
        Args:
            interval: updates per checkpoint.
            minutes: longest time without a checkpoint [min]; None: no limit. The first rank's clock counts.
            keep: number of newest checkpoints that stay, beside the best one.
            background: the training continues while a checkpoint is written; needs twice the memory of the trained state on the first rank.
            on_error: what follows where a checkpoint cannot be written (disk full): `stop` the run, or `continue` with a warning. The one
                after the last update always stops.
        """
        check_interval("CheckpointHook", interval)
        if keep < 1:
            raise ConfigError(f"CheckpointHook.keep is {keep}; expected at least 1, else the checkpoint just written would be removed.")
        if minutes is not None and minutes <= 0:
            raise ConfigError(f"CheckpointHook.minutes is {minutes}; expected a positive number, or None for no limit.")
        if on_error not in POLICIES:
            raise ConfigError(f"CheckpointHook.on_error is {on_error!r}; expected one of {', '.join(POLICIES)}.")
        self.interval, self.minutes, self.keep = interval, minutes, keep
        self.background, self.on_error = background, on_error
        self.writer: CheckpointWriter | None = None
        self.saved_at = 0.0

    def before_train(self, runner: Any) -> None:
        """Starts the clock."""
        self.writer = CheckpointWriter(Path(runner.work_dir), keep=self.keep, background=self.background)
        self.saved_at = time.monotonic()

    def before_train_iter(self, runner: Any, batch_idx: int, *, data_batch: Any = None) -> None:
        """Asks for a checkpoint where one is due by time; all ranks agree on it within the update."""
        # time.monotonic: a clock that is set back or forward changes nothing.
        if runner.rank == 0 and self.minutes is not None and time.monotonic() - self.saved_at >= 60 * self.minutes:
            runner.orders.save = True

    def after_train_iter(self, runner: Any, batch_idx: int, *, data_batch: Any = None, outputs: Any = None) -> None:
        """Saves where a checkpoint is due."""
        step = batch_idx + 1
        last = step == runner.max_iters or runner.orders.stop_agreed or runner.train_loop.stop_training
        if step % self.interval == 0 or last or runner.orders.save_agreed:
            self._save(runner, step, last=last)

    def _save(self, runner: Any, step: int, *, last: bool) -> None:
        snapshot = take_snapshot(runner.strategy, step=step, config_text=runner.cfg.pretty_text, extra=runner.trainer_state())
        self.saved_at = time.monotonic()
        problem = ""
        if runner.rank == 0 and self.writer is not None:
            try:
                self.writer.save(snapshot)
                if last:
                    self.writer.wait()
            except CheckpointError as error:
                problem = str(error)
        problem = share_from_first(problem)
        if problem and (last or self.on_error == "stop"):
            raise CheckpointError(problem)
        if problem:
            get_logger().warning("training continues WITHOUT a new checkpoint: %s", problem)

    def after_failure(self, runner: Any) -> None:
        """Lets a checkpoint that is being written become whole before the run ends."""
        if self.writer is None:
            return
        try:
            self.writer.wait()
        except CheckpointError as error:
            get_logger().warning("%s", error)


def check_interval(owner: str, interval: int) -> None:
    """Nothing, for a number of updates that can be waited for. Raises ConfigError for another."""
    if not isinstance(interval, int) or interval < 1:
        raise ConfigError(f"{owner}.interval is {interval!r}; expected a whole number of at least 1.")
