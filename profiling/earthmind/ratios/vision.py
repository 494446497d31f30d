"""Calls of the encoders that a step makes against those that the upstream step makes."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from earthmind.task import EarthMindTask
from eocore.config import load_config
from eocore.registry import RATIOS
from profiling.earthmind.samples import make_batch
from profiling.earthmind.setting import build_setting
from profiling.earthmind.upstream_step import UpstreamStep
from profiling.measures.timing import time_in_turn
from profiling.ratios.ratio import Effort, Goal, Ratio, Reading, compare

MIDDLE = Path(__file__).resolve().parents[3] / "configs" / "benchmark" / "bench_mid.py"


def count_inputs(module: nn.Module, work: Callable[[], object]) -> int:
    """Images that `module` is given while `work` runs."""
    seen: list[int] = []

    def note(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen.append(len(args[0] if args else kwargs["pixel_values"]))

    hook = module.register_forward_pre_hook(note, with_kwargs=True)
    try:
        work()
    finally:
        hook.remove()
    return sum(seen)


class EncoderCalls(Ratio):
    """Images that an encoder sees in the forward of one sample, and what the whole forward and backward takes.

    Args:
        task: of a config; by default that of configs/benchmark/bench_mid.py.
    """

    kind: str
    goals: tuple[Goal, ...]

    def __init__(self, *, task: Mapping[str, Any] | None = None) -> None:
        self.fields = task

    @cached_property
    def task(self) -> EarthMindTask:
        """With random weights."""
        fields = self.fields if self.fields is not None else load_config(MIDDLE).task.to_dict()
        return build_setting(fields, device=torch.device("cpu"), dtype=torch.float32)

    @abstractmethod
    def encoder(self) -> nn.Module:
        """The one whose images are counted."""

    def measure(self, effort: Effort) -> list[Reading]:
        """See `Ratio.measure`."""
        batch, upstream = make_batch(self.task, [self.kind]), UpstreamStep(self.task)

        def reference() -> None:
            with upstream.switched():
                upstream.loss(batch).backward()

        def ours() -> None:
            self.task.parse_losses(self.task(batch))[0].backward()

        before, after = (float(count_inputs(self.encoder(), work)) for work in (reference, ours))
        times = time_in_turn({"reference": reference, "ours": ours}, repeats=effort.repeats, warm_up=0)
        calls, whole = self.goals
        return [
            compare(calls, "images", reference=before, ours=after),
            compare(whole, "s", reference=times["reference"].best, ours=times["ours"].best),
        ]


@RATIOS.register_module(name="G3")
class PairTiles(EncoderCalls):
    """The upstream step runs the vision tower for each sensor of a pair and once more, to read a shape."""

    what = "tiles the vision tower sees for a pair: three calls | one over all"
    kind = "pair"
    goals = (Goal(quantity="tiles", goal=1.5, limit="3T / 2T = 1.5"), Goal(quantity="step", goal=None))

    def encoder(self) -> nn.Module:
        """See `EncoderCalls.encoder`."""
        return self.task.model.vision_tower.embeddings


@RATIOS.register_module(name="G4")
class MasklessImages(EncoderCalls):
    """The upstream step draws five objects on a black image for samples without masks."""

    what = "images SAM 2 encodes for a sample without masks: one, black | none"
    kind = "vqa"
    goals = (
        Goal(quantity="images", goal=float("inf"), limit="none"),
        Goal(quantity="step", goal=1.25, limit="1 + SAM / rest; all other waste counts too"),
    )

    def encoder(self) -> nn.Module:
        """See `EncoderCalls.encoder`."""
        return self.task.model.seg_head.sam.vision_encoder
