"""Prompts read window by window: of each window the keys and values of its compression tokens alone are remembered."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from eocore.portable.compression_plan import Prompts, SampleTokens, count_windows, plan_sample
from eocore.portable.long_options import CompressionOptions
from eocore.portable.packed_attention import WHOLE
from eocore.portable.token_compression import ChunkReading, DrawRatios, check_last_position


@dataclass(frozen=True)
class _Row:
    """One prompt of a batch: its plan, and the column in which it begins."""

    plan: SampleTokens
    start: int

    @property
    def num_raw(self) -> int:
        return len(self.plan.order) - self.plan.num_compression


@dataclass(frozen=True)
class _Chunk:
    """The same chunk of all rows: n columns of tokens of the prompts, then c of compression tokens.

    Attributes:
        columns: (R, n) of the batch, -1 where a row has no such token.
        valid, position, order: (R, n + c).
        kept: (R, k) which columns of the chunk are remembered, -1 where a row has fewer.
        turn: (R, k) positions by which their keys are rotated on.
    """

    columns: Tensor
    valid: Tensor
    position: Tensor
    order: Tensor
    kept: Tensor
    turn: Tensor


@dataclass(frozen=True)
class StartedPrompt:
    """Prompts read up to their last token, as `generate` takes them.

    Attributes:
        input_ids, attention_mask: (R, P + 1): what is remembered, then the last token; columns that a row does not fill are masked.
        cache: keys and values of all columns but the last.
    """

    input_ids: Tensor
    attention_mask: Tensor
    cache: Any


def read_compressed(decoder: Any, prompts: Prompts, *, options: CompressionOptions, ratios: DrawRatios, pad_token_id: int) -> StartedPrompt:
    """Prompts read up to their last token; their cache holds what is remembered, with keys rotated to contiguous positions.

    Nothing is written into tensors that exist, so that gradients pass where they are recorded.

    Args:
        decoder: of a model with `token_compression.add_compression`.
        prompts: of the batch.
        options: window.
        ratios: of the windows of a row.
        pad_token_id: stands in the columns of compression tokens, and where a row has none.

    Raises:
        SampleTooLongError: a token would stand behind the last position of the model.
    """
    input_ids = prompts.input_ids
    rows = _plan_rows(prompts, options, ratios=ratios)
    check_last_position(decoder.config, max(row.plan.last_position for row in rows))
    cache, ids = DynamicCache(config=decoder.config), [input_ids[:, :0]]
    known = torch.zeros(len(rows), 0, dtype=torch.bool)
    for number in range(max(len(row.plan.memory) for row in rows)):
        chunk = _chunk(rows, number)
        if not chunk.valid.shape[1]:
            continue
        mask = _chunk_mask(known, chunk)
        _read(decoder, cache, embeddings=prompts.embeddings, chunk=chunk, mask=mask)
        _remember(decoder, cache, chunk=chunk, num_known=known.shape[1])
        known = torch.cat([known, chunk.kept >= 0], dim=1)
        ids.append(_ids(input_ids, chunk, pad_token_id=pad_token_id))
    last = torch.ones(len(rows), 1, dtype=torch.long, device=input_ids.device)
    whole = torch.cat([*ids, input_ids[:, -1:]], dim=1)
    return StartedPrompt(whole, torch.cat([known.long().to(input_ids.device), last], dim=1), cache)


def _plan_rows(prompts: Prompts, options: CompressionOptions, *, ratios: DrawRatios) -> list[_Row]:
    """The plan of each row but its last token, which `generate` reads."""
    width, rows = prompts.compressible.shape[1], []
    for own, length in zip(prompts.compressible, prompts.attention_mask.sum(1).tolist(), strict=True):
        shown = own[width - length : -1]
        drawn = ratios(count_windows(shown, options.window))
        rows.append(_Row(plan_sample(shown, drawn, window=options.window), width - length))
    return rows


def _chunk(rows: Sequence[_Row], number: int) -> _Chunk:
    raw, compression, kept, turn = [], [], [], []
    for row in rows:
        own = row.plan.tokens_of(number) if number < len(row.plan.memory) else torch.zeros(0, dtype=torch.long)
        raw.append(own[own < row.num_raw])
        compression.append(own[own >= row.num_raw])
    num_raw, num_compression = max(map(len, raw)), max(map(len, compression))
    tokens = torch.cat([_stack(raw, num_raw), _stack(compression, num_compression)], dim=1)
    position, order = torch.zeros_like(tokens), torch.zeros_like(tokens)
    for index, row in enumerate(rows):
        own = tokens[index].clamp(min=0)
        position[index], order[index] = row.plan.position[own], row.plan.order[own]
        stays = ((tokens[index] >= 0) & row.plan.kept[own]).nonzero().flatten()
        stays = stays[row.plan.memory_position[own[stays]].argsort()]
        kept.append(stays)
        turn.append((row.plan.memory_position - row.plan.position)[own[stays]])
    most, starts = max(map(len, kept)), torch.tensor([row.start for row in rows])[:, None]
    columns = torch.where(tokens[:, :num_raw] >= 0, tokens[:, :num_raw] + starts, -1)
    valid = tokens >= 0
    position = torch.where(valid, position, 0)
    return _Chunk(columns, valid, position, order, _stack(kept, most), _stack(turn, most, fill=0))


def _stack(parts: Sequence[Tensor], length: int, *, fill: int = -1) -> Tensor:
    return torch.stack([torch.nn.functional.pad(part, (0, length - len(part)), value=fill) for part in parts])


def _chunk_mask(known: Tensor, chunk: _Chunk) -> Tensor:
    """(R, 1, L, M + L): each token sees what is remembered, and its chunk up to itself."""
    length = chunk.valid.shape[1]
    own = chunk.valid[:, None, :] & (chunk.order[:, None, :] <= chunk.order[:, :, None])
    own = own | torch.eye(length, dtype=torch.bool)
    return torch.cat([known[:, None, :].expand(-1, length, -1), own], dim=2)[:, None]


def _read(decoder: Any, cache: Any, *, embeddings: Tensor, chunk: _Chunk, mask: Tensor) -> None:
    """Adds keys and values of a chunk to the cache."""
    device, num_raw = embeddings.device, chunk.columns.shape[1]
    index = torch.arange(len(embeddings), device=device)[:, None]
    raw = embeddings[index, chunk.columns.clamp(min=0).to(device)]
    num_compression = chunk.valid.shape[1] - num_raw
    own = decoder.compression_embedding(torch.zeros(len(raw), num_compression, dtype=torch.long, device=device)).to(raw.dtype)
    mask = mask.to(device)
    decoder(
        inputs_embeds=torch.cat([raw, own], dim=1),
        attention_mask={WHOLE: mask} if getattr(decoder.config, "layer_types", None) else mask,
        position_ids=chunk.position.to(device),
        past_key_values=cache,
        use_cache=True,
        compression=ChunkReading(num_compression, mask),
    )


def _remember(decoder: Any, cache: Any, *, chunk: _Chunk, num_known: int) -> None:
    """Leaves of a chunk what is remembered, its keys rotated on to their positions in memory: angles of rotations add."""
    for number, layer in enumerate(cache.layers):
        device = layer.keys.device
        index = (chunk.kept.clamp(min=0).to(device) + num_known)[:, None, :, None]
        shape = (-1, layer.keys.shape[1], -1, layer.keys.shape[3])
        keys, values = (part.gather(2, index.expand(shape)) for part in (layer.keys, layer.values))
        cos, sin = decoder.rotary_emb(keys, position_ids=chunk.turn.to(device))
        # some rotations stretch the vectors too, which has been done
        scale = getattr(decoder.rotary_emb, "attention_scaling", 1.0)
        keys = decoder.layers[number].self_attn.rotate(keys, keys, cos / scale, sin / scale)[1]
        layer.keys = torch.cat([layer.keys[:, :, :num_known], keys], dim=2)
        layer.values = torch.cat([layer.values[:, :, :num_known], values], dim=2)


def _ids(input_ids: Tensor, chunk: _Chunk, *, pad_token_id: int) -> Tensor:
    """(R, k) ids of what is remembered."""
    num_raw = chunk.columns.shape[1]
    place = torch.where((chunk.kept >= 0) & (chunk.kept < num_raw), chunk.kept, -1)
    if not num_raw:
        return torch.full(place.shape, pad_token_id, device=input_ids.device)
    columns = chunk.columns.gather(1, place.clamp(min=0)).clamp(min=0).to(input_ids.device)
    return input_ids.gather(1, columns).masked_fill(place.to(input_ids.device) < 0, pad_token_id)
