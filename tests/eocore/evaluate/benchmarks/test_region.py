"""GeoChat's regions: shown, or in words."""

import json
from pathlib import Path

import numpy as np
import pytest

from eocore.data.io.masks import decode_mask
from eocore.errors import AnnotationError
from eocore.evaluate.benchmarks.region import GeoChatRegionDataset

IMAGES = {"rgb": {"root": "/nowhere", "pattern": "{name}.png", "sensor": "rgb_uint8"}}


def test_the_box_of_the_question_is_shown_on_the_pixels_of_the_image(load, first) -> None:
    record, scenes = first(load("geochat_region"))
    x0, y0, x1, y1 = record.meta["boxes"][0][:4]
    rows, columns = np.nonzero(decode_mask(record.regions[0], scenes["rgb"].size, source=record.source))
    assert columns.min() == pytest.approx(0.64 * x0, abs=1)
    assert columns.max() == pytest.approx(0.64 * x1, abs=1)
    assert rows.min() == pytest.approx(0.64 * y0, abs=1)
    assert rows.max() == pytest.approx(0.64 * y1, abs=1)
    assert record.turns[0].text.count("<region>") == 1


def test_or_it_stays_in_the_words(load, first) -> None:
    record, _ = first(load("geochat_region_text"))
    assert record.regions == ()
    assert "[identify] What is the object present at {<" in record.turns[0].text


def test_size_groups_and_references(load) -> None:
    records = load("geochat_region").records
    assert {record.meta["size_group"] for record in records} == {"small", "medium", "large"}
    assert all(record.meta["references"] == [record.turns[1].text] for record in records)


def test_a_question_without_box_is_refused(tmp_path: Path) -> None:
    entry = {"image_id": "1", "question": "What is it?", "ground_truth": "a ship", "question_id": 0}
    (tmp_path / "r.jsonl").write_text(json.dumps(entry))
    with pytest.raises(AnnotationError, match=r"r.jsonl:1: 'What is it\?' is no box"):
        GeoChatRegionDataset(annotations=str(tmp_path / "r.jsonl"), images=IMAGES)
