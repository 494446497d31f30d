"""The vocabulary of an imported model: its tokenizer with the special tokens, ids that agree, and rows for tokens that are new."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from earthmind.building.tokenizer import add_special_tokens
from earthmind.model.special_tokens import IMAGE_TOKEN, SEG_TOKEN
from eocore.checkpoints.weight_files import LazyTensor
from eocore.errors import CheckpointError
from eocore.models.folders import tokenizer_config

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "tokenizer.model")
EMBEDDING, HEAD = "language_model.model.embed_tokens.weight", "language_model.lm_head.weight"
ID_FIELDS = {"image_token_id": IMAGE_TOKEN, "seg_token_id": SEG_TOKEN}
SPREAD = 1e-9**0.5
"""Of new rows around the mean of the others, in their standard deviations; transformers' `resize_token_embeddings` draws them like this."""
CHUNK_ROWS = 8192
"""Rows that are summed at a time."""


SpecialTokens = Literal["new", "in tokenizer", "after tokenizer"]
"""Rows of the special tokens: not learned yet; learned, and the tokenizer knows them; learned in the order in which they are added."""


@dataclass(frozen=True)
class Vocabulary:
    """What the tokens of a model are.

    Attributes:
        tokenizer: with the special tokens; None where no source has one.
        size: rows of the embedding.
        new_ids: rows that no weight is known for.
        ids: `image_token_id` and `seg_token_id`.
    """

    tokenizer: PreTrainedTokenizerBase | None
    size: int
    new_ids: tuple[int, ...]
    ids: Mapping[str, int | None]


def read_tokenizer(folders: Sequence[Path]) -> PreTrainedTokenizerBase | None:
    """The tokenizer of the first folder that holds one.

    Raises:
        CheckpointError: it cannot be read, or brings code of its own.
    """
    for folder in folders:
        if any((folder / name).is_file() for name in TOKENIZER_FILES):
            try:
                choices = {"config": tokenizer_config(folder), "local_files_only": True, "trust_remote_code": False}
                return AutoTokenizer.from_pretrained(str(folder), **choices)
            except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
                reason = next(iter(str(error).splitlines()), type(error).__name__)
                raise CheckpointError(
                    f"the tokenizer in {folder} cannot be read: {reason[:300]} Fetch its files again, or give another with --tokenizer."
                ) from error
    return None


def read_vocabulary(
    tokenizer: PreTrainedTokenizerBase | None, fields: Mapping[str, Any], *, rows: int | None, special: SpecialTokens
) -> Vocabulary:
    """The vocabulary of a model about to be put together; the special tokens are added to the tokenizer, once.

    Args:
        tokenizer: as its folder holds it.
        fields: of `EarthMindConfig`, as the sources decide them.
        rows: of the token embedding; None where no source has one.
        special: what is known of the special tokens' rows.

    Raises:
        CheckpointError: embedding, config and tokenizer disagree on the number of tokens or on an id.
    """
    size = int(fields["text_config"].get("vocab_size", 0) if rows is None else rows)
    if tokenizer is None:
        return Vocabulary(None, size, (), {name: fields.get(name) for name in ID_FIELDS})
    before = len(tokenizer)
    if before > size:
        raise CheckpointError(
            f"vocabulary mismatch: the tokenizer has {before} tokens, the model {size} rows: the last {before - size} tokens have no row, "
            "so it is not this model's tokenizer. Name the right one with --tokenizer."
        )
    missing = [token for token in ID_FIELDS.values() if token not in tokenizer.get_vocab()]
    if special == "in tokenizer" and missing:
        raise CheckpointError(
            f"vocabulary mismatch: the model was trained with {', '.join(missing)}, which the tokenizer does not know; added now, the rows "
            "it learned would not be theirs. Name the tokenizer of the model with --tokenizer."
        )
    add_special_tokens(tokenizer)
    if special == "after tokenizer" and len(tokenizer) != size:
        raise CheckpointError(
            f"vocabulary mismatch: the training has {size} rows, the tokenizer with the special tokens {len(tokenizer)}: they would not "
            "get the rows that were trained for them. Name the tokenizer that the training began with as --tokenizer."
        )
    ids = {name: int(tokenizer.convert_tokens_to_ids(token)) for name, token in ID_FIELDS.items()}
    _require_same(ids, fields)
    new = () if special == "after tokenizer" else tuple(range(before, len(tokenizer)))
    return Vocabulary(tokenizer, max(size, len(tokenizer)), new, ids)


def _require_same(ids: Mapping[str, int], fields: Mapping[str, Any]) -> None:
    for name, number in ids.items():
        if fields.get(name) not in (None, number):
            raise CheckpointError(
                f"vocabulary mismatch: {ID_FIELDS[name]} is {number} for the tokenizer, but the model learned it as {fields[name]} "
                "(config.json): every such token would be read as another word. Name the tokenizer of the model with --tokenizer."
            )


def with_new_rows(tensors: Mapping[str, LazyTensor], vocabulary: Vocabulary, *, seed: int) -> dict[str, LazyTensor]:
    """The tensors, embedding and head among them with rows for the new tokens."""
    grown = dict(tensors)
    for name in (EMBEDDING, HEAD):
        if name in tensors and (vocabulary.new_ids or tensors[name].header.shape[0] < vocabulary.size):
            grown[name] = _grown(tensors[name], vocabulary, seed=seed)
    return grown


def _grown(tensor: LazyTensor, vocabulary: Vocabulary, *, seed: int) -> LazyTensor:
    header = replace(tensor.header, shape=(vocabulary.size, *tensor.header.shape[1:]))

    def read() -> Tensor:
        old = tensor.read()
        first, new = min(vocabulary.new_ids), list(vocabulary.new_ids)
        rows = torch.empty(header.shape, dtype=header.dtype)
        rows[: len(old)] = old
        mean, std = _statistics(old[:first])
        noise = torch.randn(len(new), header.shape[1], generator=torch.Generator().manual_seed(seed))
        rows[new] = (mean + SPREAD * std * noise).to(header.dtype)
        return rows

    return LazyTensor(header, read)


def _statistics(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each column, float32, without a second copy of the table."""
    total, squares = torch.zeros(rows.shape[1], dtype=torch.float64), torch.zeros(rows.shape[1], dtype=torch.float64)
    for chunk in rows.split(CHUNK_ROWS):
        values = chunk.double()
        total += values.sum(0)
        squares += values.square().sum(0)
    mean = total / len(rows)
    return mean.float(), (squares / len(rows) - mean.square()).clamp(min=0).sqrt().float()
