"""Learned queries in the width of a language model that read an encoder's tokens once: EarthFM's connector."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

QUERY_STD = 0.02
"""Standard deviation of new queries. Source: EarthFM-VLM-Bridge (github.com/Brayden-Zhang/EarthFM-VLM-Bridge, 387787a)."""
DROPOUT = 0.1
"""In the MLP, while training. Source: as above."""


@dataclass(frozen=True, kw_only=True)
class QueryConnectorSizes:
    """Sizes of a `QueryConnector`; numbers of queries and heads are EarthFM's.

    Attributes:
        input_width: of the encoder's tokens.
        width: of queries and of what comes out, the language model's.
        num_queries: tokens that come out.
        num_heads: of the attention.
        mlp_ratio: hidden width of the MLP, by `width`.

    Raises:
        ValueError: a size is not positive, or `width` is no multiple of `num_heads`.
    """

    input_width: int
    width: int
    num_queries: int = 32
    num_heads: int = 8
    mlp_ratio: int = 4

    def __post_init__(self) -> None:
        if min(self.input_width, self.width, self.num_queries, self.num_heads, self.mlp_ratio) < 1:
            raise ValueError(f"sizes of a query connector are positive, found {self}.")
        if self.width % self.num_heads:
            raise ValueError(
                f"a query connector of width {self.width} cannot be divided among {self.num_heads} heads. Choose other heads, or another "
                "language model."
            )


class QueryConnector(nn.Module):
    """Tokens of an encoder -> as many tokens as there are queries, in the width of the language model.

    Tokens are projected and normed, the normed queries read them by one cross-attention, then comes an MLP; queries are added to what each
    of both makes of them, and a norm ends it. Weights begin as torch's layers do. Source: EarthFM-VLM-Bridge, `GeospatialQueryEncoder`.

    Args:
        sizes: see there.
    """

    def __init__(self, sizes: QueryConnectorSizes) -> None:
        super().__init__()
        self.sizes = sizes
        width, hidden = sizes.width, sizes.width * sizes.mlp_ratio
        self.queries = nn.Parameter(torch.randn(sizes.num_queries, width) * QUERY_STD)
        self.input_projection = nn.Linear(sizes.input_width, width)
        self.input_norm, self.query_norm, self.output_norm = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, sizes.num_heads, batch_first=True)
        self.up_proj, self.down_proj = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.activation, self.dropout = nn.GELU(), nn.Dropout(DROPOUT)

    def forward(self, tokens: Tensor, missing: Tensor | None = None) -> Tensor:
        """(B, Q, D) for Q queries.

        Args:
            tokens: (B, N, C) of the encoder.
            missing: (B, N) True where a token stands for nothing; None = all count. Each sample needs one that counts.
        """
        read = self.input_norm(self.input_projection(tokens))
        queries = self.query_norm(self.queries).expand(len(tokens), -1, -1).to(read.dtype)
        states = queries + self.attention(queries, read, read, key_padding_mask=missing, need_weights=False)[0]
        return self.output_norm(states + self.down_proj(self.dropout(self.activation(self.up_proj(states)))))
