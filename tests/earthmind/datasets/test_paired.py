"""SAR and RGB pairs joined by base name."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from earthmind.datasets.paired import PairedDataset
from eocore.data.dataset import SampleKey
from eocore.errors import DataError
from eocore.sensors.scene import by_role


def build(root: Path, image: str) -> PairedDataset:
    turns = [{"from": "human", "value": "<image>\nWet?"}, {"from": "gpt", "value": "Yes."}]
    (root / "final_all.json").write_text(json.dumps([{"image": image, "conversations": turns}] * 2))
    return PairedDataset(annotations=str(root / "final_all.json"))


def save(path: Path, *, value: int, mode: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (6, 4), value if mode == "L" else (value, value, value)).save(path)


def test_both_images_are_found_by_base_name_whatever_their_kind(tmp_path: Path) -> None:
    save(tmp_path / "rgb/img/a.jpg", value=200, mode="RGB")
    save(tmp_path / "sar/img/a.png", value=30, mode="L")
    dataset = build(tmp_path, "some/folder/a.jpg")
    record, read, _ = dataset.load(SampleKey(0, 0))
    scenes = by_role(read, source="")
    assert [Path(ref.paths[0]).name for ref in record.images] == ["a.jpg", "a.png"]
    assert {modality: scene.pixels.shape for modality, scene in scenes.items()} == {"rgb": (3, 4, 6), "sar": (1, 4, 6)}
    assert np.all(scenes["sar"].pixels == 30) and np.all(scenes["rgb"].pixels > 150)
    assert [record.sample_id for record in dataset.records] == ["final_all-0", "final_all-1"]


def test_the_written_name_goes_before_other_endings(tmp_path: Path) -> None:
    for folder in ("rgb", "sar"):
        save(tmp_path / folder / "img/a.png", value=1, mode="RGB")
        save(tmp_path / folder / "img/a.jpg", value=1, mode="RGB")
    (record, _) = build(tmp_path, "a.jpg").records
    assert [Path(ref.paths[0]).name for ref in record.images] == ["a.jpg", "a.jpg"]


def test_half_a_pair_is_an_error(tmp_path: Path) -> None:
    save(tmp_path / "rgb/img/a.png", value=1, mode="RGB")
    with pytest.raises(DataError, match=r"final_all\.json#0: no image 'a\.png': no file fits .*sar/img"):
        build(tmp_path, "a.png")
