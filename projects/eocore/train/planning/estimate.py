"""Memory of a training on each GPU, estimated from its config alone: no weights, no data, no GPU."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.config import Config
from torch._subclasses.fake_tensor import FakeTensorMode

from eocore.config import read_options, require
from eocore.models.quantization import QuantizationOptions, is_marked
from eocore.models.recompute import KINDS, checkpointing_kind
from eocore.progress import Progress
from eocore.system import system_of_config
from eocore.train.device import Precision
from eocore.train.optimizers import optimizer_kind
from eocore.train.planning.memory import StepMemory, as_fake, measure_step
from eocore.train.task import PartCount, Task
from eocore.train.zero.memory import Sizes, StateMemory, state_memory
from eocore.train.zero.settings import load_zero_config

GIB = 2**30
DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32, "fp16": torch.float16}
PURPOSE = "the memory of its trainings cannot be estimated"
STAGES = ("deepspeed_zero0", "deepspeed_zero1", "deepspeed_zero2", "deepspeed_zero3")


@dataclass(frozen=True, kw_only=True)
class StepShape:
    """What the batch of a step holds.

    Attributes:
        tokens: of a row.
        rows: of the batch.
        samples: that share a row.
        text: tokens of each sample that are no vision tokens, at least.
        supervised: supervised tokens of each sample.
        masks: of each sample.
        ranks: whose vectors are compared where losses are those of the global batch.
    """

    tokens: int
    rows: int = 1
    samples: int = 1
    text: int = 256
    supervised: int = 64
    masks: int = 5
    ranks: int = 1


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a training needs.

    Attributes:
        parts: parameter counts.
        states: DeepSpeed configuration -> memory that stays, on each rank.
        steps: (tokens of the row, kind of activation checkpointing) -> memory of a step.
        chosen: the DeepSpeed configuration of the config.
        kind: of activation checkpointing, as the config chooses.
    """

    parts: Sequence[PartCount]
    states: Mapping[str, StateMemory]
    steps: Mapping[tuple[int, str], StepMemory]
    chosen: str
    kind: str

    def peak(self, tokens: int) -> int:
        """Bytes on each rank as the config stands."""
        return self.states[self.chosen].peak(self.steps[tokens, self.kind].peak)


def estimate(
    config: Config, *, num_gpus: int, shapes: Sequence[StepShape], precision: Precision = "bf16", kinds: Sequence[str] = KINDS
) -> Estimate:
    """The estimate of a config.

    Args:
        config: as `load_config` returns it; its first system must provide `planning`.
        num_gpus: ranks.
        shapes: of the steps that are tried, of different numbers of tokens.
        precision: of the training.
        kinds: of activation checkpointing that are tried.

    Raises:
        ConfigError: the config does not build, or a shape is impossible.
    """
    system = system_of_config(config)
    planning = system.need(system.planning, PURPOSE)()
    chosen = config.training.get("deepspeed", "deepspeed_zero2")
    settings = {key: value for key, value in require(config, "task").items()}
    quantized: dict[str, Any] = {}
    steps: dict[tuple[int, str], StepMemory] = {}
    with Progress("steps", total=len(kinds) * len(shapes), unit="steps") as progress:
        for kind in kinds:
            task = planning.meta_task({**settings, "gradient_checkpointing": kind})
            parts = task.parameter_table()
            quantized = _quantized_sizes(task, settings.get("quantization"))
            mode = FakeTensorMode()
            as_fake(task, mode, dtype=DTYPES[precision]).train()
            for shape in shapes:
                with mode, planning.fake_step(shape):
                    steps[shape.tokens, kind] = measure_step(task, planning.example_batch(task, shape))
                progress.advance()
    sizes = Sizes(
        total=sum(part.total for part in parts),
        trainable=sum(part.trainable for part in parts),
        state_bytes=optimizer_kind(config.get("optimizer", {}).get("type", "AdamW")).state_bytes,
        **quantized,
    )
    states = {
        name: state_memory(sizes, load_zero_config(name)["zero_optimization"], precision=precision, num_ranks=num_gpus)
        for name in dict.fromkeys([*STAGES, chosen])
    }
    chosen_kind = checkpointing_kind(settings.get("gradient_checkpointing", False))
    return Estimate(parts=parts, states=states, steps=steps, chosen=chosen, kind=chosen_kind)


def _quantized_sizes(task: Task, few_bits: Mapping[str, Any] | None) -> dict[str, Any]:
    """Fields of `Sizes` for the layers that `task.quantization` holds in few bits; on the meta device they are plain."""
    if few_bits is None:
        return {}
    options = read_options(QuantizationOptions, few_bits, name="task.quantization")
    numbers = [parameter.numel() for parameter in task.parameters() if is_marked(parameter)]
    return {
        "quantized": sum(numbers),
        "bytes_per_quantized": options.bytes_per_number,
        "largest_quantized": max(numbers, default=0),
    }


def describe(found: Estimate) -> list[str]:
    """Tables of the estimate [GiB]."""
    names = ("weights", "gradients", "optimizer", "buffers", "total", "host")
    lines = ["on each GPU for the whole training [GiB]", "  " + " " * 26 + "".join(f"{name:>11}" for name in names)]
    for name, state in found.states.items():
        mark = " *" if name == found.chosen else ""
        lines.append(f"  {name + mark:<26}" + "".join(f"{getattr(state, column) / GIB:11.3f}" for column in names))
    kinds = dict.fromkeys(kind for _, kind in found.steps)
    lines += [
        "a step, activations and all else that backward needs, by gradient_checkpointing: kept for backward, at its peak [GiB]",
        "  tokens    " + "".join(f"{kind:<22}" for kind in kinds),
    ]
    for tokens in sorted({tokens for tokens, _ in found.steps}):
        steps = [found.steps[tokens, kind] for kind in kinds]
        lines.append(f"  {tokens:<10}" + "".join(f"{step.kept / GIB:<10.3f}{step.peak / GIB:<12.3f}" for step in steps))
    longest = max(tokens for tokens, _ in found.steps)
    lines.append(
        f"as this config stands ({found.chosen}, gradient_checkpointing {found.kind}), {longest} tokens: "
        f"{found.peak(longest) / GIB:.2f} GiB on each GPU"
    )
    return lines
