"""Rows of the report: the same places under every setting, cloudy ones first, one phrase an image."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eocore.data.dataset import RecordDataset
from eocore.data.io.masks import decode_mask, encode_rle
from eocore.data.records import Expression, MaskRef, Record
from eocore.evaluate.predictions import Prediction
from eocore.evaluate.reporting.gallery import overlay_rows
from eocore.synthetic.world import write_world

SIZE = 48
NUM_IMAGES = 8
CLOUDY = (1, 2, 5)
SETTINGS = ("optical", "sar", "fused")


class GalleryPhrases(RecordDataset):
    """Two phrases of each image; images of which numbers are in `CLOUDY` are cloudy."""

    def parse(self, path: Path) -> list[Record]:
        records = []
        for number in range(NUM_IMAGES):
            for phrase in ("lake", "field"):
                image = f"test_{number:05d}"
                box = MaskRef("box", [0, 0, 10 + number, 20 if phrase == "lake" else 30])
                records.append(
                    Record(
                        f"{image}-{phrase}",
                        self.locate_images(image, f"{path}#{number}"),
                        expressions=(Expression(phrase, box),),
                        task="referring",
                        source=f"{path}#{number}",
                        meta={"cloudy": number in CLOUDY},
                    )
                )
        return records


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> GalleryPhrases:
    root = tmp_path_factory.mktemp("world")
    write_world(root, {"test": NUM_IMAGES}, size=SIZE)
    images = {
        "multispectral": {"root": str(root / "test" / "multispectral"), "sensor": "sentinel2_l2a"},
        "sar": {"root": str(root / "test" / "sar"), "sensor": "sentinel1_grd"},
    }
    (root / "phrases.json").write_text(json.dumps([]))
    return GalleryPhrases(annotations=str(root / "phrases.json"), images=images)


def truth_of(record: Record) -> np.ndarray:
    mask = record.expressions[0].mask
    assert mask is not None
    return decode_mask(mask, (SIZE, SIZE), source="here")


@pytest.fixture
def predictions(source: GalleryPhrases) -> list[Prediction]:
    """SAR draws what is right, fused draws twice a part of it, and optical draws nothing."""
    made = []
    for record in source.records:
        truth = truth_of(record)
        drawn = {"optical": (), "sar": (truth,), "fused": (truth & (np.arange(SIZE) < 5), truth & (np.arange(SIZE) >= 5))}
        for setting in SETTINGS:
            image = Path(record.images_of("sar")[0].paths[0]).stem
            made.append(
                Prediction(
                    record.sample_id,
                    "referring",
                    (image,),
                    setting,
                    "segment",
                    "Sure.",
                    "",
                    dict(record.meta),
                    tuple(encode_rle(mask) for mask in drawn[setting]),
                    (encode_rle(truth),),
                )
            )
    return made


def test_cloudy_places_come_first_and_each_image_once(source: GalleryPhrases, predictions: list[Prediction]) -> None:
    rows = overlay_rows(predictions, source, count=3)
    assert [row.title for row in rows] == ["lake (cloudy)", "lake (cloudy)", "lake"]
    whole = overlay_rows(predictions, source, count=100)
    assert len(whole) == NUM_IMAGES and sum("cloudy" in row.title for row in whole) == len(CLOUDY)


def test_a_row_shows_each_sensor_the_truth_and_every_setting(source: GalleryPhrases, predictions: list[Prediction]) -> None:
    (row,) = overlay_rows(predictions, source, count=1)
    titles = ["optical", "sar", "truth", "optical: no mask", "sar: IoU 1.00", "fused: IoU 1.00"]
    assert [panel.title for panel in row.panels] == titles
    assert all(panel.image.shape == (SIZE, SIZE, 3) and panel.image.dtype == np.uint8 for panel in row.panels)
    optical, sar, truth, nothing, over_sar, over_optical = (panel.image for panel in row.panels)
    assert np.array_equal(nothing, optical) and not np.array_equal(truth, optical)
    assert not np.array_equal(over_sar, sar) and not np.array_equal(over_optical, over_sar)


def test_masks_of_one_answer_are_shown_together(source: GalleryPhrases, predictions: list[Prediction]) -> None:
    """Of a mask drawn in two parts and the same mask drawn whole nothing differs but their border."""
    whole = [
        Prediction(**{**item.__dict__, "prediction_masks": item.ground_truth_masks}) if item.sensor == "fused" else item
        for item in predictions
    ]
    (parts,), (once,) = overlay_rows(predictions, source, count=1), overlay_rows(whole, source, count=1)
    for first, second in zip(parts.panels, once.panels, strict=True):
        assert np.array_equal(first.image, second.image), first.title


@pytest.mark.parametrize("change", [{"task": "mcq"}, {"ground_truth_masks": ()}])
def test_samples_without_a_mask_to_show_are_left_out(source: GalleryPhrases, predictions: list[Prediction], change: dict[str, Any]) -> None:
    others = [Prediction(**{**item.__dict__, **change}) for item in predictions]
    assert overlay_rows(others, source, count=3) == []


def test_places_that_were_not_predicted_are_left_out(source: GalleryPhrases, predictions: list[Prediction]) -> None:
    some = [item for item in predictions if item.image_ids == ("test_00003",)]
    assert [row.title for row in overlay_rows(some, source, count=3)] == ["lake"]


def test_none_are_asked_for(source: GalleryPhrases, predictions: list[Prediction]) -> None:
    assert overlay_rows(predictions, source, count=0) == []
    assert overlay_rows([], source, count=3) == []
