from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aerith.datasets.class_maps import ClassMapDataset
from eocore.data.io.masks import decode_mask
from eocore.errors import AnnotationError, DataError


def dataset(root: Path, values: np.ndarray, *, classes: dict[str, str]) -> ClassMapDataset:
    (root / "maps").mkdir(exist_ok=True)
    (root / "rgb").mkdir(exist_ok=True)
    Image.fromarray(values).save(root / "maps" / "a.png")
    Image.fromarray(np.zeros((*values.shape[:2], 3), dtype=np.uint8)).save(root / "rgb" / "a.png")
    images: dict[str, Any] = {"rgb": {"root": str(root / "rgb"), "pattern": "{stem}.png", "sensor": "rgb_uint8"}}
    return ClassMapDataset(annotations=str(root / "maps"), images=images, classes=classes)


def test_masks_are_those_of_the_classes_that_are_shown(tmp_path: Path) -> None:
    values = np.array([[1, 1, 7], [7, 7, 7]], dtype=np.uint8)
    (record,) = dataset(tmp_path, values, classes={"1": "water", "2": "forest", "7": "grass"}).records
    assert record.meta["classes"] == [0, 2] and len(record.masks) == 2
    assert np.array_equal(decode_mask(record.masks[1], (2, 3), source="a"), values == 7)


def test_what_is_no_map_is_said(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="no pixel of the classes 3"):
        dataset(tmp_path, np.ones((2, 2), dtype=np.uint8), classes={"3": "bare"})
    with pytest.raises(DataError, match=r"expected one layer of numbers of classes"):
        dataset(tmp_path, np.ones((2, 2, 3), dtype=np.uint8), classes={"1": "water"})
    (tmp_path / "maps" / "a.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="cannot be read as a map of classes"):
        ClassMapDataset(annotations=str(tmp_path / "maps"), images={}, classes={"1": "water"})
    with pytest.raises(DataError, match="no such folder of class maps"):
        ClassMapDataset(annotations=str(tmp_path / "none"), images={}, classes={"1": "water"})
