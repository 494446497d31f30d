"""Rows of the token tables that train while the tables stay as they are: what a few new tokens need.

peft's `trainable_token_indices` does the same by copying the whole table in every forward, whose gradient is as large as the table (0.6 GB
each for 151,679 tokens of width 2,048 in bfloat16), and gathers ZeRO-3 shards on CUDA alone. Here only the rows are computed anew.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from eocore.errors import ConfigError

FROZEN = -1


class RowEmbedding(nn.Embedding):
    """An embedding of which the rows `token_ids` are read from `rows` (R, D); `weight` keeps its name and object, so ties hold."""

    token_ids: Tensor
    row_of: Tensor

    def __init__(self, table: nn.Embedding, token_ids: Tensor, *, rows: nn.Parameter) -> None:
        super().__init__(table.num_embeddings, table.embedding_dim, padding_idx=table.padding_idx, device="meta", dtype=table.weight.dtype)
        self.weight = table.weight
        self.rows = rows
        row_of = torch.full((table.num_embeddings,), FROZEN, device=table.weight.device)
        row_of[token_ids.to(row_of.device)] = torch.arange(len(token_ids), device=row_of.device)
        self.register_buffer("token_ids", token_ids, persistent=False)
        self.register_buffer("row_of", row_of, persistent=False)

    def forward(self, input: Tensor) -> Tensor:
        """Embeddings (..., D) of ids (...)."""
        row = self.row_of[input]
        return torch.where((row >= 0)[..., None], self.rows[row.clamp(min=0)], super().forward(input))


class RowHead(nn.Linear):
    """An output head whose logits of `token_ids` come from `rows` (R, D); `weight` keeps its name and object, so ties hold."""

    token_ids: Tensor

    def __init__(self, head: nn.Linear, token_ids: Tensor, *, rows: nn.Parameter) -> None:
        super().__init__(head.in_features, head.out_features, bias=head.bias is not None, device="meta", dtype=head.weight.dtype)
        self.weight, self.bias = head.weight, head.bias
        self.rows = rows
        self.register_buffer("token_ids", token_ids, persistent=False)

    def forward(self, input: Tensor) -> Tensor:
        """Logits (..., V) of states (..., D)."""
        own = functional.linear(input, self.rows, None if self.bias is None else self.bias[self.token_ids])
        # in place: with supervised rows by 151,679 tokens a copy would be the largest tensor of the step
        return super().forward(input).index_copy_(-1, self.token_ids, own)


def add_token_rows(model: PreTrainedModel, token_ids: Sequence[int]) -> list[str]:
    """Makes the embedding and the head read `token_ids` from new parameters `rows`, which train; returns their names.

    Args:
        model: changed in place; its token tables must be frozen. Tied tables stay tied and share their rows.
        token_ids: rows of the tables, in the order of `rows`.

    Raises:
        ConfigError: no id, one twice or outside the tables, a table that trains as a whole, is of another kind, or has rows already.
    """
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    _check(embedding, nn.Embedding, what="input embedding", token_ids=token_ids)
    _check(head, nn.Linear, what="output head", token_ids=token_ids)
    embedding, head = cast(nn.Embedding, embedding), cast(nn.Linear, head)
    ids = torch.tensor(list(token_ids), device=embedding.weight.device)
    rows = nn.Parameter(embedding.weight.detach()[ids].clone())
    own = rows if head.weight is embedding.weight else nn.Parameter(head.weight.detach()[ids].clone())
    model.set_input_embeddings(RowEmbedding(embedding, ids, rows=rows))
    model.set_output_embeddings(RowHead(head, ids, rows=own))
    return [name for name, parameter in model.named_parameters() if parameter is rows or parameter is own]


def merge_token_rows(module: nn.Module) -> int:
    """Writes trained rows back into their tables and makes these plain again; returns the number of tables changed.

    Names of parameters and modules are afterwards what they were before `add_token_rows`.
    """
    tables = [(name, part) for name, part in module.named_modules() if isinstance(part, RowEmbedding | RowHead)]
    for name, table in tables:
        with torch.no_grad():
            table.weight[table.token_ids] = table.rows.to(table.weight.dtype)
        parent, _, child = name.rpartition(".")
        setattr(module.get_submodule(parent), child, _plain(table))
    return len(tables)


def _plain(table: RowEmbedding | RowHead) -> nn.Module:
    plain: nn.Embedding | nn.Linear
    if isinstance(table, RowEmbedding):
        plain = nn.Embedding(table.num_embeddings, table.embedding_dim, padding_idx=table.padding_idx, device="meta")
    else:
        plain = nn.Linear(table.in_features, table.out_features, bias=table.bias is not None, device="meta")
        plain.bias = table.bias
    plain.weight = table.weight
    return plain.train(table.training)


def _check(table: nn.Module | None, kind: type[nn.Embedding] | type[nn.Linear], *, what: str, token_ids: Sequence[int]) -> None:
    if type(table) is not kind:
        raise ConfigError(
            f"the {what} is a {type(table).__name__}, of which single rows cannot be trained; expected a plain {kind.__name__}. Train it "
            "as a whole (task.trainable), or take it out of LoRA's targets."
        )
    size = table.weight.shape[0]
    wrong = [number for number in token_ids if not 0 <= number < size]
    if not token_ids or wrong or len(set(token_ids)) < len(token_ids):
        raise ConfigError(f"token ids {list(token_ids)} do not each name one of the {size} rows of the {what}. Give every token once.")
    if table.weight.requires_grad:
        raise ConfigError(
            f"the {what} trains as a whole and rows of it are named too; each would overwrite the other. Take it out of task.trainable, or "
            "leave task.trainable_tokens empty."
        )
