"""Causal attention over rows that hold several samples: each sample alone, so that nothing is computed across a sequence boundary.

transformers tells packed samples apart by a mask of the whole row, so its cost grows with the square of the row. Here it grows with the
squares of the samples: on a GPU in half precision by torch's kernel for samples of unlike length, elsewhere sample by sample.
"""

import inspect
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PretrainedConfig, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

PACKED = "packed_sdpa"
"""Name of this attention among those of transformers."""
WHOLE = "full_attention"
"""How transformers calls layers that see all that came before."""
CAUSAL_WINDOW = (-1, 0)
"""Every key up to the query itself, in the convention of flash attention."""
KERNEL_DTYPES = (torch.float16, torch.bfloat16)
KERNEL_CAPABILITY = (8, 0)
"""Oldest GPUs (A100) that torch's kernel for samples of unlike length runs on."""


class QuestionsError(ValueError):
    """Independent questions in an attention that cannot keep them apart."""


def use_packed_attention(model: PreTrainedModel) -> None:
    """Lets `model`, where it computes attention with sdpa, do so sample by sample; in place. Other kernels stay.

    Nor are models changed whose layers see less than all that came before (sliding windows).
    """
    seen = set(getattr(model.config, "layer_types", None) or [WHOLE])
    if model.config._attn_implementation == "sdpa" and seen == {WHOLE}:
        model.set_attn_implementation(PACKED)


def boundary_arguments(sequence_boundaries: Sequence[int], device: torch.device) -> dict[str, Any]:
    """Arguments of a decoder's forward that tell its attention where samples begin.

    Flash attention of transformers takes the cumulative lengths, the attention of this module the list.

    Args:
        sequence_boundaries: 0 and the end of each sample, counted through all rows; the last is rows x length.
        device: of the rows.
    """
    lengths = torch.tensor(sequence_boundaries, dtype=torch.int32).to(device, non_blocking=True)  # in passing: a GPU need not be waited for
    longest = max(end - start for start, end in pairwise(sequence_boundaries))
    ends = {f"cu_seq_lens_{side}": lengths for side in "qk"} | {f"max_length_{side}": longest for side in "qk"}
    return {**ends, "sequence_boundaries": list(sequence_boundaries)}


def question_arguments(
    question_starts: Mapping[int, Sequence[int]], sequence_boundaries: Sequence[int], *, config: PretrainedConfig, device: torch.device
) -> dict[str, Any]:
    """Argument of a decoder's forward that keeps the independent questions of a sample apart: `visible` of `packed_attention`.

    Args:
        question_starts: flat start of a sample -> where in it each of its questions begins.
        sequence_boundaries, device: as `boundary_arguments`.
        config: the decoder's.

    Raises:
        QuestionsError: the decoder's attention is another's, which knows no such questions.
    """
    if question_starts and config._attn_implementation != PACKED:
        raise QuestionsError(
            f"independent questions need full attention on sdpa, found '{config._attn_implementation}': they would see each other. "
            "Take attn_implementation 'sdpa', or set independent=False in ImageConversations."
        )
    lengths = {start: end - start for start, end in pairwise(sequence_boundaries)}
    return {"visible": {start: visible_tokens(starts, lengths[start], device=device) for start, starts in question_starts.items()}}


def visible_tokens(question_starts: Sequence[int], length: int, *, device: torch.device) -> Tensor:
    """(length, length) bool: of the tokens before it, a token (row) sees what all questions share and what is its own question's."""
    positions = torch.arange(length, device=device)
    question = torch.bucketize(positions, torch.tensor(question_starts).to(device, non_blocking=True), right=True)  # 0: what all share
    return (positions <= positions[:, None]) & ((question == 0) | (question == question[:, None]))


def known_masks(config: PretrainedConfig) -> dict[str, Any]:
    """Argument of a decoder's forward that says its layers need no mask, where their attention reads the sequence boundaries instead.

    Without it transformers looks for sequence boundaries in the positions, which a GPU must be waited for. Decoders that do not tell
    kinds of layers apart take no such argument; for them it is empty.
    """
    reads_boundaries = config._attn_implementation == PACKED or str(config._attn_implementation).startswith("flash_attention")
    return {"attention_mask": {WHOLE: None}} if reads_boundaries and set(getattr(config, "layer_types", None) or ()) == {WHOLE} else {}


def packed_attention(
    module: nn.Module,
    query: Tensor,
    *others: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sequence_boundaries: Sequence[int] | None = None,
    visible: Mapping[int, Tensor] | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention of each sample to itself, (R, S, heads, head_dim).

    Args:
        module: the attention layer.
        query: (R, heads, S, head_dim).
        others: key and value (R, key heads, S, head_dim), and the attention mask of rows that are not packed, as transformers hands them.
        dropout: of the attention weights.
        scaling: of the scores.
        sequence_boundaries: see `boundary_arguments`; None = where `position_ids` begin anew, for which a GPU must be waited for.
        visible: start of a sample -> what its tokens see, see `visible_tokens`; what came before in the others.
        kwargs: what else transformers hands to attention functions.
    """
    key, value, attention_mask = others
    assert key is not None and value is not None
    rows, _, length, _ = query.shape
    packed = attention_mask is None and length > 1 and length == key.shape[2]
    if packed and sequence_boundaries is None and kwargs.get("position_ids") is not None:
        sequence_boundaries = find_boundaries(kwargs["position_ids"].expand(rows, -1))
    if not packed or sequence_boundaries is None or (len(sequence_boundaries) == rows + 1 and not visible):
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs)
    if kwargs.get("cu_seq_lens_q") is not None and _has_kernel(query) and not dropout and not visible:
        whole = _by_kernel(query, key, value=value, lengths=kwargs["cu_seq_lens_q"], longest=kwargs["max_length_q"], scaling=scaling)
        return whole.unflatten(0, (rows, length)), None
    parts = []
    for start, end in pairwise(sequence_boundaries):
        row, first = divmod(start, length)
        own = (slice(row, row + 1), slice(None), slice(first, first + end - start))
        seen = visible.get(start) if visible else None
        part, _ = sdpa_attention_forward(
            module,
            query[own],
            key[own],
            value[own],
            None if seen is None else seen[None, None],
            dropout=dropout,
            scaling=scaling,
            is_causal=seen is None,
        )
        parts.append(part)
    return torch.cat(parts, dim=1).view(rows, length, *parts[0].shape[2:]), None


def find_boundaries(position_ids: Tensor) -> list[int]:
    """0 and the end of each sample in rows (R, S) of positions that begin anew with every sample, counted through all rows."""
    starts = (position_ids == 0).flatten().nonzero().flatten().tolist()
    return [*starts, position_ids.numel()]


def _has_kernel(query: Tensor) -> bool:
    return query.is_cuda and query.dtype in KERNEL_DTYPES and torch.cuda.get_device_capability(query.device) >= KERNEL_CAPABILITY


def _by_kernel(query: Tensor, key: Tensor, *, value: Tensor, lengths: Tensor, longest: int, scaling: float | None) -> Tensor:
    """(R * S, heads, head_dim) by torch's kernel, of which older versions know no key heads shared by several heads."""
    from torch.nn.attention.varlen import varlen_attn

    known = inspect.signature(varlen_attn).parameters
    queries, keys, values = (part.transpose(1, 2).flatten(0, 1) for part in (query, key, value))
    shared = query.shape[1] // key.shape[1]
    if shared > 1 and "enable_gqa" not in known:
        keys, values = (part.repeat_interleave(shared, dim=1) for part in (keys, values))
    choices: dict[str, Any] = {"window_size": CAUSAL_WINDOW} if "window_size" in known else {"is_causal": True}
    if "enable_gqa" in known:
        choices["enable_gqa"] = shared > 1
    return cast(Tensor, varlen_attn(queries, keys, values, lengths, lengths, longest, longest, scale=scaling, **choices))


def packed_mask(*args: Any, attention_mask: Tensor | None = None, **kwargs: Any) -> Tensor | None:
    """The mask of padded rows and of rows that continue from a cache; none for others: `packed_attention` keeps samples apart without."""
    if attention_mask is None and kwargs["q_length"] == kwargs["kv_length"]:
        return None
    return sdpa_mask(*args, attention_mask=attention_mask, **kwargs)


AttentionInterface.register(PACKED, packed_attention)
AttentionMaskInterface.register(PACKED, packed_mask)
