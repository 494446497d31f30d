"""Which tokens of a sample are compressed, what is remembered of each window, and where every token stands.

A sample is read chunk by chunk: the text before the images, then window by window, then the text behind them. A window is so many vision
tokens in a row and the words among them. After every so many of its vision tokens (the ratio) a compression token is put in; once the
window is read, the vision tokens it stands for are forgotten. Words, and the vision tokens that are left over at the end of the last
window, are remembered as they are. Positions are contiguous: those that remember come first, then the chunk that is being read.
Source: Video-XL (arXiv 2409.14485) and Activation Beacon (arXiv 2401.03462); keeping words among the images is our choice.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Prompts(NamedTuple):
    """Prompts of a batch, padded in front.

    Attributes:
        embeddings: (R, S, D).
        compressible: (R, S) bool on the CPU, see `compressible_tokens`.
        input_ids, attention_mask: (R, S).
    """

    embeddings: Tensor
    compressible: Tensor
    input_ids: Tensor
    attention_mask: Tensor


class PackedSamples(NamedTuple):
    """Samples of a batch in rows that several may share.

    Attributes:
        embeddings: (R, S, D).
        compressible: (R, S) bool on the CPU, see `compressible_tokens`.
        position_ids: (R, S), beginning anew with every sample.
        sequence_boundaries: 0 and the end of each sample and of the padding, counted through all rows.
        question_starts: flat start of a sample of independent questions -> where in it each of them begins.
    """

    embeddings: Tensor
    compressible: Tensor
    position_ids: Tensor
    sequence_boundaries: Sequence[int]
    question_starts: Mapping[int, Sequence[int]]


class SampleTokens(NamedTuple):
    """The L tokens of a sample, and behind them its C compression tokens.

    Attributes:
        chunk: (L + C,) in which each is read.
        order: (L + C,) that they are read in; whole numbers, with gaps.
        kept: (L + C,) bool, what is remembered after its chunk.
        position: (L + C,) while its chunk is read.
        memory_position: (L + C,) afterwards; of what is kept alone.
        memory: of each chunk, the number of tokens remembered before it.
        num_compression: C.
    """

    chunk: Tensor
    order: Tensor
    kept: Tensor
    position: Tensor
    memory_position: Tensor
    memory: list[int]
    num_compression: int

    @property
    def last_position(self) -> int:
        """The highest position of any token."""
        return int(self.position.max()) if len(self.position) else 0

    def tokens_of(self, chunk: int) -> Tensor:
        """Numbers of a chunk's tokens, in the order in which they are read."""
        own = (self.chunk == chunk).nonzero().flatten()
        return own[self.order[own].argsort()]

    def remembered(self) -> Tensor:
        """Numbers of all tokens that are kept, in the order of their memory positions."""
        own = self.kept.nonzero().flatten()
        return own[self.memory_position[own].argsort()]


def compressible_tokens(input_ids: Tensor, *, image_token_id: int, region_token_id: int | None) -> Tensor:
    """(R, S) bool: the vision tokens of images; those that show a region again, behind `region_token_id`, are none of them."""
    shown = input_ids == image_token_id
    if region_token_id is None:
        return shown
    before = torch.nn.functional.pad(input_ids[:, :-1], (1, 0), value=-1)
    starts = shown & (before != image_token_id)
    number = starts.flatten().cumsum(0).view_as(shown)
    regions = number[starts & (before == region_token_id)]
    return shown & ~torch.isin(number, regions)


def count_windows(compressible: Tensor, window: int) -> int:
    """Windows of a sample with these vision tokens (L,) bool; the last may be shorter."""
    return -(-int(compressible.sum()) // window)


def plan_sample(compressible: Tensor, ratios: Sequence[int], *, window: int, positions: Tensor | None = None) -> SampleTokens:
    """The plan of one sample.

    Args:
        compressible: (L,) bool, see `compressible_tokens`.
        ratios: of each window, from `count_windows`; 1 leaves a window as it is.
        window: vision tokens of a window.
        positions: (L,) of the tokens where nothing is compressed; None = 0 to L - 1. Independent questions go back in them.
    """
    length, shown = len(compressible), compressible.nonzero().flatten()
    kept, behind, chunks = torch.ones(length, dtype=torch.bool), [], []
    ends = [int(own[-1]) for own in shown.split(window)] if len(shown) else []
    for number, (own, ratio) in enumerate(zip(shown.split(window) if len(shown) else (), ratios, strict=True), start=1):
        whole = len(own) // ratio * ratio if ratio > 1 else 0
        kept[own[:whole]] = False
        behind.append(own[ratio - 1 : whole : ratio])
        chunks.append(torch.full((len(behind[-1]),), number))
    index = torch.arange(length)
    first = int(shown[0]) if len(shown) else length
    chunk = torch.where(index < first, 0, torch.searchsorted(torch.tensor(ends, dtype=torch.long), index) + 1)
    compression = torch.cat([index[:0], *behind])
    chunk = torch.cat([chunk, *chunks])
    kept = torch.cat([kept, torch.ones(len(compression), dtype=torch.bool)])
    order = torch.cat([2 * index, 2 * compression + 1])
    lag = torch.zeros(len(order), dtype=torch.long)
    if positions is not None:
        lag[:length] = index - positions
    return _stand(chunk, order, kept=kept, lag=lag, num_chunks=len(ends) + 2, num_compression=len(compression))


def _stand(chunk: Tensor, order: Tensor, *, kept: Tensor, lag: Tensor, num_chunks: int, num_compression: int) -> SampleTokens:
    """The plan, with positions."""
    rank, memory_position = torch.empty_like(order), torch.empty_like(order)
    read = order.argsort()
    rank[read] = torch.arange(len(order))
    memory_position[read] = kept[read].long().cumsum(0) - 1
    sizes = torch.bincount(chunk, minlength=num_chunks)
    remembered = torch.bincount(chunk[kept], minlength=num_chunks)
    before, memory = sizes.cumsum(0) - sizes, remembered.cumsum(0) - remembered
    position = memory[chunk] + rank - before[chunk] - lag
    return SampleTokens(chunk, order, kept, position, memory_position, memory.tolist(), num_compression)
