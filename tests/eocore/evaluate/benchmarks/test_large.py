"""Landsat30-AU and LRS-VQA in their layouts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from eocore.data.dataset import RecordDataset
from eocore.errors import AnnotationError
from eocore.evaluate.benchmarks.large import Landsat30Dataset

Load = Callable[[str], RecordDataset]


def test_landsat30_lists_its_options(load: Load) -> None:
    record = load("landsat30_au").records[0]
    assert record.task == "mcq" and record.meta["answer"] in record.meta["candidates"] and len(record.meta["candidates"]) == 4
    assert all(candidate in record.turns[0].text for candidate in record.meta["candidates"])
    assert record.meta["type"] == "Macro-Object Presence (MOP)" and record.meta["challenge_case"] == "normal"


def test_lrs_vqa_asks_for_short_answers(load: Load) -> None:
    record = load("lrs_vqa").records[0]
    assert record.task == "vqa" and record.meta["type"] == "object category" and record.turns[0].text.endswith("word or phrase.")


@pytest.mark.parametrize("options", ["One, Two", "('One', 'Two')", "__import__('os')"])
def test_options_that_are_no_list_are_refused(tmp_path: Path, options: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f'image_path,question,question_type,options,answer,challenge_case,qa_id\na.png,q?,t,"{options}",One,normal,1\n')
    images = {"rgb": {"root": str(tmp_path), "pattern": "{name}", "sensor": "rgb_uint8"}}
    with pytest.raises(AnnotationError, match=r"t\.csv:2: options must be a list of texts"):
        Landsat30Dataset(annotations=str(path), images=images)
