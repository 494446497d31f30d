"""Language models whose work is measured: their sizes, where no full one is needed."""

from dataclasses import dataclass
from typing import Any

from transformers import Qwen2Config


@dataclass(frozen=True, kw_only=True)
class LanguageSizes:
    """Sizes of a Qwen2 model; the defaults are those of most ratios.

    Attributes:
        layers, width, heads, key_heads, feed_forward: as the fields of `Qwen2Config` that `config` fills.
        vocabulary: tokens known, [1].
    """

    layers: int = 8
    width: int = 512
    heads: int = 8
    key_heads: int = 2
    feed_forward: int = 1376
    vocabulary: int = 8

    def config(self, **more: Any) -> Qwen2Config:
        """The config of a model of these sizes; `more`: its other fields."""
        return Qwen2Config(
            vocab_size=self.vocabulary,
            hidden_size=self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.key_heads,
            intermediate_size=self.feed_forward,
            **more,
        )
