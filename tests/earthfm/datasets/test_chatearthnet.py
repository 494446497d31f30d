"""ChatEarthNet: both spellings, one caption or several, three pictures an image, and what is missing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("olmoearth_pretrain_minimal")
from earthfm.datasets.chatearthnet import BANDS, FOLDERS, ChatEarthNetDataset
from earthfm.model.image_preparation import ImagePreparer
from earthfm.model.processor_options import ProcessorOptions
from earthfm.model.sensor_inputs import band_names
from eocore.data.io.readers import read_scene
from eocore.errors import AnnotationError, ConfigError, DataError

ENTRIES = [
    {"image": "t_t_patch00.png", "caption": "Mostly water."},
    {"image_id": "t_t_patch01", "caption": [" A crop field. ", "Fields."]},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(FOLDERS):
        (tmp_path / name).mkdir(parents=True)
        for image in ("t_t_patch00.png", "t_t_patch01.png"):
            layers = np.stack([np.full((16, 16), 10 * (3 * number + layer + 1), np.uint8) for layer in range(3)], axis=-1)
            Image.fromarray(layers).save(tmp_path / name / image)
    return tmp_path


def dataset(folder: Path, entries: list[Any] = ENTRIES, **fields: Any) -> ChatEarthNetDataset:
    path = folder / "ChatEarthNet_caps_35_test.json"
    path.write_text(json.dumps(entries))
    return ChatEarthNetDataset(annotations=str(path), folder=str(folder), **fields)


def test_records_have_captions_and_nine_bands(folder: Path) -> None:
    first, second = dataset(folder).records
    assert first.captions == ("Mostly water.",) and second.captions == ("A crop field.", "Fields.")
    assert second.sample_id == "t_t_patch01" and second.task == "caption"
    scene = read_scene(first.images[0], root=folder)
    assert scene.bands == BANDS and scene.unit == "uint8"
    assert scene.pixels[:, 0, 0].tolist() == [10.0 * (number + 1) for number in range(9)]
    found = ImagePreparer(ProcessorOptions())([scene]).sentinel2_l2a
    assert found is not None
    blue = found[0, 0, 0, 0, band_names("sentinel2_l2a").index("B02")]
    assert float(blue) == pytest.approx(30 / 255)


def test_missing_pictures_are_an_error_or_counted(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "s2_band_5_6_7_images" / "t_t_patch00.png").unlink()
    with pytest.raises(DataError, match=r"image 't_t_patch00.png' lacks .*s2_band_5_6_7_images"):
        dataset(folder)
    assert len(dataset(folder, skip_missing=True).records) == 1
    (folder / "s2_band_5_6_7_images" / "t_t_patch01.png").unlink()
    with pytest.raises(DataError, match="no image of its 2 entries is below"):
        dataset(folder, skip_missing=True)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"caption": "x"}, "expected the image under one of image, image_id"),
        ({"image": "a.png", "image_id": "a", "caption": "x"}, "expected the image under one of"),
    ],
)
def test_entries_that_break_the_form_are_refused(folder: Path, entry: dict[str, Any], message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        dataset(folder, [entry])


def test_folders_hold_the_nine_bands(folder: Path) -> None:
    with pytest.raises(ConfigError, match="folders must name B04, B03, B02"):
        dataset(folder, folders={"a": ("B04", "B03", "B02")})
