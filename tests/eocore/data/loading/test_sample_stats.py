"""Sizes of samples of any data set, wherever it says that its images lie."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eocore.data.dataset import RecordDataset, SampleKey
from eocore.data.formats.captions import ImageCaptionDataset
from eocore.data.io.readers import SceneHeader
from eocore.data.loading.sample_stats import FIELDS, SampleSizes
from eocore.data.records import Record
from eocore.evaluate.custom_dataset import CustomDataset


class HeightMeasurer:
    """Tiles: the height of the first image; tokens: the number of texts."""

    max_length = 100
    reads_headers = True
    settings: Mapping[str, Any] = {}
    code: Sequence[Path] = ()

    def __call__(self, record: Record, headers: Sequence[SceneHeader]) -> dict[str, int]:
        return {**dict.fromkeys(FIELDS, 0), "tiles": headers[0].height, "tokens": len(record.captions or record.turns)}


def lines_beside_their_images(folder: Path) -> RecordDataset:
    entry = {"sample_id": "0", "image": "a.png", "label": "x", "candidates": ["x", "y"]}
    (folder / "labels.jsonl").write_text(json.dumps(entry) + "\n")
    return CustomDataset(annotations=str(folder / "labels.jsonl"), task="classification")


def captions_of_a_folder(folder: Path) -> RecordDataset:
    (folder / "captions.csv").write_text("image,caption\na.png,one\na.png,two\n")
    images = {"rgb": {"root": str(folder), "pattern": "{name}", "sensor": "rgb_uint8"}}
    return ImageCaptionDataset(annotations=str(folder / "captions.csv"), images=images)


@pytest.mark.parametrize("make", [lines_beside_their_images, captions_of_a_folder])
def test_images_are_measured_below_the_root_that_their_data_set_gives(tmp_path: Path, make: Callable[[Path], RecordDataset]) -> None:
    Image.new("RGB", (16, 24)).save(tmp_path / "a.png")
    dataset = make(tmp_path)
    table = SampleSizes(dataset, HeightMeasurer(), seed=0)(0)
    np.testing.assert_array_equal(table, [[2, 24, 0, 0, 0]])
    record, scenes, _ = dataset.load(SampleKey(0, 0))
    assert scenes[0].size == (24, 16) and record.roles == ("rgb",)
