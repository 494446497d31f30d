"""Files of an answer: text, masks with their place, an overlay; an earlier answer is kept or replaced whole."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from image_making import make_prediction
from PIL import Image

from eocore.errors import DataError
from eocore.predict.answers import Prediction, write_prediction
from eocore.sensors.scene import Scene


def test_masks_with_a_place_are_written_as_map_layers(tmp_path: Path) -> None:
    prediction = make_prediction()
    files = write_prediction(prediction, tmp_path / "out")
    names = ["answer.json", "answer.txt", "mask.png", "mask.tif", "mask_01.png", "mask_01.tif", "mask_02.png", "mask_02.tif", "overlay.png"]
    assert sorted(file.name for file in files) == sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    with rasterio.open(tmp_path / "out" / "mask_02.tif") as mask:
        assert mask.crs.to_epsg() == 32632 and mask.dtypes == ("uint8",) and mask.nodata is None
        assert tuple(mask.transform)[:6] == (10.0, 0.0, 500_000.0, 0.0, -10.0, 6_000_000.0)
        assert mask.compression.name == "deflate"
        assert (mask.read(1) == prediction.masks[1]).all()
    png = np.asarray(Image.open(tmp_path / "out" / "mask.png"))
    assert (png == 255 * prediction.masks.any(0)).all()
    about = json.loads((tmp_path / "out" / "answer.json").read_text())
    assert about["text"] == "the [SEG]" and about["masks_on"] == "sar" and about["mask_pixels"] == {"mask_01": 30, "mask_02": 60}
    assert about["images"]["sar"] == {"path": "sar.tif", "sensor": "sentinel1_grd", "bands": ["VV", "VH"], "size": [30, 40]}
    assert (tmp_path / "out" / "answer.txt").read_text() == "the [SEG]\n"


def test_overlay_tints_the_masks_on_the_image(tmp_path: Path) -> None:
    write_prediction(make_prediction(num_masks=1), tmp_path)
    overlay = np.asarray(Image.open(tmp_path / "overlay.png")).astype(int)
    assert overlay.shape == (30, 40, 3)
    assert (overlay[15:].max(-1) == overlay[15:].min(-1)).all()  # radar is grey outside
    assert (overlay[1:4, 4:8, 0] > overlay[1:4, 4:8, 1]).all()  # the mask's colour has no green


def test_overlay_on_a_finer_image_has_the_masks_size(tmp_path: Path) -> None:
    prediction = make_prediction()
    rgb = Scene(np.full((3, 60, 80), 90.0, np.float32), ("red", "green", "blue"), "rgb_uint8", "uint8")
    write_prediction(Prediction(prediction.text, prediction.masks, "sar", {"rgb": rgb, **prediction.scenes}), tmp_path)
    overlay = np.asarray(Image.open(tmp_path / "overlay.png"))
    assert overlay.shape == (30, 40, 3) and (overlay[20, 20] == 90).all()


def test_masks_without_a_place_are_pictures_alone(tmp_path: Path) -> None:
    names = {file.name for file in write_prediction(make_prediction(place=False), tmp_path)}
    assert not any(name.endswith(".tif") for name in names) and "mask_02.png" in names


def test_answer_without_masks_is_text_alone(tmp_path: Path) -> None:
    assert [file.name for file in write_prediction(make_prediction(num_masks=0), tmp_path)] == ["answer.txt", "answer.json"]


def test_earlier_prediction_is_kept_or_replaced_whole(tmp_path: Path) -> None:
    write_prediction(make_prediction(num_masks=3), tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"holds an earlier prediction \(answer.json, ...\).*--overwrite"):
        write_prediction(make_prediction(num_masks=1), tmp_path)
    write_prediction(make_prediction(num_masks=1), tmp_path, overwrite=True)
    left = {path.name for path in tmp_path.iterdir()}
    assert "mask_02.png" not in left and "mask_03.tif" not in left and "notes.txt" in left


def test_masks_of_a_series_are_shown_on_the_images_that_they_are_drawn_on(tmp_path: Path) -> None:
    made = make_prediction()
    days = ("2021-03-04", "2021-06-01")
    scenes = {f"sar {day}": replace(made.scenes["sar"], role="sar", time=day) for day in days}
    shown = {f"sar {days[1]}": 1.23456}
    prediction = Prediction(made.text, made.masks, f"sar {days[0]}", scenes, drawn_on=[f"sar {day}" for day in days], seconds=shown)
    names = {file.name for file in write_prediction(prediction, tmp_path / "both")}
    assert {"overlay_01.png", "overlay_02.png"} <= names and "overlay.png" not in names
    about = json.loads((tmp_path / "both" / "answer.json").read_text())
    assert about["drawn_on"] == [f"sar {day}" for day in days] and about["images"][f"sar {days[1]}"]["time"] == days[1]
    assert [image.get("seconds") for image in about["images"].values()] == [None, 1.235]
    first, second = (np.asarray(Image.open(tmp_path / "both" / f"overlay_0{number}.png")).astype(int) for number in (1, 2))
    tinted = [(picture.max(-1) != picture.min(-1)).sum() for picture in (first, second)]
    assert tinted[0] < tinted[1]  # the second mask is twice as large
    alone = Prediction(made.text, made.masks, f"sar {days[0]}", scenes, drawn_on=[f"sar {days[1]}"] * 2)
    assert "overlay.png" in {file.name for file in write_prediction(alone, tmp_path / "one")}
    with pytest.raises(DataError, match=r"holds an earlier prediction"):
        write_prediction(alone, tmp_path / "both")
    write_prediction(alone, tmp_path / "both", overwrite=True)
    assert not (tmp_path / "both" / "overlay_02.png").exists()
