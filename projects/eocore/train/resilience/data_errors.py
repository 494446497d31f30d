"""Broken samples of all ranks: counted together, logged once, judged alike."""

from typing import Any

import torch
from mmengine.hooks import Hook

from eocore.data.loading.error_policy import Fault, FaultReport, ReportingLoader
from eocore.log import get_logger


class DataFaultHook(Hook):
    """Exchanges what the loaders of all ranks replaced, so that all stop at the same step where it is too much.

    Args:
        loader: this rank's.
        interval: updates between two exchanges.
    """

    def __init__(self, loader: ReportingLoader, *, interval: int = 10) -> None:
        self.loader = loader
        self.interval = interval
        self.report = FaultReport(loader.options.max_share)

    def after_train_iter(self, runner: Any, batch_idx: int, *, data_batch: Any = None, outputs: Any = None) -> None:
        """Every `interval` updates, and after the last. Raises DataError on every rank where too many samples are broken."""
        step = batch_idx + 1
        if step % self.interval == 0 or step == runner.max_iters:
            self._exchange(step)
            self.report.check()

    def after_train(self, runner: Any) -> None:
        """Logs the counts."""
        if runner.rank == 0:
            get_logger().info("data: %s", self.report.describe())

    def _exchange(self, step: int) -> None:
        mine, self.loader.new_faults = self.loader.new_faults, []
        for fault in self.report.add(_gather(mine)):
            if not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0:
                get_logger().warning("replaced, up to step %d: %s", step, fault.message)


def _gather(mine: list[Fault]) -> list[Fault]:
    """The faults of all ranks, in one order on all of them."""
    if not torch.distributed.is_initialized() or torch.distributed.get_world_size() == 1:
        return mine
    everyone: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(everyone, mine)
    return [fault for faults in everyone for fault in faults]
