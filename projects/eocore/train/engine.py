"""One batch through a DeepSpeed engine, and the update at the end of an accumulation, under the guard."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from eocore.train.device import require_deepspeed
from eocore.train.resilience.guard import StepGuard
from eocore.train.resilience.heartbeat import HEARTBEAT
from eocore.train.zero.loss_scale import grad_norm, loss_scale, scale_is_lowest, scaled
from eocore.train.zero.state import inner_optimizer

require_deepspeed()

from mmengine._strategy.deepspeed import DeepSpeedOptimWrapper, MMDeepSpeedEngineWrapper  # noqa: E402  (the accelerator comes before)

Forward = tuple[Tensor, dict[str, Tensor]]
ZERO_3 = 3
CALLS = "_global_step"
"""Where mmengine 0.10 keeps how often `step` was called, from -1 on. Source: mmengine/optim/scheduler/param_scheduler.py."""


def count_updates(optim_wrapper: DeepSpeedOptimWrapper, number: int) -> None:
    """Tells mmengine's schedules of updates that `optim_wrapper.step` was not called for.

    They count its calls, and warn of a skipped learning rate where they are asked for the second one before the first call.
    """
    if hasattr(optim_wrapper, CALLS):  # set by a schedule; a run without one has none
        setattr(optim_wrapper, CALLS, getattr(optim_wrapper, CALLS) + number)


class EngineWrapper(MMDeepSpeedEngineWrapper):
    """A DeepSpeed engine whose module is a `Task`.

    Attributes:
        guard: judges every update; set before the first.
    """

    guard: StepGuard
    _usable_batch: tuple[Any, Mapping[str, float] | None] | None = None

    def train_step(
        self, data: Any, optim_wrapper: DeepSpeedOptimWrapper, *, num_items_in_batch: Mapping[str, float] | None = None
    ) -> dict[str, Tensor]:
        """Forward, backward and, at the end of an accumulation, the update; returns what `Task.parse_losses` logs.

        A batch that is left out gives nothing.

        Args:
            data: one element of the loader.
            optim_wrapper: of the run.
            num_items_in_batch: from `eocore.distributed.mean_items`.

        Raises:
            EOError: this rank ran out of memory where it cannot be skipped, or too many updates in a row were skipped.
        """
        self.guard.see_batch(data)
        given = (data, num_items_in_batch)
        result, shortage = self._forward(*given)
        HEARTBEAT.mark("waiting for the other ranks after the forward pass")
        if self.guard.agree_on_memory(shortage, can_skip=self.model.zero_optimization_stage() < ZERO_3):
            return self._leave_out(optim_wrapper)
        assert result is not None
        total, log = result
        self.guard.see_loss(total)
        self._usable_batch = given
        self._backward(total)
        return log | self._finish(optim_wrapper)

    def _forward(self, data: Any, num_items: Mapping[str, float] | None) -> tuple[Forward | None, BaseException | None]:
        """(loss and log, None), or (None, the error) where memory ran out."""
        HEARTBEAT.mark("forward pass")
        task = self.model.module
        try:
            counted = {} if num_items is None else {"num_items_in_batch": num_items}
            losses = self.model(task.data_preprocessor(data, training=True), mode="loss", **counted)
            return task.parse_losses(losses), None
        except torch.OutOfMemoryError as error:
            # Its traceback holds the tensors that did not fit.
            shortage = error.with_traceback(None)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return None, shortage

    def _backward(self, total: Tensor) -> None:
        HEARTBEAT.mark("backward pass, or waiting for the other ranks in it")
        self.model.backward(scaled(self.model, total))

    def _leave_out(self, optim_wrapper: DeepSpeedOptimWrapper) -> dict[str, Tensor]:
        """Ends a batch that no rank sends back; the update it belongs to will not be made."""
        if not self.model.is_gradient_accumulation_boundary():
            optim_wrapper.step()
            return {}
        if self._usable_batch is None:
            self.guard.judge()
            count_updates(optim_wrapper, 1)
            self.model.micro_steps += 1
            self.model.global_steps += 1
            return {}
        # DeepSpeed clears what was accumulated only at the end of a last batch; an earlier one, which fits, stands in for it.
        result, shortage = self._forward(*self._usable_batch)
        if result is None:
            raise RuntimeError("out of memory for a batch that fitted before") from shortage
        self._backward(result[0])
        return self._finish(optim_wrapper)

    def _finish(self, optim_wrapper: DeepSpeedOptimWrapper) -> dict[str, Tensor]:
        """The update, if it is due and the guard lets it; returns the norm of its gradient where DeepSpeed knows it."""
        if not self.model.is_gradient_accumulation_boundary():
            optim_wrapper.step()
            return {}
        self._usable_batch = None
        HEARTBEAT.mark("waiting for the other ranks before the update")
        scale = loss_scale(self.model)
        self.guard.scale_can_fall = not scale_is_lowest(self.model)
        accepted = self.guard.judge()
        HEARTBEAT.mark("update of the weights")
        if not accepted:
            with self._weights_kept():
                optim_wrapper.step()
            return self._log_scale(scale)
        optim_wrapper.step()
        if not self.model.was_step_applied():
            self.guard.note_refusal()
        norm = grad_norm(self.model, scale)
        return self._log_scale(scale) | ({} if norm is None else {"grad_norm": torch.as_tensor(norm).detach()})

    def _log_scale(self, scale: float) -> dict[str, Tensor]:
        return {"fp16_scale": torch.tensor(scale)} if self.model.fp16_enabled() else {}

    @contextmanager
    def _weights_kept(self) -> Iterator[None]:
        """Inside, DeepSpeed's step uses the gradients up as always, but torch's optimiser changes nothing."""
        optimizer = inner_optimizer(self.model)
        own = vars(optimizer).get("step")  # a schedule may have wrapped it

        def leave_all(*_: Any, **__: Any) -> None:
            return None

        optimizer.step = leave_all  # type: ignore[assignment, method-assign]
        try:
            yield
        finally:
            if own is None:
                del optimizer.step
            else:
                optimizer.step = own  # type: ignore[method-assign]
