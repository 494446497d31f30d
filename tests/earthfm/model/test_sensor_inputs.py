"""Files in any unit, offset and order of bands -> the same inputs; the package's own normaliser; gaps; refusals."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("olmoearth_pretrain_minimal")
from olmoearth_pretrain_minimal import Normalizer
from olmoearth_pretrain_minimal.olmoearth_pretrain_v1.utils.constants import MISSING_VALUE, Modality

from earthfm.model.olmoearth import EncoderSizes, OlmoEarthEncoder
from earthfm.model.sensor_inputs import Normaliser, SensorImage, band_names, fill_sources, stack_images, timestamp
from eocore.data.io.readers import read_scene
from eocore.data.records import ImageRef
from tests.image_making import write_tif

S2 = band_names("sentinel2_l2a")
CHAT_EARTH_NET = ("B04", "B03", "B02", "B05", "B06", "B07", "B08", "B11", "B12")


def scene(bands: tuple[str, ...] = S2, *, unit: str = "reflectance", value: float | None = None) -> Any:
    pixels = np.random.default_rng(0).uniform(0.01, 0.6, (len(bands), 16, 16)).astype(np.float32)
    return SimpleNamespace(pixels=np.full_like(pixels, value) if value is not None else pixels, bands=bands, unit=unit)


def stored(path: Path, kind: str, order: list[str], *, digital: dict[str, np.ndarray]) -> Any:
    """Bands as a scene that was read from a file of one kind, in this order."""
    pixels = np.stack([digital[name] for name in order])
    if kind == "sentinel2_l2a_pb0400":
        pixels = pixels + 1000
    if kind == "sentinel2_l2a_reflectance":
        pixels = (pixels / 10_000).astype(np.float32)
    write_tif(path, pixels)
    return read_scene(ImageRef("multispectral", kind, (str(path),), bands=tuple(order)))


def encoded(image: SensorImage) -> torch.Tensor:
    torch.manual_seed(0)
    made = OlmoEarthEncoder(EncoderSizes(embedding_size=32, depth=2, num_heads=2)).eval()
    with torch.no_grad():
        found: torch.Tensor = made(stack_images({"sentinel2_l2a": [("", image)]}, patch_size=8, month_without_time=1), 8)[0]
    return found


def test_unit_offset_and_order_of_bands_do_not_matter(tmp_path: Path) -> None:
    """Digital numbers, those of baseline 04.00, and reflectance; upstream feeds another order, which comes out as something else."""
    rng = np.random.default_rng(1)
    digital = {name: rng.integers(100, 8000, (16, 16)).astype(np.uint16) for name in S2}
    shuffled = list(rng.permutation(S2))
    normalise = Normaliser("v1")
    expected = normalise(stored(tmp_path / "a.tif", "sentinel2_l2a", list(S2), digital=digital), "sentinel2_l2a")
    reference = encoded(expected)
    for number, kind in enumerate(("sentinel2_l2a", "sentinel2_l2a_pb0400", "sentinel2_l2a_reflectance")):
        found = normalise(stored(tmp_path / f"{number}.tif", kind, shuffled, digital=digital), "sentinel2_l2a")
        np.testing.assert_allclose(found.pixels, expected.pixels, atol=1e-5)
        torch.testing.assert_close(encoded(found), reference, rtol=0, atol=1e-4)
    wrong = np.stack([digital[name] for name in CHAT_EARTH_NET] + [np.zeros((16, 16))] * 3, axis=-1) / 8000 * 2 - 1
    assert (encoded(expected._replace(pixels=wrong.astype(np.float32))) - reference).abs().mean() > 0.1


LANDSAT = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B9")


def landsat_file(path: Path, kind: str, order: list[str], *, reflectance: dict[str, np.ndarray]) -> Any:
    """Level-1 reflectance of the bands as a scene that was read from a file of one kind, in this order."""
    pixels = np.stack([reflectance[name] for name in order])
    if kind == "landsat8_l1":  # 2e-5 and -0.1, and not yet divided by the sine of the sun's elevation: here of 90 degrees
        pixels = np.round((pixels + 0.1) / 2e-5).astype(np.uint16)
    write_tif(path, pixels)
    return read_scene(ImageRef("landsat", kind, (str(path),), bands=tuple(order)))


def encoded_landsat(image: SensorImage) -> torch.Tensor:
    torch.manual_seed(0)
    made = OlmoEarthEncoder(EncoderSizes(embedding_size=32, depth=2, num_heads=2)).eval()
    with torch.no_grad():
        found: torch.Tensor = made(stack_images({"landsat": [("2024-06-01", image)]}, patch_size=8, month_without_time=1), 8)[0]
    return found


def test_unit_offset_and_order_of_landsat_s_bands_do_not_matter(tmp_path: Path) -> None:
    """Digital numbers with their offset, and reflectance; the thermal bands, which no reflectance file has, are filled alike."""
    rng = np.random.default_rng(2)
    reflectance = {name: (rng.integers(6000, 30_000, (16, 16)) * 2e-5 - 0.1).astype(np.float32) for name in LANDSAT}
    shuffled = list(rng.permutation(LANDSAT))
    normalise = Normaliser("v1")
    expected = normalise(landsat_file(tmp_path / "a.tif", "landsat8_l1_reflectance", list(LANDSAT), reflectance=reflectance), "landsat")
    reference = encoded_landsat(expected)
    assert expected.pixels.shape[-1] == len(band_names("landsat")) == 11
    for number, kind in enumerate(("landsat8_l1", "landsat8_l1_reflectance", "landsat9_l1_reflectance")):
        found = normalise(landsat_file(tmp_path / f"{number}.tif", kind, shuffled, reflectance=reflectance), "landsat")
        np.testing.assert_allclose(found.pixels, expected.pixels, atol=1e-4)
        torch.testing.assert_close(encoded_landsat(found), reference, rtol=0, atol=1e-3)
    turned = expected._replace(pixels=np.ascontiguousarray(expected.pixels[..., ::-1]))
    assert (encoded_landsat(turned) - reference).abs().mean() > 0.01


@pytest.mark.parametrize(
    ("sensor", "unit", "scale", "offset"),
    [("sentinel2_l2a", "reflectance", 1e4, 0), ("sentinel1", "sigma0_db", 1, 0), ("landsat", "reflectance", 5e4, 5000)],
)
def test_values_are_those_of_the_packages_normaliser(sensor: str, unit: str, scale: float, offset: float) -> None:
    made = scene(band_names(sensor), unit=unit)
    found = Normaliser("v1")(made, sensor)
    digital = np.moveaxis(made.pixels.astype(float), 0, -1) * scale + offset
    np.testing.assert_allclose(found.pixels, Normalizer().normalize(Modality.get(sensor), digital), rtol=1e-4, atol=1e-5)
    assert found.filled.bands == {} and found.known.all()


@pytest.mark.filterwarnings("ignore:Up to 3 of the 12")
@pytest.mark.parametrize("version", ["v1", "v1.1", "v1.3"])
def test_missing_bands_are_filled_by_the_packages_rule(version: str) -> None:
    made = scene(CHAT_EARTH_NET)
    found = Normaliser(version)(made, "sentinel2_l2a")
    digital = np.full((16, 16, 12), float(MISSING_VALUE))
    for number, name in enumerate(CHAT_EARTH_NET):
        digital[..., S2.index(name)] = made.pixels[number].astype(float) * 1e4
    expected = Normalizer(model_type=version).normalize(Modality.get("sentinel2_l2a"), digital)
    np.testing.assert_allclose(found.pixels, expected, rtol=1e-4, atol=1e-5)
    nearest = {"B01": "B02", "B8A": "B08", "B09": "B08"}
    assert found.filled.bands == (nearest if version == "v1" else dict.fromkeys(nearest, ""))


def test_single_pixels_without_a_band_are_filled_too() -> None:
    made = scene()
    made.pixels[S2.index("B01"), 3, 4] = np.nan
    found = Normaliser("v1")(made, "sentinel2_l2a").pixels
    copied = made.pixels[S2.index("B02"), 3, 4] * 1e4
    expected = Normalizer().normalize(Modality.get("sentinel2_l2a"), np.full((1, 12), copied))[0, S2.index("B01")]
    assert found[3, 4, S2.index("B01")] == pytest.approx(expected, rel=1e-4)
    assert Normaliser("v1.1")(made, "sentinel2_l2a").pixels[3, 4, S2.index("B01")] == 0


def test_thermal_bands_of_landsat_have_no_near_one() -> None:
    assert fill_sources("landsat", ["B2", "B5"]) == {
        **dict.fromkeys(("B1", "B3", "B4", "B8"), "B2"), **dict.fromkeys(("B6", "B7", "B9"), "B5"), "B10": "", "B11": ""
    }  # fmt: skip


def test_patches_without_data_are_missing() -> None:
    made = scene()
    made.pixels[:, :8, 8:] = np.nan
    made.pixels[:, 0, 0] = np.nan
    image = Normaliser("v1")(made, "sentinel2_l2a")
    lacks = stack_images({"sentinel2_l2a": [("", image)]}, patch_size=8, month_without_time=1).sentinel2_l2a_missing
    assert lacks is not None and lacks[0, :, :, 0].tolist() == [[False, True], [False, False]]
    assert not image.pixels[0, 0].any()


def test_pictures_of_eight_bits_have_statistics_of_their_own() -> None:
    made = scene(CHAT_EARTH_NET, unit="uint8", value=255.0)
    np.testing.assert_allclose(Normaliser("v1")(made, "sentinel2_l2a").pixels, 1.0)
    measured = Normaliser("v1", display_mean={"B02": 100.0}, display_std={"B02": 50.0})
    pixels = measured(made, "sentinel2_l2a").pixels[0, 0]
    assert pixels[S2.index("B02")] == pytest.approx((255 - 0) / 200) and pixels[S2.index("B03")] == pytest.approx(1.0)


def test_colours_alone_are_read_on_demand() -> None:
    made = scene(("red", "green", "blue"), unit="uint8")
    with pytest.raises(ValueError, match=r"has B02, B03, B04 alone; .* say fill_missing \(--fill-missing\)"):
        Normaliser("v1")(made, "sentinel2_l2a")
    found = Normaliser("v1", fill_missing=True)(made, "sentinel2_l2a")
    np.testing.assert_allclose(found.pixels[..., S2.index("B04")], made.pixels[0] / 255, atol=1e-5)
    assert set(found.filled.bands.values()) == {"B02", "B04"}


@pytest.mark.parametrize(
    ("sensor", "given", "message"),
    [
        ("sentinel1", scene(("VV", "VH")), "in the unit 'reflectance', expected sigma0_db"),
        ("sentinel2_l2a", scene(("VV", "VH"), unit="uint8"), "has the bands VV, VH; the encoder reads B02, B03"),
        ("landsat", scene(("B2",), unit="uint8"), "expected reflectance"),
    ],
)
def test_images_that_do_not_fit_are_refused(sensor: str, given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Normaliser("v1")(given, sensor)


def test_dates_are_counted_from_month_zero() -> None:
    assert timestamp("2021-12-31T10:00:00", month_without_time=1) == (31, 11, 2021)
    assert timestamp("", month_without_time=7) == (1, 6, 0)


def test_samples_that_make_no_stack_are_refused() -> None:
    image = Normaliser("v1")(scene(), "sentinel2_l2a")
    with pytest.raises(ValueError, match="16 x 16 px: all of a sample must have one size, a multiple of the patch size 5 px"):
        stack_images({"sentinel2_l2a": [("", image)]}, patch_size=5, month_without_time=1)
    with pytest.raises(ValueError, match="several images for sentinel2_l2a have one time"):
        stack_images({"sentinel2_l2a": [("", image), ("", image)]}, patch_size=8, month_without_time=1)
