"""What weights, gradients and optimiser state take on each rank, by ZeRO stage."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eocore.train.device import Precision

MASTER_BYTES = 4
"""Of a weight that the optimiser updates: DeepSpeed keeps float32 beside bfloat16 and float16."""
MOMENT_BYTES = 8
"""AdamW's two moments, float32."""
BUCKET_COPIES = 2
"""Reduction buffers with overlap_comm: one fills while the other is sent. Source: DeepSpeed 0.19, stage_1_and_2.py."""
WIDTH = {"bf16": 2, "fp32": 4, "fp16": 2}


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Numbers of parameters.

    Attributes:
        total, trainable: all, and those that train.
        quantized: those of frozen layers that are held in few bits.
        bytes_per_quantized: what such a number takes.
        largest_quantized: of the largest such layer, which is made plain while it is computed with.
        state_bytes: what the optimiser keeps of each number that trains.
    """

    total: int
    trainable: int
    quantized: int = 0
    bytes_per_quantized: float = 0.0
    largest_quantized: int = 0
    state_bytes: float = MOMENT_BYTES


@dataclass(frozen=True, kw_only=True)
class StateMemory:
    """Bytes on one rank.

    Attributes:
        weights, gradients, optimizer: there for the whole training.
        buffers: of communication; under ZeRO-2 and 3 there during backward alone.
        update: float32 gradients, there while the optimiser works, when no activations are.
        host: what a configuration with offloading keeps in main memory instead.
    """

    weights: int
    gradients: int
    optimizer: int
    buffers: int
    update: int
    host: int = 0

    @property
    def total(self) -> int:
        """What is on the device during backward, beside the activations."""
        return self.weights + self.gradients + self.optimizer + self.buffers

    def peak(self, activations: int) -> int:
        """Most there is at any moment of a step with that many bytes of activations."""
        return max(self.total + activations, self.total - self.buffers + self.update)


def state_memory(sizes: Sizes, zero: Mapping[str, Any], *, precision: Precision, num_ranks: int) -> StateMemory:
    """Memory that stays for the whole training.

    Args:
        sizes: of the model.
        zero: the section `zero_optimization` of a DeepSpeed configuration.
        precision: of the training.
        num_ranks: N.

    Source: ZeRO (Rajbhandari et al. 2020, arXiv:1910.02054, section 5), with DeepSpeed's buffers; compared with the tensors that live
    beside an engine of DeepSpeed 0.19 in tests/eocore/train/test_zero_memory.py.
    """
    stage, width = int(zero.get("stage", 0)), WIDTH[precision]
    trained = sizes.trainable
    shard = -(-trained // num_ranks)
    state = (MASTER_BYTES + sizes.state_bytes) * (shard if stage else trained)
    if stage == 0 and precision == "fp32":
        state = sizes.state_bytes * trained
    state, plain = math.ceil(state), sizes.total - sizes.quantized
    weights = width * (-(-plain // num_ranks) if stage == 3 else plain) + math.ceil(sizes.quantized * sizes.bytes_per_quantized)
    gradients = {0: trained, 1: trained, 2: shard, 3: shard}[stage] * width
    buffers = (_buffers(zero, sizes, stage=stage) + sizes.largest_quantized) * width
    optimizer_device, weights_device = _device(zero, "offload_optimizer"), _device(zero, "offload_param")
    host = (state if optimizer_device else 0) + (weights if weights_device else 0)
    return StateMemory(
        weights=0 if weights_device else weights,
        gradients=gradients,
        optimizer=0 if optimizer_device else state,
        buffers=buffers,
        update=MASTER_BYTES * shard if stage and precision != "fp32" and not optimizer_device else 0,
        host=host,
    )


def _buffers(zero: Mapping[str, Any], sizes: Sizes, *, stage: int) -> int:
    """Numbers that communication holds: gradients on their way, and under ZeRO-3 the weights gathered for the layers at work."""
    if stage == 0:
        return 0
    reduce = min(int(zero.get("reduce_bucket_size", 5e8)), sizes.trainable) * BUCKET_COPIES
    if stage < 3:
        return reduce
    live = int(zero.get("stage3_max_live_parameters", 1e9)) + int(zero.get("stage3_prefetch_bucket_size", 5e7))
    return reduce + min(live, sizes.total)


def _device(zero: Mapping[str, Any], key: str) -> bool:
    return dict(zero.get(key, {})).get("device", "none") != "none"
