"""Clouds lie over optical images, with shadows beside them; the radar sees through."""

from dataclasses import replace

import numpy as np
import pytest
from augmented_samples import optical, picture, radar, record_of

from eocore.data.augmentation.clouds import CoverWithClouds, RandomClouds
from eocore.data.augmentation.scale import ResizeScenes
from eocore.sensors.bands import get_sensor
from eocore.sensors.ranges import check_values

CLOUDS = CoverWithClouds(5, 0.3, (0.0, 0.2), 1.0)
FLAT = replace(optical(), pixels=np.full_like(optical().pixels, 0.1))


def test_radar_and_thermal_images_stay_as_they_are() -> None:
    for scene in (radar(), replace(picture(), role="sar"), replace(optical(), unit="kelvin")):
        assert CLOUDS.scene(scene) is scene


@pytest.mark.parametrize("cover", [0.1, 0.3, 0.6])
def test_the_fraction_under_clouds_is_as_drawn(cover: float) -> None:
    opacity, shadow = replace(CLOUDS, cover=cover).opacities((96, 96))
    assert (opacity > 0.5).mean() == pytest.approx(cover, abs=0.04)
    assert opacity.min() >= 0 and opacity.max() <= 1 and shadow.max() <= 1


def test_clouds_are_bright_and_dimmer_in_the_short_wave_infrared_and_shadows_dark_and_bluish() -> None:
    covered = CLOUDS.scene(FLAT)
    opacity, shadow = CLOUDS.opacities((48, 48))
    band = {name: covered.pixels[number] for number, name in enumerate(covered.bands)}
    thick, dark = opacity > 0.89, (shadow > 0.89) & (opacity < 0.01)
    assert thick.sum() > 20 and dark.sum() > 20
    assert band["B02"][thick].mean() > 0.55 and band["B11"][thick].mean() < 0.45 and band["B12"][thick].mean() < band["B11"][thick].mean()
    assert band["B02"][dark].mean() < 0.07 and band["B08"][dark].mean() < 0.7 * band["B02"][dark].mean()
    clear = (shadow < 0.001) & (opacity < 0.001)
    np.testing.assert_allclose(covered.pixels[:, clear], 0.1, rtol=0.01)


def test_a_shadow_is_the_cloud_moved() -> None:
    opacity, shadow = CLOUDS.opacities((128, 128))
    np.testing.assert_allclose(shadow[:, 26:], opacity[:, :-26], atol=1e-6)  # 0.2 sides of 128 px


def test_all_optical_images_of_a_record_show_the_same_clouds() -> None:
    large = ResizeScenes(2.0).scene(FLAT)
    seen = [CLOUDS.scene(scene).pixels[1] > 0.4 for scene in (FLAT, large)]
    assert (seen[0] == seen[1][::2, ::2]).mean() > 0.95
    colour = CLOUDS.scene(replace(picture(), pixels=np.full_like(picture().pixels, 30))).pixels[1] > 160
    assert (seen[0] == colour).mean() > 0.9


def test_values_stay_physical_and_pixels_without_data_stay_so() -> None:
    pixels = optical().pixels.copy()
    pixels[:, :5] = np.nan
    covered = CLOUDS.scene(replace(optical(), pixels=pixels))
    assert np.isnan(covered.pixels[:, :5]).all() and np.isfinite(covered.pixels[:, 5:]).all()
    check_values(covered.pixels, get_sensor("sentinel2_l2a"), source="x")
    assert set(np.unique(CLOUDS.scene(picture()).pixels) % 1) == {0.0}


def test_words_about_the_weather_keep_the_image_clear() -> None:
    transform = RandomClouds(probability=1.0)
    for said in ("Is it cloudy?", "Is there a shadow?"):
        kept = transform(record_of(f"<image>\n{said}", "no"), np.random.default_rng(0))
        assert "speaks of the weather" in kept.augmentation.kept[0] and not kept.augmentation.changes
    drawn = transform(record_of("<image>\nWhere?", "north"), np.random.default_rng(0))
    assert isinstance(drawn.augmentation.changes[0], CoverWithClouds)
    alone = record_of("<image>\nWhere?", "north", roles=("multispectral",))
    assert RandomClouds(probability=1.0, needs_radar=True)(alone, np.random.default_rng(0)) == alone
