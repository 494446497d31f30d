"""Caption sets of five references."""

import json
from pathlib import Path

import pytest

from eocore.data.formats.captions import ImageCaptionDataset
from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.evaluate.benchmarks.caption import KarpathyCaptionDataset

IMAGES = {"rgb": {"root": "/nowhere", "pattern": "{name}", "sensor": "rgb_uint8"}}


@pytest.mark.parametrize("name", ["ucm_captions", "sydney_captions", "rsicd", "rsitmd", "nwpu_captions"])
def test_the_test_split_with_five_references(load, first, name: str) -> None:
    source = load(name)
    assert len(source) == 3  # of four scenes, one is of another split
    record, scenes = first(source)
    assert record.task == "caption"
    assert len(record.meta["references"]) == 5
    assert list(record.captions) == record.meta["references"]  # what trainings draw from
    assert scenes["rgb"].size == (64, 64)


@pytest.mark.parametrize("name", ["ucm_retrieval", "sydney_retrieval", "rsicd_retrieval", "rsitmd_retrieval"])
def test_the_same_files_are_a_gallery_for_retrieval(load, first, name: str) -> None:
    record, _ = first(load(name))
    assert record.task == "retrieval"
    assert len(record.meta["references"]) == 5


@pytest.mark.parametrize("reader", [KarpathyCaptionDataset, ImageCaptionDataset])
def test_texts_of_images_are_for_captions_or_retrieval(tmp_path: Path, reader: type) -> None:
    with pytest.raises(ConfigError, match="task must be 'caption' or 'retrieval', found 'vqa'"):
        reader(annotations=str(tmp_path / "a.json"), images=IMAGES, task="vqa")


def test_an_unknown_split_is_refused(tmp_path: Path) -> None:
    entry = {"filename": "1.tif", "split": "train", "sentences": [{"raw": "A field."}]}
    (tmp_path / "dataset.json").write_text(json.dumps({"images": [entry]}))
    with pytest.raises(DataError, match="no image of split 'test'; it has train"):
        KarpathyCaptionDataset(annotations=str(tmp_path / "dataset.json"), images=IMAGES)


def test_an_image_without_sentences_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({"images": [{"filename": "1.tif", "split": "test", "sentences": []}]}))
    with pytest.raises(AnnotationError, match="images#0: field 'sentences' must be a list that is not empty"):
        KarpathyCaptionDataset(annotations=str(tmp_path / "dataset.json"), images=IMAGES)
