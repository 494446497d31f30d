"""Scale jitter: the same ground on other pixels, in the unit in which averages are physical."""

from dataclasses import replace

import numpy as np
import pytest
from augmented_samples import optical, picture, radar, record_of

from eocore.data.augmentation.scale import RandomScale, ResizeScenes
from eocore.data.changes import change_headers
from eocore.data.io.masks import decode_scene_mask
from eocore.data.io.readers import header_as_read
from eocore.data.records import MaskRef
from eocore.errors import ConfigError
from eocore.sensors.bands import get_sensor
from eocore.sensors.ranges import check_values


@pytest.mark.parametrize("factor", [0.5, 0.75, 2.0])
def test_size_gsd_georeference_and_masks_change_together(factor: float) -> None:
    side = round(48 * factor)
    for scene in (optical(), radar()):
        after = ResizeScenes(factor).scene(scene)
        assert after.size == (side, side) and after.gsd_m == pytest.approx(10 * 48 / side)
        assert after.georeference is not None and after.georeference.transform[0] == pytest.approx(10 * 48 / side)
        assert change_headers([header_as_read(scene)], [ResizeScenes(factor)])[0].size == after.size
        mask = decode_scene_mask(MaskRef("box", [0, 24, 48, 48]), after, source="x")
        assert mask[: side // 2].sum() == 0 and mask[side // 2 :].all()
        check_values(after.pixels, get_sensor(scene.sensor), source="x")


def test_an_object_finer_than_the_new_pixels_stays_one_pixel() -> None:
    after = ResizeScenes(0.1).scene(radar())
    mask = decode_scene_mask(MaskRef("box", [40, 7, 41, 8]), after, source="x")
    assert mask.sum() == 1 and mask[0, 4]


def test_backscatter_is_averaged_as_power_and_reflectance_as_it_is() -> None:
    for scene in (radar(), optical()):
        small = ResizeScenes(0.125).scene(scene)
        power = (lambda values: 10 ** (values / 10)) if scene.unit == "sigma0_db" else (lambda values: values)
        np.testing.assert_allclose(power(small.pixels).mean(), power(scene.pixels).mean(), rtol=0.05)
    mean_db = radar().pixels.mean()
    assert ResizeScenes(0.125).scene(radar()).pixels.mean() > mean_db + 0.3  # the mean of dB is lower than that of power, by the speckle


def test_pixels_without_data_stay_so_and_do_not_darken_others() -> None:
    pixels = optical().pixels.copy()
    pixels[:, :, :24] = np.nan
    pixels[:, :, 24:] = 0.3
    after = ResizeScenes(0.5).scene(replace(optical(), pixels=pixels)).pixels
    assert np.isnan(after[:, :, :11]).all() and np.allclose(after[:, :, 13:], 0.3, atol=1e-6)
    assert set(np.unique(ResizeScenes(0.7).scene(picture()).pixels) % 1) == {0.0}


def test_words_that_count_pixels_keep_the_image() -> None:
    transform = RandomScale()
    kept = transform(record_of("<image>\nHow many pixels are water?", "12"), np.random.default_rng(0))
    assert kept.augmentation.kept == ("RandomScale: 'pixels' counts pixels, which change",)
    boxed = record_of("<image>\nWhere?", "[1, 2, 3, 4]")
    assert "box_scale does not say" in transform.unsafe_words(boxed)
    assert not RandomScale(box_scale=100).unsafe_words(boxed) and "count pixels" in RandomScale(box_scale="pixels").unsafe_words(boxed)
    drawn = [transform(record_of("<image>\nWhere?", "north"), np.random.default_rng(seed)).augmentation.changes[0] for seed in range(200)]
    logs = np.log([change.factor for change in drawn if isinstance(change, ResizeScenes)])
    assert abs(logs.mean()) < 0.05 and logs.min() >= np.log(0.75) and logs.max() <= np.log(1.33)


def test_factors_out_of_order_are_refused() -> None:
    with pytest.raises(ConfigError, match="RandomScale: factors must be two numbers, the lower first"):
        RandomScale(factors=(1.2, 0.8))
