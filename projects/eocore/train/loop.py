"""The training loop: one step is one update of the weights."""

import time
from collections.abc import Iterator
from itertools import chain
from typing import Any

import torch
from mmengine.runner import BaseLoop, FlexibleRunner
from torch import Tensor
from torch.utils.data import DataLoader

from eocore.errors import DataError


class StepLoop(BaseLoop):
    """Runs `max_iters` updates, each over `accumulation` batches.

    The hooks see one iteration per update. `after_train_iter` gets `outputs`, one dict of scalars per batch of the update, and
    `data_batch`, the last of these batches. Time spent waiting for data is kept in `data_seconds`.
    """

    def __init__(self, runner: FlexibleRunner, dataloader: DataLoader, *, max_iters: int, accumulation: int) -> None:
        """
        Args:
            runner: whose model, optimiser and hooks are used.
            dataloader: batches without end, begun where this run begins.
            max_iters: number of updates.
            accumulation: batches per update.
        """
        super().__init__(runner, dataloader)
        self.max_iters = max_iters
        self.accumulation = accumulation
        # mmengine's runner asks every loop for epochs; all of the training is one.
        self.max_epochs = 1
        self.epoch = 0
        self.iter = 0
        self.stop_training = False
        self.data_seconds = 0.0
        self._batches: Iterator[Any] | None = None

    def start_at(self, step: int) -> None:
        """Says that `step` updates were made by an earlier run."""
        self.iter = step

    def run(self) -> None:
        """All steps that are left, with the hooks before and after."""
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        while self.iter < self.max_iters and not self.stop_training:
            self.run_step()
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")

    def run_step(self) -> list[dict[str, Tensor]]:
        """One update; gives what each of its batches logged."""
        outputs = []
        for position in range(self.accumulation):
            batch = self.next_batch()
            if position == 0:
                self.runner.call_hook("before_train_iter", batch_idx=self.iter, data_batch=batch)
            outputs.append(self.runner.model.train_step(batch, optim_wrapper=self.runner.optim_wrapper))
        self.runner.call_hook("after_train_iter", batch_idx=self.iter, data_batch=batch, outputs=outputs)
        self.iter += 1
        return outputs

    def put_back(self, batch: Any) -> None:
        """Makes `batch`, which `next_batch` gave, the next one again."""
        self._batches = chain([batch], () if self._batches is None else self._batches)

    def next_batch(self) -> Any:
        """The loader's next batch.

        Raises:
            DataError: the loader ended before the last step.
        """
        start = time.perf_counter()
        if self._batches is None:
            # A DataLoader draws a seed when it starts; a resumed run starts it later than the run it goes on from.
            with torch.random.fork_rng(devices=[]):
                self._batches = iter(self.dataloader)
        try:
            return next(self._batches)
        except StopIteration:
            raise DataError(
                f"the training data ended at step {self.iter} of {self.max_iters}; a task's loader must go on without end, so that the "
                "order of the data depends on the step alone. Let its sampler start the next epoch."
            ) from None
        finally:
            self.data_seconds += time.perf_counter() - start
