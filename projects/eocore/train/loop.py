"""The training loop: one step is one update of the weights."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from mmengine.runner import BaseLoop, FlexibleRunner
from torch import Tensor
from torch.utils.data import DataLoader

from eocore.data.loading.worker_status import describe_samples, open_table
from eocore.distributed import mean_items
from eocore.errors import DataError, EOError, SampleError, describe_unforeseen
from eocore.train.loader import Batches
from eocore.train.resilience.heartbeat import HEARTBEAT
from eocore.train.resilience.loader_errors import LOADER, ProcessTrace, as_raised, last_error, told_by_loader, trace_of_process

CountItems = Callable[[Any], Mapping[str, float]]


def count_nothing(_batch: Any) -> Mapping[str, float]:
    """No items: losses are means over each batch by itself."""
    return {}


class StepLoop(BaseLoop):
    """Runs `max_iters` updates, each over `accumulation` batches.

    The hooks see one iteration per update. `after_train_iter` gets `outputs`, one dict of scalars per batch of the update, and
    `data_batch`, the last of these batches. Time spent waiting for data is kept in `data_seconds`, that of validation in
    `aside_seconds`, and what the last one took for each update up to it in `aside_per_step` [s]. `stop_training` ends the run after
    an update.
    """

    def __init__(
        self, runner: FlexibleRunner, dataloader: DataLoader, *, max_iters: int, accumulation: int, count_items: CountItems = count_nothing
    ) -> None:
        """
        Args:
            runner: whose model, optimiser and hooks are used.
            dataloader: batches without end, begun where this run begins.
            max_iters: number of updates.
            accumulation: batches per update.
            count_items: `Task.count_items`.
        """
        super().__init__(runner, dataloader)
        self.max_iters = max_iters
        self.accumulation = accumulation
        self.count_items = count_items
        self.rank = runner.rank
        # mmengine's runner asks every loop for epochs; all of the training is one.
        self.max_epochs = 1
        self.epoch = 0
        self.iter = 0
        self.stop_training = False
        self.data_seconds = self.aside_seconds = self.aside_per_step = 0.0
        self._loading: Batches | None = None
        self._put_back: list[Any] = []

    def start_at(self, step: int) -> None:
        """Says that `step` updates were made by an earlier run."""
        self.iter = step

    def run(self) -> None:
        """All steps that are left, with the hooks before and after."""
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        while self.iter < self.max_iters and not (self.runner.orders.stop_agreed or self.stop_training):
            HEARTBEAT.mark("beginning of a step", step=self.iter + 1)
            try:
                self.run_step()
            except RuntimeError as error:  # torch tells of a dead loader process wherever this thread happens to be
                named = self._loader_error(error) if LOADER in str(error) else None
                if named is None:
                    raise
                raise named from error
        self.close()
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")

    def close(self) -> None:
        """Ends the loader's processes. After an error the end of this process does: the other ranks are told of it first."""
        if self._loading is not None:
            self._loading.close()

    def run_step(self) -> list[dict[str, Tensor]]:
        """One update; returns what each of its batches logged."""
        outputs = []
        batches = [self.next_batch() for _ in range(self.accumulation)]
        num_items = mean_items([self.count_items(batch) for batch in batches])
        for position, batch in enumerate(batches):
            if position == 0:
                self.runner.call_hook("before_train_iter", batch_idx=self.iter, data_batch=batch)
            outputs.append(self.runner.model.train_step(batch, optim_wrapper=self.runner.optim_wrapper, num_items_in_batch=num_items))
        HEARTBEAT.mark("logging and saving")
        self.runner.call_hook("after_train_iter", batch_idx=self.iter, data_batch=batch, outputs=outputs)
        self.iter += 1
        return outputs

    def _start_loader(self) -> Batches:
        open_table(self.dataloader.num_workers)
        return Batches(self.dataloader)

    def _in_preparation(self) -> str:
        """The samples that loader processes have begun last, as far as the dataset can tell."""
        describe = getattr(self.dataloader.dataset, "describe", None)
        return "; ".join(describe_samples(describe)) or "no sample yet" if describe else "samples that the dataset cannot name"

    def _loader_error(self, error: Exception) -> DataError | None:
        """What to say where `error` comes of a loader process that died or is too slow; None where it does not."""
        told = told_by_loader(error) if self.dataloader.num_workers else ""
        if not told:
            return None
        return DataError(
            f"{told} This is the loader of rank {self.rank}, at step {self.iter + 1}. In preparation were: {self._in_preparation()}. "
            "Try such a sample alone (num_workers=0), fix it or leave it out, and continue with --resume; if it is only slow, raise "
            "training.loader_timeout_s."
        )

    def _batch_error(self, error: Exception) -> EOError:
        """What to say of an error that came up instead of a batch."""
        if isinstance(error, EOError):
            return as_raised(error)
        trace = trace_of_process(error)
        dead = self._loader_error(error) if trace is None and isinstance(error, RuntimeError | OSError | EOFError) else None
        if dead is not None:
            dead.__cause__ = error
            return dead
        named = SampleError(
            f"the batch of step {self.iter + 1} on rank {self.rank} could not be prepared: "
            f"{last_error(trace) if trace else describe_unforeseen(error)}. In preparation were: {self._in_preparation()}. "
            "Expected a batch, or an error that says what is wrong with a file: this is a fault of the program, or data of a kind it has "
            "not met. Look at the samples and the trace, fix them or the code, and continue with --resume."
        )
        named.__cause__ = ProcessTrace(trace) if trace else error
        return named

    def put_back(self, batch: Any) -> None:
        """Makes `batch`, which `next_batch` gave, the next one again."""
        self._put_back.append(batch)

    def next_batch(self) -> Any:
        """The loader's next batch.

        Raises:
            DataError: the loader ended before the last step, or one of its processes died or took longer than the loader's timeout.
            EOError: of a sample, as it was raised; or SampleError, for one that nobody foresaw.
        """
        start = time.perf_counter()
        HEARTBEAT.mark("waiting for a batch", detail=self._in_preparation)
        try:
            if self._put_back:
                return self._put_back.pop()
            if self._loading is None:
                self._loading = self._start_loader()
            return next(self._loading)
        except StopIteration:
            raise DataError(
                f"the training data ended at step {self.iter} of {self.max_iters}; a task's loader must continue without end, so that the "
                "order of the data depends on the step alone. Let its sampler start the next epoch."
            ) from None
        except Exception as error:
            named = self._batch_error(error)
            raise named from named.__cause__
        finally:
            self.data_seconds += time.perf_counter() - start
