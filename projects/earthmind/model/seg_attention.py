"""Attention of the [SEG] tokens over the image tokens, computed for those rows only.

The language model runs on whatever kernel it was given (sdpa, flash); this recomputes the queries of the [SEG] rows and the keys of
the last layer from the states that entered it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

MASKED = -1e30
"""Score of a key a row must not see; finite, so that a softmax never divides 0 by 0."""


class SegAttention:
    """Listens to the last decoder layer while it runs, then gives the [SEG] rows of its attention.

    Works with the attention modules of transformers that have q_proj, k_proj, rotary positions and optional q_norm / k_norm
    (Qwen2, Qwen3, Llama and their relatives).

    Args:
        decoder: the language model's decoder (`get_decoder()`).
    """

    def __init__(self, decoder: nn.Module) -> None:
        self._attention: Any = decoder.layers[-1].self_attn  # type: ignore[union-attr, index]
        self._states: Tensor | None = None
        self._positions: tuple[Tensor, Tensor] | None = None

    def __enter__(self) -> "SegAttention":
        self._hook = self._attention.register_forward_pre_hook(self._listen, with_kwargs=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._hook.remove()

    def _listen(self, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._states is None:
            self._states = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]
            self._positions = kwargs["position_embeddings"]

    def rows(
        self,
        seg_index: Tensor,
        spans: Sequence[tuple[int, int]],
        *,
        counts: Sequence[int],
        visible: Mapping[int, Tensor] | None = None,
    ) -> Tensor:
        """Attention (K, S) of each [SEG] over its row, mean over the heads; 0 outside its sample and after itself.

        Args:
            seg_index: (K,) flat positions of the [SEG] tokens in the (R, S) rows.
            spans: flat (start, end) of each sample that has some; only these tokens are looked at.
            counts: [SEG] of each of these samples.
            visible: flat start of a sample -> (L, L) bool, which tokens each of its tokens sees; all before it in the others.
        """
        assert self._states is not None and self._positions is not None
        attention, states = self._attention, self._states
        length = states.shape[1]
        cos, sin = (part.expand(states.shape[0], -1, -1).flatten(0, 1) for part in self._positions)
        flat, shown = states.flatten(0, 1), torch.cat([torch.arange(*span, device=states.device) for span in spans])
        # one call of each projection, however many samples there are: under ZeRO-3 all ranks must make the same calls
        queries = self._heads(attention.q_proj, getattr(attention, "q_norm", None), states=flat[seg_index])
        keys = self._heads(attention.k_proj, getattr(attention, "k_norm", None), states=flat[shown])
        queries, _ = apply_rotary_pos_emb(queries, queries, cos[seg_index], sin[seg_index])
        keys, _ = apply_rotary_pos_emb(keys, keys, cos[shown], sin[shown])
        rows = []
        sizes = [end - start for start, end in spans]
        for span, own, asked, seen in zip(
            spans, seg_index.split(list(counts)), queries.split(list(counts)), keys.split(sizes), strict=True
        ):
            spread = self._spread(asked, seen, own=own - span[0], visible=(visible or {}).get(span[0]))
            first = span[0] % length
            rows.append(torch.nn.functional.pad(spread, (first, length - first - spread.shape[1])))
        return torch.cat(rows)

    def _spread(self, queries: Tensor, keys: Tensor, *, own: Tensor, visible: Tensor | None) -> Tensor:
        """(k, L) mean over the heads, of queries (k, heads, head_dim) that stand at `own` among keys (L, key heads, head_dim)."""
        keys = keys.repeat_interleave(self._attention.num_key_value_groups, dim=1)
        # float32 as in attention kernels: a score rounded to bfloat16 would move its weight by several percent
        scores = torch.einsum("khd,lhd->khl", queries.float(), keys.float()) * self._attention.scaling
        hidden = torch.arange(len(keys), device=keys.device) > own[:, None] if visible is None else ~visible[own]
        return scores.masked_fill(hidden[:, None], MASKED).softmax(-1).mean(1)

    def _heads(self, projection: nn.Module, norm: nn.Module | None, *, states: Tensor) -> Tensor:
        """(N, heads, head_dim) of states (N, D)."""
        heads = projection(states).unflatten(-1, (-1, self._attention.head_dim))
        return heads if norm is None else norm(heads)
