"""One judgement per update, the same on all ranks: whether its gradient may change the weights."""

import json
import math
import statistics
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from eocore.distributed import control_group, gather_to_all, num_ranks
from eocore.errors import ConfigError, EOError
from eocore.log import get_logger
from eocore.train.resilience.preemption import Orders

SKIPPED = "skipped.jsonl"
OVERFLOW = "gradient too large for the loss scale, which is lowered"
POLICIES = ("skip", "stop")


@dataclass(frozen=True, kw_only=True)
class GuardOptions:
    """Config section `guard`.

    Attributes:
        max_in_a_row: skipped updates in a row at which the run stops.
        spike_sigmas: an update whose loss lies more than so many standard deviations above the mean of the last accepted ones is skipped;
            0 = never. Source of this and the next two: OLMo-core's SkipStepOptimizer (6 of the last 128, from 64 on).
        spike_window: number of last accepted losses that count.
        spike_history: number of accepted losses before the first judgement.
        out_of_memory: `skip` the update where a rank runs out of GPU memory in the forward pass (ZeRO 0-2; under ZeRO-3, and in the
            backward pass, the other ranks wait for it already), or `stop`. Skipping costs one exchange over the network per batch.
    """

    uncompared: ClassVar[Mapping[str, str]] = {"max_in_a_row": "ends a run, changes none"}
    max_in_a_row: int = 5
    spike_sigmas: float = 6.0
    spike_window: int = 128
    spike_history: int = 64
    out_of_memory: str = "skip"

    def __post_init__(self) -> None:
        if self.max_in_a_row < 1:
            raise ConfigError(f"guard.max_in_a_row is {self.max_in_a_row}; expected at least 1 (the first skipped update stops the run).")
        if self.spike_sigmas < 0:
            raise ConfigError(f"guard.spike_sigmas is {self.spike_sigmas}; expected a positive number, or 0 to judge no loss by its size.")
        if not 2 <= self.spike_history <= self.spike_window:
            raise ConfigError(
                f"guard.spike_history is {self.spike_history}, guard.spike_window {self.spike_window}; expected a history of at least 2 "
                "losses (else there is no deviation) and no longer than the window."
            )
        if self.out_of_memory not in POLICIES:
            raise ConfigError(f"guard.out_of_memory is {self.out_of_memory!r}; expected one of {', '.join(POLICIES)}.")


class StepGuard:
    """Watches losses and gradients of one update after the other.

    Attributes:
        step: updates judged, of this run and those it resumes from.
        skipped: reason -> number of updates skipped for it.
        in_a_row: updates skipped since the last accepted one, but for those that lower the loss scale.
        scale_can_fall: the training is in float16, and a smaller loss scale can help where a gradient is not finite.
    """

    def __init__(self, options: GuardOptions, orders: Orders, *, work_dir: Path) -> None:
        self.options, self.orders, self.work_dir = options, orders, work_dir
        self.step, self.in_a_row = 0, 0
        self.scale_can_fall = False
        self.skipped: dict[str, int] = {}
        self._losses: deque[float] = deque(maxlen=options.spike_window)
        self._reset()

    def _reset(self) -> None:
        self._loss: list[Tensor] = []
        self._samples: list[str] = []
        self._gradient: Tensor | None = None
        self._no_memory = 0

    def watch(self, model: nn.Module) -> None:
        """Sees every gradient of the model's trained weights from now on, before it is added up over ranks."""
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.register_hook(self._see_gradient)

    def _see_gradient(self, gradient: Tensor) -> None:
        # A sum is finite only where every element is; 0 times it is 0 or NaN. Nothing waits for the GPU.
        part = gradient.detach().sum(dtype=torch.float32) * 0
        self._gradient = part if self._gradient is None else self._gradient + part

    def see_batch(self, batch: Any) -> None:
        """Notes which samples the update is made of, if the batch names them (`sample_ids`)."""
        self._samples += [str(name) for name in getattr(batch, "sample_ids", ())]

    def see_loss(self, loss: Tensor) -> None:
        """Notes the loss of one batch."""
        self._loss.append(loss.detach().float())

    def agree_on_memory(self, error: BaseException | None, *, can_skip: bool) -> bool:
        """True where all ranks leave this batch out because one of them ran out of memory for it. All ranks call it.

        Args:
            error: what this rank's forward pass raised, if it ran out of memory.
            can_skip: nothing of this forward pass is shared between ranks (ZeRO 0-2).

        Raises:
            EOError: this rank ran out of memory, and it cannot be skipped or must not be.
        """
        if error is not None:
            # Ranks but the first log errors alone.
            get_logger().error("rank %d is out of memory for %s: %s\n%s", _rank(), self._named(), error, memory_summary())
        if self.options.out_of_memory == "stop" or not can_skip:
            if error is not None:
                raise EOError(
                    f"rank {_rank()} ran out of memory in step {self.step + 1} for {self._named()}: {error}. Lower batch_size or "
                    "max_length, or recompute activations, and continue with --resume."
                ) from error
            return False
        short = torch.tensor(1.0 if error is not None else 0.0)
        if num_ranks() > 1:
            torch.distributed.all_reduce(short, op=torch.distributed.ReduceOp.MAX, group=control_group())
        self._no_memory += int(error is not None)
        return bool(short.item())

    def judge(self) -> bool:
        """True where the update may be made. All ranks call it, once per update, and get the same answer.

        Raises:
            EOError: too many updates in a row were skipped.
        """
        self.step += 1
        everyone = self._exchange()
        stop = everyone[:, 4]
        self.orders.agree(save=bool(everyone[:, 3].any()), stop=bool(stop.any()), interrupted=bool((stop > 1).any()))
        losses = everyone[:, 0].tolist()
        reason = self._reason(everyone)
        if not reason:
            self._losses.append(statistics.fmean(losses))
            self.in_a_row = 0
        else:
            self._skip(reason, losses)
        self._reset()
        return not reason

    def _exchange(self) -> Tensor:
        """(ranks, 5) float64: loss, gradient flag, ran out of memory, wishes to save, to stop (2: by Ctrl-C).

        The one wait for the GPU per update.
        """
        loss = float(torch.stack(self._loss).mean()) if self._loss else math.nan
        gradient = 0.0 if self._gradient is None else float(self._gradient)
        stop = self.orders.stop + self.orders.interrupted
        mine = torch.tensor([loss, gradient, self._no_memory, self.orders.save, stop], dtype=torch.float64)
        if num_ranks() == 1:
            return mine[None]
        # Gathered, not summed: every rank then computes the same from the same numbers.
        everyone = [torch.empty_like(mine) for _ in range(num_ranks())]
        torch.distributed.all_gather(everyone, mine, group=control_group())
        return torch.stack(everyone)

    def _reason(self, everyone: Tensor) -> str:
        checks = {
            "out of memory": everyone[:, 2] > 0,
            "loss not finite": ~everyone[:, 0].isfinite(),
            "gradient not finite": everyone[:, 1].isnan(),
        }
        for reason, ranks in checks.items():
            if ranks.any() and reason == "gradient not finite" and self.scale_can_fall:
                return OVERFLOW
            if ranks.any():
                return f"{reason} on rank {', '.join(str(rank) for rank in ranks.nonzero().flatten().tolist())}"
        return "loss spike" if self._is_spike(statistics.fmean(everyone[:, 0].tolist())) else ""

    def _is_spike(self, loss: float) -> bool:
        if not self.options.spike_sigmas or len(self._losses) < self.options.spike_history:
            return False
        return loss > statistics.fmean(self._losses) + self.options.spike_sigmas * statistics.stdev(self._losses)

    def note_refusal(self) -> None:
        """Counts an update that DeepSpeed itself refused: its gradient was not finite once added up."""
        self._skip(OVERFLOW if self.scale_can_fall else "gradient not finite after it was added up over ranks", [])

    def _skip(self, reason: str, losses: list[float]) -> None:
        kind = reason.split(" on rank ")[0]
        self.skipped[kind] = self.skipped.get(kind, 0) + 1
        if reason == OVERFLOW:
            get_logger().info("update %d skipped: %s", self.step, reason)
            return
        self.in_a_row += 1
        samples = gather_to_all(self._samples)
        record = {"step": self.step, "reason": reason, "loss": [repr(loss) for loss in losses], "sample_ids": samples}
        if _rank() == 0:
            with (self.work_dir / SKIPPED).open("a") as file:
                file.write(json.dumps(record) + "\n")
            get_logger().warning("update %d skipped, weights unchanged: %s (losses %s); samples in %s", self.step, reason, losses, SKIPPED)
        if self.in_a_row >= self.options.max_in_a_row:
            raise EOError(
                f"{self.in_a_row} updates in a row were skipped, the last (step {self.step}) for: {reason}, losses of the ranks {losses}. "
                f"The samples are listed in {self.work_dir / SKIPPED}. Look at them, or resume from the last checkpoint with a lower "
                "learning rate; guard.max_in_a_row sets the limit."
            )

    def _named(self) -> str:
        return f"samples {', '.join(self._samples)}" if self._samples else "a batch that does not name its samples"

    def state(self) -> dict[str, Any]:
        """What a run that continues must know; fit for JSON."""
        return {"losses": list(self._losses), "skipped": self.skipped, "in_a_row": self.in_a_row}

    def restore(self, step: int, state: Mapping[str, Any]) -> None:
        """Continues after `step` updates with what `state` gave."""
        self.step = step
        self._losses.extend(state["losses"])
        self.skipped, self.in_a_row = dict(state["skipped"]), int(state["in_a_row"])


def _rank() -> int:
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


def memory_summary() -> str:
    """What occupies the GPU's memory; empty without a GPU."""
    return torch.cuda.memory_summary(abbreviated=True) if torch.cuda.is_available() else ""
