"""Images of any bands and texts become model inputs: bands by name, statistics in their units, nothing filled or cut in silence."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ms_clip.model.channels import PRESETS, SENTINEL2_BANDS
from ms_clip.model.processing_ms_clip import MsClipProcessor
from ms_clip.model.processor_options import ProcessorOptions

L1C = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
EUROSAT = (*L1C[:8], *L1C[9:], "B8A")
"""Bands of the released EuroSAT files: B8A last."""


def processor(**options: Any) -> MsClipProcessor:
    made = object.__new__(MsClipProcessor)
    made.options = ProcessorOptions(**{"image_size": 8, **options})
    return made


def scene(bands: tuple[str, ...], *, size: tuple[int, int] = (8, 8), unit: str = "reflectance", role: str = "multispectral") -> Any:
    """Each band holds one value, which its name decides."""
    layers = [np.full(size, 0.01 * (sum(map(ord, band)) % 50) + 0.01, np.float32) for band in bands]
    return SimpleNamespace(pixels=np.stack(layers), bands=bands, unit=unit, role=role)


def test_statistics_are_those_of_the_release_in_reflectance() -> None:
    pixels = processor().pixels(scene(SENTINEL2_BANDS))
    expected = (scene(("B03",)).pixels[0, 0, 0] - 1183.128 / 1e4) / (1223.713 / 1e4)
    assert pixels.shape == (10, 8, 8) and pixels[1, 3, 3].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("bands", [L1C, EUROSAT, L1C[::-1]], ids=["L1C", "EuroSAT", "reversed"])
def test_bands_are_found_by_name_in_any_order(bands: tuple[str, ...]) -> None:
    assert torch.equal(processor().pixels(scene(bands)), processor().pixels(scene(SENTINEL2_BANDS)))


def test_a_missing_band_is_named_and_only_by_choice_the_mean() -> None:
    without = tuple(band for band in SENTINEL2_BANDS if band != "B11")
    with pytest.raises(ValueError, match="multispectral:B11, which the image does not have"):
        processor().pixels(scene(without))
    pixels = processor(absent="mean").pixels(scene(without))
    assert not pixels[8].any() and pixels[9].any()


def test_pixels_without_data_become_the_mean_and_do_not_spread() -> None:
    given = scene(SENTINEL2_BANDS, size=(16, 16))
    given.pixels[:, :8] = np.nan
    pixels = processor().pixels(given)
    assert torch.isfinite(pixels).all() and pixels[:, 0].abs().max() < 1e-5
    torch.testing.assert_close(pixels[:, 7], processor().pixels(scene(SENTINEL2_BANDS))[:, 7])


def test_a_long_image_is_cut_at_its_centre() -> None:
    given = scene(SENTINEL2_BANDS, size=(8, 20))
    given.pixels[:, :, 6:14] += 0.1
    assert torch.equal(processor().pixels(given), processor(fit="crop").pixels(given))
    assert processor().pixels(given)[0].unique().numel() == 1


def test_an_image_that_is_too_small_to_be_cut_is_refused() -> None:
    with pytest.raises(ValueError, match="6 x 9 px, the model sees 8 x 8"):
        processor(fit="crop").pixels(scene(SENTINEL2_BANDS, size=(6, 9)))


def test_pictures_and_reflectance_reach_a_model_of_pictures_alike() -> None:
    display = processor(**PRESETS[3])
    picture = Image.new("RGB", (8, 8), (255, 51, 0))
    bands = scene(("B02", "B03", "B04"))
    bands.pixels = np.stack([np.full((8, 8), value, np.float32) for value in (0.0, 0.04, 0.9)])  # brighter than white stays white
    assert torch.equal(display.pixels(picture), display.pixels({"multispectral": bands}))
    assert display.pixels(picture)[0, 0, 0].item() == pytest.approx((1 - 0.48145466) / 0.26862954, rel=1e-5)


def test_a_grey_picture_stands_for_every_colour() -> None:
    display = processor(**PRESETS[3])
    grey = np.full((8, 8), 90, np.uint8)
    assert torch.equal(display.pixels(grey), display.pixels(np.stack([grey] * 3, -1)))


def test_a_picture_is_no_multispectral_image() -> None:
    with pytest.raises(ValueError, match="multispectral:B02, which the image does not have"):
        processor().pixels(Image.new("RGB", (8, 8)))


def test_two_sensors_are_stacked() -> None:
    stacked = processor(channels=["multispectral:B04", "sar:VV"], mean=[0.1, -12.0], std=[0.1, 5.0])
    radar = SimpleNamespace(pixels=np.full((1, 16, 16), -7.0, np.float32), bands=("VV",), unit="sigma0_db")
    pixels = stacked.pixels({"multispectral": scene(("B04",)), "sar": radar})
    torch.testing.assert_close(pixels[1], torch.ones(8, 8))
    with pytest.raises(ValueError, match="sar:VV, which the image does not have"):
        stacked.pixels({"multispectral": scene(("B04",))})
    with pytest.raises(ValueError, match=r"give \{role: image\}"):
        stacked.pixels(SimpleNamespace(pixels=np.zeros((1, 8, 8), np.float32), bands=("VV",), unit="sigma0_db"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": ["multispectral:B02"], "mean": [0.1], "std": []}, "1 channels, 1 means and 0 deviations"),
        ({"channels": ["B02"], "mean": [0.1], "std": [0.1]}, "'role:band'"),
        ({"channels": ["multispectral:B02"], "mean": [0.1], "std": [0.0]}, "deviations positive"),
        ({"fit": "stretch"}, "choices: resize, crop"),
        ({"context_length": 2}, "context_length"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        processor(**options)
