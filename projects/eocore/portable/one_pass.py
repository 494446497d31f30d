"""All windows of all samples in one pass: what training computes, equal to reading window after window.

In a layer, keys and values of all compression tokens come from the states of the layer before, which are known at once. So every token is
given the position it has in its window, what is remembered a second key at its position in memory, and a mask says who sees which.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from eocore.portable.compression_plan import SampleTokens

WINDOWS_TOGETHER = 4
"""Windows whose attention is computed by one call: more need fewer calls, but all look up what is remembered before the last of them."""
NO_QUESTION = 0


@dataclass(frozen=True)
class Block:
    """Chunks of one sample that are attended to together: g chunks of up to n tokens, and m remembered tokens before the last of them.

    Attributes:
        tokens: (g, n) numbers of the tokens among all; padded with the chunk's first.
        valid: (g * n,) bool, which are no padding.
        memory: (m,) numbers among all remembered tokens.
        mask: (g, 1, n, m + n) bool; None where one chunk sees all before each of its tokens.
    """

    tokens: Tensor
    valid: Tensor
    memory: Tensor
    mask: Tensor | None


class Layout:
    """Samples side by side: N tokens of all rows and, behind them, all compression tokens.

    Args:
        plans: of each sample.
        starts: of each sample among the tokens of the rows.
        num_raw: of the rows, padding included.
        question_starts: flat start of a sample -> where in it independent questions begin.
    """

    def __init__(
        self, plans: Sequence[SampleTokens], starts: Sequence[int], *, num_raw: int, question_starts: Mapping[int, Sequence[int]]
    ) -> None:
        self.num_compression = sum(plan.num_compression for plan in plans)
        numbers, offset = [], num_raw
        for plan, start in zip(plans, starts, strict=True):
            raw = len(plan.order) - plan.num_compression
            numbers.append(torch.cat([torch.arange(start, start + raw), torch.arange(offset, offset + plan.num_compression)]))
            offset += plan.num_compression
        self.plans, self.numbers = plans, numbers
        self.questions = [_questions(plan, question_starts.get(start, ())) for plan, start in zip(plans, starts, strict=True)]
        self.remembered = torch.cat([own[plan.remembered()] for plan, own in zip(plans, numbers, strict=True)])
        self.positions = self.spread([plan.position for plan in plans])
        self.memory_positions = self.spread([plan.memory_position for plan in plans])[self.remembered]

    def spread(self, parts: Sequence[Tensor]) -> Tensor:
        """(N + C,) of what each sample's tokens have, in the order of all tokens."""
        return torch.cat(list(parts))[torch.cat(self.numbers).argsort()]

    def behind(self) -> Tensor:
        """(C,) number of the token of the rows that each compression token is put behind."""
        parts = []
        for plan, own in zip(self.plans, self.numbers, strict=True):
            ends = plan.order[len(plan.order) - plan.num_compression :] // 2
            parts.append(own[ends])
        return torch.cat(parts)

    def blocks(self) -> list[Block]:
        """What is attended to together."""
        found, before = [], 0
        for plan, own, question in zip(self.plans, self.numbers, self.questions, strict=True):
            last = len(plan.memory) - 1
            groups = [[0], *(list(range(1, last))[at : at + WINDOWS_TOGETHER] for at in range(0, last - 1, WINDOWS_TOGETHER)), [last]]
            for group in groups:
                chunks = [plan.tokens_of(chunk) for chunk in group]
                if sum(map(len, chunks)):
                    found.append(_block(plan, group, chunks=chunks, own=own, question=question, before=before))
            before += int(plan.kept.sum())
        return found


def _questions(plan: SampleTokens, starts: Sequence[int]) -> Tensor | None:
    """(L + C,) number of the independent question that each token belongs to, `NO_QUESTION` for what all share; None without."""
    if not len(starts):
        return None
    raw = len(plan.order) - plan.num_compression
    if bool((plan.chunk[starts[0] : raw] < len(plan.memory) - 1).any()):
        raise ValueError("independent questions that are each shown the images cannot be compressed: show them once, before the questions.")
    found = torch.full((len(plan.order),), NO_QUESTION)
    found[:raw] = torch.bucketize(torch.arange(raw), torch.tensor(list(starts)), right=True)
    return found


def _block(
    plan: SampleTokens, group: Sequence[int], *, chunks: Sequence[Tensor], own: Tensor, question: Tensor | None, before: int
) -> Block:
    length, most = max(map(len, chunks)), plan.memory[group[-1]]
    tokens = torch.stack([torch.cat([chunk, chunk.new_zeros(length - len(chunk))]) for chunk in chunks])
    valid = torch.stack([torch.arange(length) < len(chunk) for chunk in chunks])
    memory = torch.arange(before, before + most)
    if len(group) == 1 and not most and question is None:
        return Block(own[tokens], valid.flatten(), memory, None)
    seen = torch.ones(length, length, dtype=torch.bool).tril().expand(len(group), -1, -1)
    if question is not None:
        asked = question[tokens]
        seen = seen & ((asked[:, None] == NO_QUESTION) | (asked[:, None] == asked[:, :, None]))
        seen = seen | torch.eye(length, dtype=torch.bool)
    known = torch.arange(most) < torch.tensor([plan.memory[chunk] for chunk in group])[:, None]
    return Block(own[tokens], valid.flatten(), memory, torch.cat([known[:, None].expand(-1, length, -1), seen], dim=-1)[:, None])


class OnePass:
    """A `Reading` of a whole batch as one row.

    Args:
        layout: of the batch.
        rotary: cosines and sines of the remembered tokens at their positions in memory.
        flex: whether torch's flex attention computes it.
    """

    def __init__(self, layout: Layout, *, rotary: tuple[Tensor, Tensor], flex: bool) -> None:
        device = rotary[0].device
        self.num_compression = layout.num_compression
        self._rotary, self._remembered = rotary, layout.remembered.to(device)
        self._mask = flex_mask(layout, device) if flex else None
        blocks = [] if flex else layout.blocks()
        self._blocks = [Block(*(None if part is None else part.to(device) for part in vars(block).values())) for block in blocks]  # type: ignore[arg-type]
        if blocks:
            self._place = torch.cat([block.tokens.flatten()[block.valid] for block in blocks]).argsort().to(device)

    def attend(self, attention: Any, query: Tensor, *, key: Tensor, value: Tensor, rotary: tuple[Tensor, Tensor], cache: Any) -> Tensor:
        """See `Reading`."""
        remembered = key[:, :, self._remembered]
        query, key = attention.rotate(query, key, *rotary)
        keys = torch.cat([attention.rotate(remembered, remembered, *self._rotary)[0], key], dim=2)
        values = torch.cat([value[:, :, self._remembered], value], dim=2)
        if self._mask is not None:
            return _flex(query, keys, values=values, mask=self._mask, scaling=attention.scaling)
        # token by token, so that a block takes whole rows
        query, keys, values = (part[0].transpose(0, 1) for part in (query, keys, values))
        return torch.cat([self._attend(attention, block, query=query, keys=keys, values=values) for block in self._blocks])[self._place][
            None
        ]

    def _attend(self, attention: Any, block: Block, *, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """(tokens, heads, head_dim) of a block, of its own tokens alone."""
        groups, own = len(block.tokens), block.tokens + len(self._remembered)
        seen = torch.cat([block.memory.expand(groups, -1), own], dim=1)
        chosen = (part[index].transpose(1, 2) for part, index in ((query, block.tokens), (keys, seen), (values, seen)))
        mixed, _ = sdpa_attention_forward(
            attention, *chosen, block.mask, dropout=_dropout(attention), scaling=attention.scaling, is_causal=block.mask is None
        )
        return mixed.flatten(0, 1)[block.valid]


def _dropout(attention: Any) -> float:
    return float(attention.attention_dropout) if attention.training else 0.0


def flex_mask(layout: Layout, device: torch.device) -> Any:
    """The mask of flex attention over remembered tokens, then all tokens."""
    from torch.nn.attention.flex_attention import create_block_mask

    sample = layout.spread([torch.full_like(plan.order, number) for number, plan in enumerate(layout.plans)]).to(device)
    chunk = layout.spread([plan.chunk for plan in layout.plans]).to(device)
    order = layout.spread([plan.order for plan in layout.plans]).to(device)
    asked = layout.spread([torch.zeros_like(p.order) if q is None else q for p, q in zip(layout.plans, layout.questions, strict=True)])
    asked, remembered = asked.to(device), layout.remembered.to(device)
    column = torch.cat([remembered, torch.arange(len(sample), device=device)])
    is_memory = torch.arange(len(column), device=device) < len(remembered)

    def sees(_batch: Tensor, _head: Tensor, row: Tensor, place: Tensor) -> Tensor:
        other = column[place]
        own = (chunk[other] == chunk[row]) & (order[other] <= order[row]) & ((asked[other] == NO_QUESTION) | (asked[other] == asked[row]))
        return (sample[other] == sample[row]) & torch.where(is_memory[place], chunk[other] < chunk[row], own)

    return create_block_mask(sees, None, None, len(sample), len(column), device=str(device))


def _flex(query: Tensor, keys: Tensor, *, values: Tensor, mask: Any, scaling: float) -> Tensor:
    kernel = _compiled_flex() if query.is_cuda else _plain_flex()
    mixed: Tensor = kernel(query, keys, values, block_mask=mask, scale=scaling, enable_gqa=query.shape[1] != keys.shape[1])
    return mixed.transpose(1, 2)


def _plain_flex() -> Any:
    from torch.nn.attention.flex_attention import flex_attention

    return flex_attention


@cache
def _compiled_flex() -> Any:
    return torch.compile(_plain_flex(), dynamic=True)


def sample_spans(sequence_boundaries: Sequence[int]) -> list[tuple[int, int]]:
    """Flat start and end of each sample, and of the padding of each row."""
    return list(pairwise(sequence_boundaries))
