"""The language in annotation files, for tokenizers that are made of it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from eocore.data.formats.entries import read_entries, read_json
from eocore.data.formats.tables import read_csv
from eocore.errors import DataError

TEXT_KEYS = ("value", "question", "answer", "candidate", "expression", "description", "caption")
"""Fields of the annotation formats that hold language."""


def corpus_texts(corpus: Sequence[str]) -> Iterator[str]:
    """All language of annotation files (JSON, JSONL or CSV).

    Raises:
        DataError: a file is missing, cannot be read, or holds no language.
    """
    for name in corpus:
        path = Path(name)
        if not path.is_file():
            raise DataError(
                f"tokenizer corpus {path} does not exist; without it the vocabulary would miss its words. "
                "Make the data first or correct the path."
            )
        texts = [text for entry in _entries(path) for text in _language(entry, taken=False)]
        if not texts:
            raise DataError(
                f"tokenizer corpus {path} holds no text under {', '.join(TEXT_KEYS)}: it is no annotation file, and its words would be "
                "missing in the vocabulary. Correct the path, or leave the file out."
            )
        yield from texts


def _entries(path: Path) -> list[Any]:
    if path.suffix.lower() == ".csv":
        return [entry.values for entry in read_csv(path)]
    return [entry.values for entry in read_entries(path)] if path.suffix == ".jsonl" else [read_json(path)]


def _language(node: Any, *, taken: bool) -> Iterator[str]:
    if isinstance(node, str):
        if taken:
            yield node
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from _language(value, taken=key in TEXT_KEYS)
    elif isinstance(node, list):
        for value in node:
            yield from _language(value, taken=taken)
