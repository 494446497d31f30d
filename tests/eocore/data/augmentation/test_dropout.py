"""Bands and sensors left out: the rest stays, words that speak of them keep them, and a model sees them as absent."""

from dataclasses import replace

import numpy as np
import pytest
from augmented_samples import optical, picture, radar, record_of

from eocore.data.augmentation.dropout import BandDropout, DropBands, SensorDropout
from eocore.data.records import MaskRef
from eocore.errors import ConfigError
from eocore.portable.band_rendering import composite_image, present

VIEWS = {"views": [["B04", "B03", "none"]], "stretch": {"method": "range", "low": 0.0, "high": 0.5}}


def test_some_bands_lose_all_their_pixels_and_kept_ones_never_do() -> None:
    counts = set()
    for seed in range(40):
        pixels = DropBands(seed, 0.34, ("B04",)).scene(optical()).pixels
        gone = np.isnan(pixels).all(axis=(1, 2))
        assert np.isnan(pixels).any(axis=(1, 2)).tolist() == gone.tolist() and not gone[3]
        counts.add(int(gone.sum()))
    assert counts == {1, 2, 3, 4}
    assert {int(np.isnan(DropBands(seed, 1.0, ()).scene(radar()).pixels).all(axis=(1, 2)).sum()) for seed in range(9)} == {1}
    coloured = picture()
    assert DropBands(1, 0.5, ()).scene(coloured) is coloured


def test_a_band_without_data_is_shown_as_one_that_the_sensor_does_not_have() -> None:
    pixels = optical().pixels.copy()
    pixels[3] = np.nan
    without = replace(optical(), pixels=pixels)
    shown = present(without, VIEWS, num_channels=3, fill=[90, 91, 92])[0]
    assert set(np.unique(shown[0])) == {90} and set(np.unique(shown[2])) == {92}
    np.testing.assert_array_equal(shown[1], present(optical(), VIEWS, num_channels=3, fill=[90, 91, 92])[0, 1])
    channels = ["multispectral:B04", "multispectral:B03"]
    drawn = composite_image({"multispectral": without}, {"multispectral": VIEWS}, channels=channels, fill=[7, 8])
    assert set(np.unique(drawn[0])) == {7} and len(np.unique(drawn[1])) > 8


def test_one_sensor_always_stays_and_each_goes_by_its_chance() -> None:
    record = record_of("<image>\nWhere is the lake?", "north")
    transform = SensorDropout(probability={"multispectral": 0.5, "sar": 1.0})
    drawn = [transform(record, np.random.default_rng(seed)) for seed in range(300)]
    roles = [draw.roles for draw in drawn]
    assert {found: roles.count(found) for found in set(roles)}.keys() == {("multispectral",), ("sar",)}
    assert 40 < roles.count(("sar",)) < 110  # a quarter: both drawn, and the lot kept the radar
    assert drawn[:9] == [transform(record, np.random.default_rng(seed)) for seed in range(9)]
    assert all(draw.augmentation.before is not None for draw in drawn)


@pytest.mark.parametrize(
    ("said", "role"), [("Is it bright in the SAR image?", "sar"), ("What colour is the roof?", "rgb"), ("What is in both images?", "sar")]
)
def test_words_about_a_sensor_keep_it(said: str, role: str) -> None:
    record = record_of(f"<image>\n{said}", "yes", roles=("multispectral", role))
    kept = SensorDropout(probability={role: 1.0})(record, np.random.default_rng(0))
    assert kept.roles == record.roles and f"speaks of the images of '{role}'" in kept.augmentation.kept[0]


def test_the_image_that_masks_count_pixels_of_stays_unless_all_share_a_grid() -> None:
    record = record_of("<image>\nSegment it.", "[SEG]", masks=(MaskRef("box", [1, 1, 5, 5]),))
    kept = SensorDropout(probability={"multispectral": 1.0})(record, np.random.default_rng(0))
    assert kept.roles == record.roles and "one_grid" in kept.augmentation.kept[0]
    shared = SensorDropout(probability={"multispectral": 1.0}, one_grid=True)(record, np.random.default_rng(0))
    stated = replace(record, masks=(MaskRef("rle", {"size": [48, 48], "counts": [48 * 48]}),))
    assert shared.roles == ("sar",) == SensorDropout(probability={"multispectral": 1.0})(stated, np.random.default_rng(0)).roles


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="names no role"):
        SensorDropout()
    with pytest.raises(ConfigError, match="probability of 'sar' must be a number from 0 to 1"):
        SensorDropout(probability={"sar": 1.5})
    with pytest.raises(ConfigError, match="BandDropout: fraction"):
        BandDropout(fraction=2)
