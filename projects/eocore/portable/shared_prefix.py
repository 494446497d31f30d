"""Prompts of a batch that begin alike, with the same images: their common part is read once, and its keys and values serve them all."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from eocore.portable.image_memory import ImageMemory, digests
from eocore.portable.last_tokens import last_tokens_alone
from eocore.portable.row_cache import RowCache, states_of
from eocore.portable.row_packing import VisionInputs
from eocore.portable.running_batch import ReadPrompts

WORTH_IT = 0.75
"""Sharing is worth its further call of the decoder where at most this fraction of the tokens is left to read."""


@dataclass(frozen=True)
class PrefixPlan:
    """Which rows of a left-padded batch (R, S) begin alike.

    Attributes:
        group: (R,) number of each row's group, below U.
        lead: a row of each group.
        lengths: tokens that the rows of each group have in common; every row has at least one more.
        rest: most tokens that any row has beyond them.
        keys: say what each group has in common, whatever the batch; only of `plan_images`.
    """

    group: Tensor
    lead: list[int]
    lengths: list[int]
    rest: int
    keys: Sequence[Hashable] = ()


def plan_prefixes(input_ids: Tensor, attention_mask: Tensor, *, vision: VisionInputs, content: Tensor) -> PrefixPlan | None:
    """The plan of a batch from `processor.collate(..., left_pad=True)`; None where reading rows apart is as good.

    Args:
        input_ids, attention_mask: (R, S) of the batch.
        vision: of the batch.
        content: (T,) number of each tile's content, see `duplicates.find_duplicates`.
    """
    texts = _contents(input_ids, attention_mask, vision=vision)
    groups: dict[Any, list[int]] = {}
    for row, shown in enumerate(zip(_signatures(vision, content, num_rows=len(texts)), _words(input_ids, vision), strict=True)):
        groups.setdefault(shown, []).append(row)
    if len(groups) == len(texts):
        return None
    lengths = [_common([texts[row] for row in rows]) for rows in groups.values()]
    group = torch.zeros(len(texts), dtype=torch.long)
    for number, rows in enumerate(groups.values()):
        group[rows] = number
    rest = max(len(text) - lengths[number] for text, number in zip(texts, group.tolist(), strict=True))
    left = len(groups) * max(lengths) + len(texts) * rest
    if min(lengths) < 1 or left > WORTH_IT * input_ids.numel():
        return None
    return PrefixPlan(group.to(content.device), [rows[0] for rows in groups.values()], lengths, rest)


def _contents(input_ids: Tensor, attention_mask: Tensor, *, vision: VisionInputs) -> list[Tensor]:
    """Each row's own tokens: ids, and for a placeholder -1 - the number of its vision token within the sample."""
    ids, mask = input_ids.clone(), attention_mask.bool()
    rows, width = ids.shape
    positions = vision.placeholder_index
    row_of = positions // width
    # the images show all tokens of their sample, so that the smallest number is its first
    first = vision.vision_index.new_zeros(rows).scatter_reduce(0, row_of, vision.vision_index, "amin", include_self=False)
    ids.view(-1)[positions] = -1 - (vision.vision_index - first[row_of])
    return [row[keep] for row, keep in zip(ids.cpu(), mask.cpu(), strict=True)]


def _signatures(vision: VisionInputs, content: Tensor, *, num_rows: int) -> list[tuple[Any, ...]]:
    """What each row shows: contents of its tiles, and which of them show one location."""
    shown: list[list[tuple[int, ...]]] = [[] for _ in range(num_rows)]
    start: dict[int, tuple[int, int]] = {}
    for row, number, location, view in torch.stack([vision.tile_sample, content, *vision.tile_group]).T.tolist():
        first_location, first_view = start.setdefault(row, (location, view))
        shown[row].append((number, location - first_location, view - first_view))
    return [tuple(tiles) for tiles in shown]


def _words(input_ids: Tensor, vision: VisionInputs) -> list[tuple[int, ...]]:
    """Ids of the words that each row's vision tokens depend on: other words make other tokens of the same tiles."""
    words: list[list[int]] = [[] for _ in input_ids]
    if vision.fusion is not None:
        positions = vision.fusion.positions
        for row, word in zip((positions // input_ids.shape[1]).tolist(), input_ids.flatten()[positions].tolist(), strict=True):
            words[row].append(word)
    return [tuple(own) for own in words]


def _common(texts: Sequence[Tensor]) -> int:
    """Tokens that all begin with; at least one of each text is left over."""
    shortest = min(len(text) for text in texts)
    if len(texts) == 1:
        return shortest - 1
    alike = torch.stack([text[:shortest] == texts[0][:shortest] for text in texts]).all(0)
    differing = (~alike).nonzero().flatten()
    return min(int(differing[0]) if len(differing) else shortest, shortest - 1)


def plan_images(input_ids: Tensor, attention_mask: Tensor, *, vision: VisionInputs) -> PrefixPlan:
    """A plan in which what rows have in common ends with their images, so that later prompts about these have it too.

    Args:
        input_ids, attention_mask, vision: see `plan_prefixes`.
    """
    texts, known = _contents(input_ids, attention_mask, vision=vision), digests(vision.tiles)
    content = torch.tensor([known.index(digest) for digest in known])
    shown, words = _signatures(vision, content, num_rows=len(texts)), _words(input_ids, vision)
    groups: dict[Any, list[int]] = {}
    for row, text in enumerate(texts):
        images = (text < 0).nonzero().flatten().tolist()
        length = max(1, min(images[-1] + 1 if images else 1, len(text) - 1))
        tiles = tuple((known[number], *at) for number, *at in shown[row])
        groups.setdefault((tiles, words[row], tuple(text[:length].tolist())), []).append(row)
    lengths = [len(text) for _, _, text in groups]
    group = torch.zeros(len(texts), dtype=torch.long)
    for number, rows in enumerate(groups.values()):
        group[rows] = number
    rest = max(len(text) - lengths[number] for text, number in zip(texts, group.tolist(), strict=True))
    keys = [("prefix", shown) for shown in groups]
    return PrefixPlan(group.to(input_ids.device), [rows[0] for rows in groups.values()], lengths, rest, keys)


def start_prompts(
    decoder: nn.Module,
    embeddings: Tensor,
    *,
    input_ids: Tensor,
    attention_mask: Tensor,
    plan: PrefixPlan,
    memory: ImageMemory | None = None,
) -> ReadPrompts:
    """Reads each group's common part once, then what every row has beyond it: P shared columns, then Q of each row's own.

    Padding stands between the two parts; positions count what is not masked, so that each row has those it would have alone.

    Args:
        decoder: of the language model.
        embeddings: (R, S, D) of the whole batch.
        input_ids, attention_mask: (R, S) of the batch.
        plan: from `plan_prefixes`, or with a memory from `plan_images`.
        memory: where common parts of earlier batches are found, and those of this one kept.
    """
    ids, device = input_ids, embeddings.device
    width, shared, rest = ids.shape[1], max(plan.lengths), plan.rest
    lengths = torch.tensor(plan.lengths, device=device)[:, None]
    own = attention_mask.sum(1, keepdim=True)
    lead = torch.tensor(plan.lead, device=device)
    columns = torch.arange(shared, device=device)[None] - (shared - lengths)
    known = columns >= 0
    source = (width - own[lead] + columns).clamp(min=0)
    with last_tokens_alone(decoder):
        cache = _read_common(decoder, embeddings[lead[:, None], source], columns=columns, plan=plan, memory=memory)
    cache.reorder_cache(plan.group)  # a selection of rows, with repeats
    tail = torch.arange(rest, device=device)[None] >= rest - (own - lengths[plan.group])
    mask = torch.cat([known[plan.group], tail], dim=1).long()
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    with last_tokens_alone(decoder):
        states = decoder(
            inputs_embeds=embeddings[:, width - rest :],
            attention_mask=mask,
            position_ids=positions[:, shared:],
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state[:, -1]
    return ReadPrompts(torch.cat([ids[lead[:, None], source][plan.group], ids[:, width - rest :]], dim=1), mask, cache, states)


def _read_common(decoder: nn.Module, parts: Tensor, *, columns: Tensor, plan: PrefixPlan, memory: ImageMemory | None) -> Any:
    """Keys and values of the groups' common parts, in one pass over those that are not remembered.

    Args:
        decoder: of the language model.
        parts: (U, P, D), padded in front.
        columns: (U, P) positions, below 0 in the padding.
        plan, memory: of `start_prompts`.
    """
    found: list[Sequence[Tensor] | None] = [None if memory is None else memory.find(key) for key in plan.keys or plan.lead]
    missing = [number for number, states in enumerate(found) if states is None]
    if missing:
        own = columns[missing]
        mask, positions = (own >= 0).long(), own.clamp(min=0)
        read = decoder(inputs_embeds=parts[missing], attention_mask=mask, position_ids=positions, use_cache=True).past_key_values
        if memory is None:
            return read
        for row, number in enumerate(missing):
            states = [part[row : row + 1, :, part.shape[2] - plan.lengths[number] :] for part in states_of(read)]
            memory.keep(plan.keys[number], states)
            found[number] = states
    first, *others = (states for states in found if states is not None)
    cache = RowCache(first)
    for other in others:
        cache.add(other)
    return cache
