"""Multispectral folders: composites in the upstream grouping, one file for each band, and both annotation forms."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import Affine

from earthmind.datasets.multispectral import COMPOSITE_BANDS, REGROUPED_COMPOSITE_BANDS, MultispectralFolderDataset
from eocore.data.dataset import SampleKey
from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.sensors.scene import by_role

TURNS = [{"from": "human", "value": "<image>\nWhich class?"}, {"from": "gpt", "value": "A"}]


def build(root: Path, image: str, **settings: Any) -> MultispectralFolderDataset:
    (root / "ms_train.json").write_text(json.dumps([{"id": 1, "image": image, "conversations": TURNS}]))
    return MultispectralFolderDataset(annotations=str(root / "ms_train.json"), root=str(root), **settings)


def composites(folder: Path, count: int = 4) -> None:
    folder.mkdir(parents=True)
    for number in range(1, count + 1):
        Image.new("RGB", (5, 4), (number, number, number)).save(folder / f"rgb_{number}.png")


@pytest.mark.parametrize("image", ["x/patch.png", "x/patch"])
def test_a_folder_of_composites_is_one_image_with_all_bands(tmp_path: Path, image: str) -> None:
    composites(tmp_path / "x/patch")
    (tmp_path / "x/patch/notes.txt").touch()
    (record,) = build(tmp_path, image).records
    ref = record.images_of("multispectral")[0]
    assert [Path(path).name for path in ref.paths] == ["rgb_1.png", "rgb_2.png", "rgb_3.png", "rgb_4.png"]
    assert ref.bands == COMPOSITE_BANDS


def test_composites_are_read_as_display_values_of_named_bands(tmp_path: Path) -> None:
    composites(tmp_path / "patch")
    _, read, _ = build(tmp_path, "patch").load(SampleKey(0, 0))
    scenes = by_role(read, source="")
    scene = scenes["multispectral"]
    assert (scene.unit, scene.bands, scene.size) == ("uint8", COMPOSITE_BANDS, (4, 5))
    assert scene.select(("B03", "B04", "B12")).pixels[:, 0, 0].tolist() == [1, 2, 4]


def test_both_published_groupings_name_each_band_once() -> None:
    assert sorted(COMPOSITE_BANDS) == sorted(REGROUPED_COMPOSITE_BANDS) and len(set(COMPOSITE_BANDS)) == 12


def test_bands_of_a_later_grouping_by_config(tmp_path: Path) -> None:
    composites(tmp_path / "patch")
    (record,) = build(tmp_path, "patch", bands=list(REGROUPED_COMPOSITE_BANDS)).records
    assert record.images_of("multispectral")[0].bands[:3] == ("B04", "B03", "B02")


def test_one_file_for_each_band_becomes_one_scene(tmp_path: Path) -> None:
    folder = tmp_path / "patch"
    folder.mkdir()
    for number, band in enumerate(("B8A", "B02", "B11"), start=1):
        with rasterio.open(
            folder / f"S2A_{band}.tif",
            "w",
            driver="GTiff",
            width=5,
            height=4,
            count=1,
            dtype="uint16",
            crs="EPSG:32632",
            transform=Affine(10, 0, 0, 0, -10, 0),
        ) as file:
            file.write(np.full((1, 4, 5), 1000 * number, dtype=np.uint16))
    _, read, _ = build(tmp_path, "patch.png", layout="bands").load(SampleKey(0, 0))
    scenes = by_role(read, source="")
    scene = scenes["multispectral"]
    values = {band: round(float(layer.mean()), 3) for band, layer in zip(scene.bands, scene.pixels, strict=True)}
    assert values == {"B8A": 0.1, "B02": 0.2, "B11": 0.3}


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "patch").mkdir()
    with pytest.raises(DataError, match=r"ms_train\.json#0: no image 'patch': no file fits .*rgb_\*\.png"):
        build(tmp_path, "patch")


def test_question_lines_of_the_test_file(tmp_path: Path) -> None:
    composites(tmp_path / "patch")
    line = {"id": "t1", "image": "patch.png", "question": "Which class? (A) x (B) y", "answer": "B", "size": 120}
    (tmp_path / "ms_test.jsonl").write_text(json.dumps(line))
    test = MultispectralFolderDataset(annotations=str(tmp_path / "ms_test.jsonl"), root=str(tmp_path))
    (record,) = test.records
    assert [turn.text for turn in record.turns] == ["<image>\nWhich class? (A) x (B) y", "B"]
    assert record.meta == {"image": "patch.png", "answer": "B", "size": 120}
    (tmp_path / "ms_test.jsonl").write_text(json.dumps({key: line[key] for key in ("id", "image", "question")}))
    with pytest.raises(AnnotationError, match=r"ms_test\.jsonl:1: no field 'answer'"):
        MultispectralFolderDataset(annotations=str(tmp_path / "ms_test.jsonl"), root=str(tmp_path))


def test_unknown_layout_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"layout must be one of composites, bands, found 'frames'"):
        build(tmp_path, "patch", layout="frames")
