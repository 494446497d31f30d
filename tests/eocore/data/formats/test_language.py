"""Language in annotation files."""

import json
from pathlib import Path

import pytest

from eocore.data.formats.language import corpus_texts
from eocore.errors import DataError


def test_language_is_read_from_every_kind_of_annotation_file(tmp_path: Path) -> None:
    (tmp_path / "talk.json").write_text(json.dumps([{"id": "x", "conversations": [{"from": "human", "value": "a question"}]}]))
    (tmp_path / "phrases.jsonl").write_text(json.dumps({"expression": "the lake", "image": "y"}) + "\n")
    (tmp_path / "captions.csv").write_text("image,caption\na.tif,fields and a river\nb.tif,a town\n")
    names = [str(tmp_path / name) for name in ("talk.json", "phrases.jsonl", "captions.csv")]
    assert list(corpus_texts(names)) == ["a question", "the lake", "fields and a river", "a town"]


def test_a_file_without_language_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("image,label\na.tif,town\n")
    with pytest.raises(DataError, match=r"a\.csv holds no text under"):
        list(corpus_texts([str(tmp_path / "a.csv")]))
