"""How far apart two computations of one result may lie, with the reason and the largest difference found.

Bits are compared only where the same operations run on tensors of the same layout with the same number of threads (fixture
`one_thread`). Elsewhere the same numbers are added up in another order, and float32 keeps 24 bits of each partial sum: 6e-8 of its size.
What that comes to depends on the processor, since each instruction set has its own kernels; "found" is the largest seen with 1
and 4 threads, with ATen's plain and AVX-512 kernels, and under tools/test_processors.sh, where that was run.

A tolerance must not hide a fault. `Tolerance.share` is the difference in units of the tolerance: the test of the faults that stages and
ranks are guarded against (tests/eocore/train/test_strategy.py) asks for more than a hundred.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tolerance:
    """Two numbers agree where they differ by no more than atol + rtol * |expected|."""

    rtol: float
    atol: float

    @property
    def close(self) -> dict[str, float]:
        """Arguments of torch.testing.assert_close."""
        return {"rtol": self.rtol, "atol": self.atol}

    @property
    def approx(self) -> dict[str, float]:
        """Arguments of pytest.approx, which takes the larger of both limits."""
        return {"rel": self.rtol, "abs": self.atol}

    def of_size(self, expected: Tensor, floor: float = 1.0) -> dict[str, float]:
        """Arguments of assert_close for sums whose terms are as large as the largest element: near 0 they cancel, not shrink."""
        return {"rtol": 0.0, "atol": self.atol * max(floor, expected.abs().max().item())}

    def share(self, found: Sequence[float], expected: Sequence[float]) -> float:
        """The largest difference in units of this tolerance; above 1 it is exceeded."""
        one, other = torch.tensor(found, dtype=torch.float64), torch.tensor(expected, dtype=torch.float64)
        return ((one - other).abs() / (self.atol + self.rtol * other.abs())).max().item()


ACROSS_ZERO_STAGES = Tolerance(rtol=1e-5, atol=1e-6)
"""Losses and gradient norms of some updates. A stage keeps weights and gradients in flat buffers of its own, where a matrix begins at
another address than alone: kernels then cut it into vectors otherwise. Found: 5e-7."""

ACROSS_RANKS = Tolerance(rtol=1e-5, atol=1e-6)
"""Losses of some updates on another number of ranks: the mean over a batch is a mean of means, matrices have fewer rows. Found: 2e-6."""

WEIGHTS_AFTER_UPDATES = Tolerance(rtol=1e-4, atol=1e-5)
"""Weights after some updates of AdamW across ranks or stages: it divides by the root of the second moment, which enlarges the difference of
a small gradient. Found: 8.4e-7."""

ACROSS_LAYOUTS = Tolerance(rtol=0.0, atol=3e-5)
"""Hidden states and logits near 1 of one sample in another batch, row, padding or attention kernel, or with weights at another address (as
files are mapped). Found: 8.4e-6."""

LOSSES_ACROSS_LAYOUTS = Tolerance(rtol=1e-5, atol=1e-6)
"""Losses of the same samples in other batches or rows, or with vision features from a cache. Found: 1e-6."""

GRADIENTS_ACROSS_LAYOUTS = Tolerance(rtol=0.0, atol=1e-4)
"""Gradients, as a fraction of the largest element (`of_size`): sums over all tokens of a batch. Found: 1.8e-5."""

ACROSS_DECODING = Tolerance(rtol=1e-4, atol=1e-4)
"""Mask logits of answers written token by token with a cache, beside the same answers read at once or in another batch: two transformers
and the mask decoder in succession. Found: 2e-5."""

MASK_PIXELS = 1e-3
"""Share of the pixels of a mask that may differ where its logits agree to ACROSS_DECODING: those whose logit is nearly 0."""

COMPILED = Tolerance(rtol=1e-4, atol=1e-4)
"""Compiled layers beside uncompiled: the compiler fuses operations and orders sums anew. Found: 2e-5."""

IN_BF16 = Tolerance(rtol=0.03, atol=1e-3)
"""Losses of some updates in bfloat16 beside float32, another ZeRO stage or another number of ranks: weights, activations and gradients have
8 significant bits. Found: 0.022."""
