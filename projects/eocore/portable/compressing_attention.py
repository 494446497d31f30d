"""Attention layers in which compression tokens have queries, keys and values of their own; the rest of a layer they share."""

import sys
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

PROJECTIONS = ("q_proj", "k_proj", "v_proj")
ROTATE = "apply_rotary_pos_emb"
"""Of the module that a layer of transformers stands in."""


class Reading(Protocol):
    """How the tokens that a layer is given see each other: all chunks in one pass, or a chunk and what is remembered."""

    num_compression: int
    """The last tokens of each row, which are compression tokens."""

    def attend(self, attention: Any, query: Tensor, *, key: Tensor, value: Tensor, rotary: tuple[Tensor, Tensor], cache: Any) -> Tensor:
        """(R, L, heads, head_dim) of queries, keys and values (R, heads, L, head_dim) before rotation; `rotary` is of their positions."""


class OwnProjection(nn.Module):
    """A linear layer that is no `nn.Linear`, so that what adapts or shortens a model's linear layers leaves it alone."""

    def __init__(self, like: nn.Linear) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty_like(like.weight))
        self.bias = None if like.bias is None else nn.Parameter(torch.empty_like(like.bias))

    def forward(self, states: Tensor) -> Tensor:
        """(..., O) of states (..., I)."""
        return functional.linear(states, self.weight, self.bias)


class CompressionProjections(nn.Module):
    """Queries, keys and values of the compression tokens of one layer."""

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj = (OwnProjection(getattr(attention, name)) for name in PROJECTIONS)

    @torch.no_grad()
    def start(self, attention: Any) -> None:
        """Begins them as copies of the layer's own."""
        for name in PROJECTIONS:
            own, base = getattr(self, name), getattr(attention, name)
            own.weight.copy_(base.weight)
            if own.bias is not None:
                own.bias.copy_(base.bias)


class CompressingAttention(nn.Module):
    """What `make_compressing` adds to an attention layer of transformers: it reads as ever unless it is given a `Reading`."""

    q_proj: nn.Module
    k_proj: nn.Module
    v_proj: nn.Module
    o_proj: nn.Module
    compression: CompressionProjections
    head_dim: int

    def forward(self, hidden_states: Tensor, *args: Any, compression: Reading | None = None, **kwargs: Any) -> Any:
        """As the layer's own; with `compression`, the states (R, L, D) are those of a `Reading`."""
        if compression is None:
            return super().forward(hidden_states, *args, **kwargs)
        query, key, value = self._project(hidden_states, compression.num_compression)
        rotary, past = kwargs["position_embeddings"], kwargs.get("past_key_values")
        mixed = compression.attend(self, query, key=key, value=value, rotary=rotary, cache=past)
        return self.o_proj(mixed.flatten(-2)), None

    def _project(self, states: Tensor, num_compression: int) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (R, heads, L, head_dim) of states (R, L, D)."""
        raw, own = states.split([states.shape[1] - num_compression, num_compression], dim=1)
        found = []
        for name, norm in zip(PROJECTIONS, ("q_norm", "k_norm", ""), strict=True):
            # of no compression token too: under ZeRO-3 all ranks must make the same calls
            both = [getattr(self, name)(raw), getattr(self.compression, name)(own)]
            heads = torch.cat(both, dim=1).unflatten(-1, (-1, self.head_dim))
            normalise = getattr(self, norm, None) if norm else None
            found.append((heads if normalise is None else normalise(heads)).transpose(1, 2))
        return cast(tuple[Tensor, Tensor, Tensor], tuple(found))


@cache
def _compressing(kind: type) -> type:
    """The class of such a layer that can compress."""
    return type(f"Compressing{kind.__name__}", (CompressingAttention, kind), {"rotate": staticmethod(_rotation(kind))})


def _rotation(kind: type) -> Callable[..., tuple[Tensor, Tensor]]:
    return cast(Callable[..., tuple[Tensor, Tensor]], getattr(sys.modules[kind.__module__], ROTATE))


def make_compressing(attention: Any) -> None:
    """Gives an attention layer of transformers projections for compression tokens, in place; names of its own weights stay.

    Raises:
        ValueError: it has no separate projections of queries, keys and values, or no rotary positions.
    """
    kind = type(attention)
    missing = [name for name in (*PROJECTIONS, "o_proj", "head_dim") if not hasattr(attention, name)]
    if missing or not hasattr(sys.modules[kind.__module__], ROTATE):
        raise ValueError(
            f"{kind.__name__} has no {', '.join(missing) or 'rotary positions'}, so its keys and values cannot be compressed. Take a "
            "language model with separate q_proj, k_proj and v_proj and rotary positions, such as Qwen2, Qwen3 or Llama."
        )
    attention.compression = CompressionProjections(attention)
    attention.__class__ = _compressing(cast(Any, kind))
