"""Attention maps of every layer against the rows of the [SEG] tokens."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import Qwen2Model

from earthmind.model.seg_attention import SegAttention
from eocore.registry import RATIOS
from profiling.earthmind.ratios.language import LanguageSizes
from profiling.ratios.ratio import Goal, Pair, Result, Side


@RATIOS.register_module(name="G2")
class SegRowAttention(Pair):
    """A language model's forward and backward with a loss on its states and on the attention of the [SEG] tokens.

    The reference asks for the maps of all layers, for which attention must be computed eagerly, and reads the last one.

    Args:
        sizes: of the language model, where they are to differ; fields of `LanguageSizes`.
        tokens: of the sequence.
        segs: number of [SEG] tokens, the last of the sequence.
    """

    what = "[SEG] attention: maps of all layers, eager | rows of the last, sdpa"
    goals = (Goal(quantity="time", goal=1.6), Goal(quantity="memory", goal=2.0, limit="grows with S"))
    tolerance = 1e-5

    def __init__(
        self,
        *,
        sizes: Mapping[str, int] | None = None,
        tokens: int = 1344,
        segs: int = 5,
    ) -> None:
        self.sizes = LanguageSizes(**(sizes or {}))
        self.tokens, self.segs = tokens, segs

    def prepare(self, side: Side) -> Callable[[], Result]:
        """See `Pair.prepare`; returns the loss, the [SEG] rows and the gradient of the embeddings."""
        torch.manual_seed(0)
        kernel = {"reference": "eager", "ours": "sdpa"}[side]
        model = Qwen2Model(self.sizes.config(attn_implementation=kernel)).train()
        given = torch.randn(1, self.tokens, self.sizes.width)
        wanted = torch.randn(1, self.tokens, self.sizes.width)
        queries = torch.arange(self.tokens)[-self.segs :]
        read: Callable[..., tuple[Tensor, Tensor]] = {"reference": _all_maps, "ours": _seg_rows}[side]

        def work() -> Result:
            model.zero_grad()
            embeddings = given.clone().requires_grad_()
            states, rows = read(model, embeddings, queries=queries)
            loss = (states - wanted).square().mean() + rows.square().sum()
            loss.backward()
            assert embeddings.grad is not None
            return loss.detach(), rows.detach(), embeddings.grad

        return work


def _all_maps(model: Any, embeddings: Tensor, *, queries: Tensor) -> tuple[Tensor, Tensor]:
    outputs = model(inputs_embeds=embeddings, use_cache=False, output_attentions=True)
    return outputs.last_hidden_state, outputs.attentions[-1].mean(1)[0, queries]


def _seg_rows(model: Any, embeddings: Tensor, *, queries: Tensor) -> tuple[Tensor, Tensor]:
    positions = torch.arange(embeddings.shape[1])[None]
    with SegAttention(model) as attention:
        states = model(inputs_embeds=embeddings, position_ids=positions, use_cache=False).last_hidden_state
    return states, attention.rows(queries, [(0, embeddings.shape[1])], counts=[len(queries)])
