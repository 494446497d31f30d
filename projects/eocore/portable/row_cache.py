"""Keys and values of rows that come and go while they are continued: they grow in place, and rows are added and taken out."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache, PretrainedConfig
from transformers.cache_utils import Cache, DynamicLayer

MIN_ROOM = 32
"""Columns that a layer makes room for at least when it has none left."""
ROPE_WITH_STATE = ("dynamic", "longrope")
"""Rotary embeddings whose frequencies transformers changes in the module for each length that it reads."""


class _GrowingLayer(DynamicLayer):
    """A layer of transformers' `DynamicCache` that writes further columns into room made ahead, where that copies all columns each time."""

    _room: tuple[Tensor, Tensor] | None = None

    def hold(self, keys: Tensor, values: Tensor) -> None:
        """Takes keys and values (R, heads, C, head_dim) in place of those it has."""
        if not self.is_initialized:
            self.lazy_initialization(keys, values)
        self.keys, self.values, self._room = keys, values, None

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """A selection of rows (K,), with repeats, as in transformers."""
        self.hold(*(part.index_select(0, beam_idx.to(part.device)) for part in (self.keys, self.values)))

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Keys and values (R, heads, C + Q, head_dim) with further columns, as in transformers."""
        start = self.keys.shape[-2]
        end = start + key_states.shape[-2]
        if self._room is None or self._room[0].shape[-2] < end:
            further = end - start + max(MIN_ROOM, start // 8)
            self._room = (functional.pad(self.keys, (0, 0, 0, further)), functional.pad(self.values, (0, 0, 0, further)))
        for room, states in zip(self._room, (key_states, value_states), strict=True):
            room[:, :, start:end] = states
        self.keys, self.values = (room[:, :, :end] for room in self._room)
        return self.keys, self.values


class RowCache(Cache):
    """Keys and values of R rows, C columns each; a row that has fewer is padded in front.

    Args:
        states: keys of the first layer (R, heads, C, head_dim), its values, keys of the second layer, ...
    """

    def __init__(self, states: Sequence[Tensor]) -> None:
        super().__init__(layers=[_GrowingLayer() for _ in states[::2]])
        for layer, keys, values in zip(self.layers, states[::2], states[1::2], strict=True):
            layer.hold(keys, values)

    @property
    def states(self) -> list[Tensor]:
        """Keys and values of all layers, as they were given."""
        return states_of(self)

    def add(self, states: Sequence[Tensor]) -> None:
        """Adds rows; those that have fewer columns are padded in front."""
        columns = max(part.shape[-2] for part in (self.layers[0].keys, states[0]))
        joined = [torch.cat([_widened(part, columns) for part in parts]) for parts in zip(self.states, states, strict=True)]
        for layer, keys, values in zip(self.layers, joined[::2], joined[1::2], strict=True):
            layer.hold(keys, values)

    def keep(self, rows: Tensor, first: int) -> None:
        """Keeps rows (K,) alone, from column `first` on."""
        for layer in self.layers:
            layer.hold(*(part[:, :, first:].index_select(0, rows) for part in (layer.keys, layer.values)))


def states_of(read: Cache) -> list[Tensor]:
    """Keys and values of all layers, in the order that `RowCache` takes."""
    return [part for layer in read.layers for part in (layer.keys, layer.values)]


def _widened(part: Tensor, columns: int) -> Tensor:
    return functional.pad(part, (0, 0, columns - part.shape[-2], 0))


def keeps_all_columns(text_config: PretrainedConfig) -> bool:
    """Whether a language model remembers every token in every layer, so that rows may be joined: no sliding windows, no states."""
    return all(type(layer) is DynamicLayer for layer in DynamicCache(config=text_config).layers)


def writes_to_itself(text_config: Any) -> bool:
    """Whether a language model changes as it reads: its rotary embeddings depend on the length."""
    rope = getattr(text_config, "rope_parameters", None) or {}
    kinds = {rope.get("rope_type"), *(part.get("rope_type") for part in rope.values() if isinstance(part, Mapping))}
    return bool(kinds.intersection(ROPE_WITH_STATE))
