"""Training steps on samples of stated kinds: speed, memory, operators, and the fraction of what the machine could compute."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from earthmind.model.batching import Batch, Sample
from earthmind.task import EarthMindTask
from eocore.errors import ConfigError
from profiling.earthmind.flops import step_flops
from profiling.earthmind.parts import PartTimes
from profiling.earthmind.samples import KINDS, encode_sample, kinds_of, make_batch, make_scenes
from profiling.earthmind.setting import build_setting
from profiling.earthmind.upstream_step import UpstreamStep
from profiling.measures.memory import GIB, PeakMemory, measure_peak
from profiling.measures.operators import OperatorCount
from profiling.measures.timing import time_in_turn, time_once

Batches = Sequence[Batch]
STEP_SIDES = ("ours", "upstream")
LEARNING_RATE = 1e-5


@dataclass(frozen=True, kw_only=True)
class StepFigures:
    """What a step over one sample kind (for a mix: all its steps) showed.

    Attributes:
        name: of the kind.
        samples, tokens: that went in.
        seconds: forward, backward and update; the fastest of the repeats.
        peak: memory.
        parts: seconds by part, of the fastest repeat; data comes on top of `seconds`, since loader processes make it.
        operators: dispatched that are no views.
        waits: dispatched that make the host wait for the device.
        useful_flops: see `profiling.earthmind.flops`.
        ceiling: matrix-product operations a second of this machine.
    """

    name: str
    samples: int
    tokens: int
    seconds: float
    peak: PeakMemory
    parts: Mapping[str, float] = field(default_factory=dict)
    operators: int = 0
    waits: int = 0
    useful_flops: float = 0.0
    ceiling: float = float("nan")

    @property
    def mfu(self) -> float:
        """Useful operations a second, as a fraction of the ceiling."""
        return self.useful_flops / self.seconds / self.ceiling

    def as_row(self) -> dict[str, float | str]:
        """Column -> value, for tables and files."""
        row: dict[str, float | str] = {
            "kind": self.name,
            "samples/s": self.samples / self.seconds,
            "tokens/s": self.tokens / self.seconds,
            "peak GiB": self.peak.peak / GIB,
            "rise GiB": self.peak.rise / GIB,
        }
        row |= {f"{part} s": seconds for part, seconds in self.parts.items()}
        return row | {
            "operators": self.operators,
            "waits": self.waits,
            "useful TFLOP": self.useful_flops / 1e12,
            "MFU %": 100 * self.mfu,
        }


class Trainer:
    """Forward, backward and update by torch's AdamW on what the task trains.

    Args:
        task: on its device.
    """

    def __init__(self, task: EarthMindTask) -> None:
        self.task = task
        self.device = next(task.parameters()).device
        trained = [parameter for parameter in task.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, foreach=True)

    def step(self, batches: Batches, times: PartTimes | None = None) -> None:
        """One update after each batch."""
        times = times or PartTimes()
        with times.within(self.task):
            for batch in batches:
                with times.rest("language"):
                    total, _ = self.task.parse_losses(self.task(batch.to(self.device)))
                with times.part("backward"):
                    total.backward()
                with times.part("update"):
                    self.optimizer.step()
                    self.optimizer.zero_grad()

    def batches(self, name: str, *, together: int, row_length: int | None) -> list[Batch]:
        """The batches of a sample kind, `together` samples in each."""
        kinds = kinds_of(name)
        kinds = kinds if len(kinds) > 1 else kinds * together
        groups = [kinds[first : first + together] for first in range(0, len(kinds), together)]
        return [make_batch(self.task, group, row_length=row_length, seed=number) for number, group in enumerate(groups)]


def measure_training(
    trainer: Trainer, name: str, *, ceiling: float, together: int = 1, row_length: int | None = None, repeats: int = 3
) -> StepFigures:
    """A sample kind, trained on.

    Args:
        trainer: of the task.
        name: of the kind, or "mix".
        ceiling: of this machine, from `profiling.measures.ceiling`.
        together: samples in a batch.
        row_length: tokens of a packed row; None = one sample a row.
        repeats: timed steps after one that warms up and shows the peak of memory.
    """
    made: list[list[Batch]] = []
    data_s = time_once(lambda: made.append(trainer.batches(name, together=together, row_length=row_length)))
    batches = made[0]
    peak = measure_peak(lambda: trainer.step(batches))
    best = (float("inf"), PartTimes())
    for _ in range(repeats):
        times = PartTimes()
        best = min(best, (time_once(lambda times=times: trainer.step(batches, times)), times), key=lambda found: found[0])  # type: ignore[misc]
    with OperatorCount() as count:
        trainer.step(batches)
    return StepFigures(
        name=name,
        samples=sum(batch.num_samples for batch in batches),
        tokens=sum(batch.num_tokens for batch in batches),
        seconds=best[0],
        peak=peak,
        parts={**best[1].seconds, "data": data_s},
        operators=count.total,
        waits=sum(count.waits.values()),
        useful_flops=sum(step_flops(trainer.task, batch).total for batch in batches),
        ceiling=ceiling,
    )


def measure_data(trainer: Trainer, name: str, *, repeats: int = 3) -> dict[str, float | str]:
    """Preparing a sample kind from arrays in memory: encoding and collating, in this process."""
    names = kinds_of(name)
    processor, collate = trainer.task.processor, trainer.task.collator()
    scenes = [make_scenes(KINDS[kind], tile_size=processor.options.tile_size, rng=np.random.default_rng(0)) for kind in names]

    def encode() -> list[Sample]:
        return [encode_sample(processor, KINDS[kind], scenes=shown, name=kind) for kind, shown in zip(names, scenes, strict=True)]

    samples = encode()
    works: dict[str, Callable[[], object]] = {"encode": encode, "collate": lambda: [collate([sample]) for sample in samples]}
    times = time_in_turn(works, repeats=repeats)
    total = times["encode"].best + times["collate"].best
    return {
        "kind": name,
        "samples/s": len(names) / total,
        "tokens/s": sum(len(sample.input_ids) for sample in samples) / total,
        "encode s": times["encode"].best,
        "collate s": times["collate"].best,
    }


def forward_backward(task: EarthMindTask, name: str, *, side: str, device: torch.device) -> Callable[[], None]:
    """One forward and backward of a sample kind, ours or in the structure of the upstream step; gradients are dropped.

    Raises:
        ConfigError: neither side.
    """
    if side not in STEP_SIDES:
        raise ConfigError(f"no side '{side}' of a step. Choices: {', '.join(STEP_SIDES)}.")
    batches = [make_batch(task, [kind]).to(device) for kind in kinds_of(name)]
    upstream = UpstreamStep(task)

    def work() -> None:
        for batch in batches:
            if side == "ours":
                task.parse_losses(task(batch))[0].backward()
            else:
                with upstream.switched():
                    upstream.loss(batch).backward()
            task.zero_grad()

    return work


def measure_step_memory(config: Mapping[str, Any], name: str, *, side: str, changes: Mapping[str, Any]) -> PeakMemory:
    """Peak of the second forward and backward in this process; memory of the GPU where there is one."""
    from eocore.train.device import local_device

    device = local_device()
    task = build_setting(config, device=device, dtype=torch.float32, changes=changes)
    work = forward_backward(task, name, side=side, device=device)
    work()
    return measure_peak(work)
