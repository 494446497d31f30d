"""What a tokenizer knows: which tokens, by which ids, made of which texts."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from eocore.errors import ConfigError

MAX_NAME_TOKENS, MAX_NAME_WORDS = 8, 4
"""A name of a few words takes one to two tokens a word where its tokenizer knows them."""


def token_ids(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[str]) -> list[int]:
    """Ids of tokens given by name, in their order.

    Raises:
        ConfigError: one is no token of this tokenizer.
    """
    known = tokenizer.get_vocab()
    missing = [token for token in tokens if token not in known]
    if missing:
        raise ConfigError(f"the tokenizer has no token {', '.join(missing)}, so no row of the model is meant.")
    return [known[token] for token in tokens]


def describe_vocabulary(tokenizer: PreTrainedTokenizerBase, size: int | None = None) -> str:
    """ "N:digest" of the tokens with ids below N = `size` (None: all): equal where each of these ids means the same token."""
    size = len(tokenizer) if size is None else size
    known = sorted((number, token) for token, number in tokenizer.get_vocab().items() if number < size)
    return f"{size}:{hashlib.sha256(json.dumps(known).encode()).hexdigest()}"


def tokenizer_digest(tokenizer: PreTrainedTokenizerBase) -> str:
    """sha256 of all that decides which ids a text becomes: vocabulary, merges, normalisation, special tokens."""
    fast = getattr(tokenizer, "backend_tokenizer", None)
    spelled = sorted(tokenizer.get_vocab().items()) if fast is None else json.loads(fast.to_str())
    if isinstance(spelled, dict):  # what the last call asked for is no part of the tokenizer
        spelled = {name: value for name, value in spelled.items() if name not in ("truncation", "padding")}
    named = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    return hashlib.sha256(json.dumps([spelled, named], sort_keys=True).encode()).hexdigest()


def describe_long_names(tokenizer: PreTrainedTokenizerBase, names: Iterable[str]) -> str:
    """Which class names take more than `MAX_NAME_TOKENS` tokens, in one line; "" where none does.

    Args:
        tokenizer: of the model.
        names: labels, candidates and phrases of at most `MAX_NAME_WORDS` words; longer ones are sentences and do not count.
    """
    short = {name for name in names if 0 < len(name.split()) <= MAX_NAME_WORDS}
    counts = {name: len(tokenizer(name, add_special_tokens=False)["input_ids"]) for name in sorted(short)}
    long = {name: count for name, count in counts.items() if count > MAX_NAME_TOKENS}
    if not long:
        return ""
    worst = max(long, key=long.__getitem__)
    return (
        f"{len(long)} of {len(counts)} class names take more than {MAX_NAME_TOKENS} tokens each (most: {long[worst]}, '{worst}'): the "
        "tokenizer does not know these words, so that answers are spelled in pieces and learned slowly. Name their files in "
        "task.tokenizer.corpus, raise vocab_size, or take a pretrained tokenizer."
    )


def same_vocabulary(tokenizer: PreTrainedTokenizerBase, described: str) -> bool:
    """True where the tokenizer gives the tokens of `described` the same ids; it may know more tokens after them."""
    return describe_vocabulary(tokenizer, int(described.partition(":")[0])) == described


def save_whole(tokenizer: PreTrainedTokenizerBase, path: Path) -> None:
    """Saves aside and renames, so that ranks that start together never read half a folder; who comes second keeps the first's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        tokenizer.save_pretrained(Path(folder) / "tokenizer")
        try:
            os.rename(Path(folder) / "tokenizer", path)
        except OSError:
            if not path.is_dir():
                raise
