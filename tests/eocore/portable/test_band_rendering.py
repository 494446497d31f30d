from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from eocore.portable.band_rendering import SceneArray, as_scene, composite_image, grounding_image, present

RANGE = {"method": "range", "low": 0.0, "high": 0.5}


def optical(**bands: object) -> SceneArray:
    """A reflectance scene of given layers, by band name."""
    layers = np.stack([np.broadcast_to(np.asarray(value, np.float32), (4, 4)) for value in bands.values()])
    return SceneArray(layers.astype(np.float32), tuple(bands), "reflectance")


def radar(vv: object, vh: object, unit: str = "sigma0_db") -> SceneArray:
    layers = np.stack([np.broadcast_to(np.asarray(value, np.float32), (4, 4)) for value in (vv, vh)])
    return SceneArray(layers.astype(np.float32), ("VV", "VH"), unit)


class TestStretch:
    def test_range_maps_low_to_0_and_high_to_255_and_clips(self) -> None:
        scene = optical(B04=[-0.1, 0.0, 0.25, 0.7])
        picture = present(scene, {"views": [["B04"]], "stretch": RANGE}, num_channels=1)
        assert picture.dtype == np.uint8
        assert picture[0, 0, 0].tolist() == [0, 0, 128, 255]

    def test_range_limits_can_differ_by_band(self) -> None:
        stretch = {"method": "range", "low": {"VV": -20, "VH": -30}, "high": {"VV": 0, "VH": -10}}
        picture = present(radar(-10, -10), {"views": [["VV", "VH"]], "stretch": stretch}, num_channels=2)
        assert picture[0, :, 0, 0].tolist() == [128, 255]

    def test_a_limit_missing_for_a_band_is_named(self) -> None:
        stretch = {"method": "range", "low": {"VV": -20}, "high": {"VV": 0}}
        with pytest.raises(ValueError, match="no limit for VH; it has VV"):
            present(radar(-10, -10), {"views": [["VH"]], "stretch": stretch}, num_channels=1)

    def test_percentile_is_taken_over_the_known_pixels_of_each_band(self) -> None:
        values = np.arange(16, dtype=np.float32).reshape(4, 4)
        values[0, 0] = np.nan
        known = values[np.isfinite(values)]
        low, high = np.percentile(known, [10, 90])
        expected = np.rint(np.clip((values - low) / (high - low), 0, 1) * 255)
        expected[0, 0] = 0
        stretch = {"method": "percentile", "low": 10, "high": 90}
        scene = SceneArray(np.stack([values, values * 7 + 3]), ("B04", "B03"), "reflectance")
        picture = present(scene, {"views": [["B04", "B03"]], "stretch": stretch}, num_channels=2)
        assert np.array_equal(picture[0, 0], expected.astype(np.uint8))
        assert np.array_equal(picture[0, 1], picture[0, 0])

    @pytest.mark.parametrize("stretch", [RANGE, {"method": "percentile", "low": 2, "high": 98}])
    def test_pixels_without_data_are_black(self, stretch: dict) -> None:
        values = np.full((4, 4), 0.4, np.float32)
        values[1, 2] = np.nan
        values[2, 2] = 0.1
        picture = present(optical(B04=values), {"views": [["B04"]], "stretch": stretch}, num_channels=1)
        assert picture[0, 0, 1, 2] == 0
        assert picture[0, 0, 0, 0] > 0

    def test_a_band_without_any_data_is_black(self) -> None:
        stretch = {"method": "percentile", "low": 2, "high": 98}
        picture = present(optical(B04=np.nan), {"views": [["B04"]], "stretch": stretch}, num_channels=1)
        assert not picture.any()

    def test_a_constant_band_is_no_division_by_zero(self) -> None:
        stretch = {"method": "percentile", "low": 2, "high": 98}
        with np.errstate(all="raise"):
            assert not present(optical(B04=0.3), {"views": [["B04"]], "stretch": stretch}, num_channels=1).any()

    def test_an_unknown_method_is_named_with_the_choices(self) -> None:
        with pytest.raises(ValueError, match="stretch method 'gamma' is unknown; choices: range, percentile"):
            present(optical(B04=0.1), {"views": [["B04"]], "stretch": {"method": "gamma"}}, num_channels=1)


class TestViews:
    def test_several_composites_take_their_bands_by_name(self) -> None:
        scene = optical(B02=0.1, B03=0.2, B04=0.3, B08=0.4)
        rule = {"views": [["B04", "B03", "B02"], ["B08", "B04", "B03"]], "stretch": RANGE}
        views = present(scene, rule, num_channels=3)
        assert views[:, :, 0, 0].tolist() == [[153, 102, 51], [204, 153, 102]]

    def test_native_shows_all_bands_in_one_view(self) -> None:
        names = [f"B{number:02d}" for number in range(1, 13)]
        scene = optical(**{name: number / 24 for number, name in enumerate(names)})
        views = present(scene, {"views": [[*names, "zero", "zero"]], "stretch": RANGE}, num_channels=14)
        assert views.shape == (1, 14, 4, 4)
        assert views[0, :, 0, 0].tolist() == [round(255 * number / 12) for number in range(12)] + [0, 0]

    def test_a_channel_without_signal_shows_the_mean_of_that_channel(self) -> None:
        rule = {"views": [["B04", "none", "zero"], ["none", "B04", "none"]], "stretch": RANGE}
        views = present(optical(B04=0.3), rule, num_channels=3, fill=[10, 20, 30])
        assert views[:, :, 0, 0].tolist() == [[153, 20, 0], [10, 153, 30]]
        with pytest.raises(ValueError, match="fill gives values for 2 channels, there are 3"):
            present(optical(B04=0.3), rule, num_channels=3, fill=[10, 20])

    @pytest.mark.parametrize(("third", "expected"), [("zero", 0), ("VV", 170), ("ratio:VV/VH", 153)])
    def test_third_radar_channel_is_zero_copy_or_ratio(self, third: str, expected: int) -> None:
        stretch = {"method": "range", "low": {"VV": -30, "VH": -30, "ratio:VV/VH": -10}, "high": {"VV": 0, "VH": 0, "ratio:VV/VH": 15}}
        picture = present(radar(-10, -15), {"views": [["VV", "VH", third]], "stretch": stretch}, num_channels=3)
        assert picture[0, 2, 0, 0] == expected

    def test_a_ratio_is_a_difference_in_db_and_a_quotient_otherwise(self) -> None:
        rule = {"views": [["ratio:VV/VH"]], "stretch": {"method": "range", "low": 0, "high": 10}}
        assert present(radar(-10, -15), rule, num_channels=1)[0, 0, 0, 0] == round(255 * 0.5)
        assert present(radar(0.4, 0.1, "sigma0"), rule, num_channels=1)[0, 0, 0, 0] == round(255 * 0.4)

    def test_a_missing_band_is_named(self) -> None:
        with pytest.raises(ValueError, match=r"band B08 is missing: the scene has B02, B04\. .*change the presentation"):
            present(optical(B02=0.1, B04=0.2), {"views": [["B08"]], "stretch": RANGE}, num_channels=1)
        with pytest.raises(ValueError, match="band HH is missing"):
            present(radar(-10, -15), {"views": [["ratio:HH/VV"]], "stretch": RANGE}, num_channels=1)

    def test_a_view_of_another_width_than_the_patch_embedding_is_refused(self) -> None:
        with pytest.raises(ValueError, match="names 2 channels, the patch embedding takes 3"):
            present(optical(B02=0.1, B03=0.1), {"views": [["B02", "B03"]], "stretch": RANGE}, num_channels=3)


class TestDisplayImages:
    def test_colours_are_shown_as_they_are_in_the_first_channels(self) -> None:
        layers = np.random.default_rng(0).integers(0, 256, (3, 4, 4)).astype(np.float32)
        views = present(SceneArray(layers, ("red", "green", "blue"), "uint8"), {}, num_channels=14)
        assert views.shape == (1, 14, 4, 4)
        assert np.array_equal(views[0, :3], layers.astype(np.uint8))
        assert not views[0, 3:].any()
        filled = present(SceneArray(layers, ("red", "green", "blue"), "uint8"), {}, num_channels=5, fill=[1, 2, 3, 4, 5])
        assert filled[0, 3:, 0, 0].tolist() == [4, 5] and np.array_equal(filled[0, :3], layers.astype(np.uint8))

    def test_a_single_layer_fills_all_three(self) -> None:
        views = present(SceneArray(np.full((1, 4, 4), 7, np.float32), ("grey",), "uint8"), {}, num_channels=3)
        assert (views == 7).all()
        assert views.shape == (1, 3, 4, 4)

    def test_each_three_layers_are_one_view(self) -> None:
        layers = np.arange(9, dtype=np.float32)[:, None, None] * np.ones((9, 4, 4), np.float32)
        views = present(SceneArray(layers, tuple("abcdefghi"), "uint8"), {}, num_channels=3)
        assert views[:, :, 0, 0].tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]

    def test_pixels_without_data_are_black(self, recwarn: pytest.WarningsRecorder) -> None:
        layers = np.full((3, 4, 4), 9, np.float32)
        layers[:, 1, 1] = np.nan
        views = present(SceneArray(layers, ("red", "green", "blue"), "uint8"), {}, num_channels=3)
        assert views[0, :, 1, 1].tolist() == [0, 0, 0]
        assert not list(recwarn)

    def test_two_layers_are_no_picture(self) -> None:
        with pytest.raises(ValueError, match=r"1 or 3n layers, found 2 \(a, b\)"):
            present(SceneArray(np.zeros((2, 4, 4), np.float32), ("a", "b"), "uint8"), {}, num_channels=3)


class TestGroundingImage:
    def test_takes_the_rule_s_own_view(self) -> None:
        rule = {"views": [["B02", "B03", "B04"]], "grounding": ["B04", "zero", "B02"], "stretch": RANGE}
        assert grounding_image(optical(B02=0.1, B03=0.2, B04=0.3), rule)[:, 0, 0].tolist() == [153, 0, 51]

    def test_else_the_first_three_channels_of_the_first_view(self) -> None:
        rule = {"views": [["B04", "B03", "B02", "B08"], ["B08"] * 4], "stretch": RANGE}
        assert grounding_image(optical(B02=0.1, B03=0.2, B04=0.3, B08=0.4), rule)[:, 0, 0].tolist() == [153, 102, 51]

    def test_must_have_three_channels(self) -> None:
        with pytest.raises(
            ValueError, match=r"grounding view \['VV', 'VH'\] names 2 channels, the mask decoder takes 3; fill up with 'zero'"
        ):
            grounding_image(radar(-10, -15), {"views": [["VV", "VH"]], "stretch": RANGE})


class TestAsScene:
    def test_pictures_and_arrays_become_display_scenes(self) -> None:
        array = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
        for image in (array, Image.fromarray(array)):
            scene = as_scene(image)
            assert scene.unit == "uint8"
            assert scene.bands == ("red", "green", "blue")
            assert np.array_equal(scene.pixels, array.transpose(2, 0, 1))
        assert as_scene(array[..., 0]).bands == ("grey",)

    @pytest.mark.parametrize(
        ("array", "found"),
        [
            (np.full((4, 4), 3000, np.uint16), r"\(4, 4\) uint16 \(3000 to 3000\)"),
            (np.linspace(0, 1, 48).reshape(4, 4, 3).astype(np.float32), r"float32 \(0 to 1\)"),
            (np.full((4, 4), np.nan), r"float64 \(no finite number\)"),
            (np.eye(4, dtype=bool), r"bool \(0 to 1\)"),
            (np.zeros((4, 4, 3), np.int16), r"int16 \(0 to 0\)"),
            (np.zeros((4, 4), np.complex64), r"complex64"),
            (np.zeros((3, 4, 5), np.uint8), r"\(3, 4, 5\) uint8"),
            (np.zeros((0, 4, 3), np.uint8), r"\(0, 4, 3\) uint8"),
        ],
    )
    def test_arrays_that_are_no_pictures_of_8_bits_are_refused_with_their_range(self, array: np.ndarray, found: str) -> None:
        with pytest.raises(TypeError, match=rf"must be \(H, W\) or \(H, W, 3\) uint8, found .*{found}.* Scale it to 0..255"):
            as_scene(array)

    @pytest.mark.parametrize(
        ("pixels", "unit", "fault"),
        [
            (np.full((1, 2, 2), 3000, np.uint16), "uint8", "0..255, found uint16 3000 to 3000: they would wrap around or be cut off"),
            (np.full((1, 2, 2), -3.0, np.float32), "uint8", "float32 -3 to -3: they would wrap"),
            (np.full((1, 2, 2), 0.4, np.float32), "uint8", "would all be black; multiply fractions by 255"),
            (np.full((1, 2, 2), 3000, np.uint16), "reflectance", r"'reflectance' are fractional numbers, found uint16 \(3000 to 3000\)"),
            (np.full((1, 2, 2), -12, np.int16), "sigma0_db", r"'sigma0_db' are fractional numbers, found int16 \(-12 to -12\)"),
            (np.zeros((2, 2, 2), np.float32), "reflectance", r"a name for each of its C bands, found \(2, 2, 2\) and 1 names \(B04\)"),
            (np.zeros((2, 2), np.float32), "reflectance", r"found \(2, 2\) and 1 names"),
        ],
    )
    def test_arrays_are_what_their_unit_says(self, pixels: np.ndarray, unit: str, fault: str) -> None:
        with pytest.raises(ValueError, match=fault):
            SceneArray(pixels, ("B04",), unit)

    def test_display_pixels_of_another_type_pass_within_their_range(self) -> None:
        for pixels in (np.full((1, 2, 2), 255, np.int32), np.full((1, 2, 2), np.nan, np.float32), np.zeros((1, 2, 2), np.float32)):
            assert SceneArray(pixels, ("grey",), "uint8").pixels is pixels

    def test_a_picture_of_another_mode_is_converted(self) -> None:
        assert as_scene(Image.new("RGBA", (5, 4), (1, 2, 3, 255))).pixels[:, 0, 0].tolist() == [1, 2, 3]

    def test_a_scene_stays_itself(self) -> None:
        scene = radar(-10, -15)
        assert as_scene(scene) is scene

    @pytest.mark.parametrize("image", [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 2), np.uint8), np.zeros(4, np.uint8)])
    def test_other_arrays_are_refused(self, image: np.ndarray) -> None:
        with pytest.raises(TypeError, match=r"must be .* uint8, found .* give measured bands as SceneArray"):
            as_scene(image)

    def test_other_things_are_refused(self) -> None:
        with pytest.raises(TypeError, match=r"expected a Pillow image, a uint8 array or a scene .* found str"):
            as_scene("image.png")


class TestComposite:
    RULES: ClassVar = {
        "multispectral": {"views": [["B04"]], "stretch": {"method": "range", "low": 0.0, "high": 1.0}},
        "rgb": {"views": [["red"]], "stretch": {"method": "range", "low": 0, "high": 255}},
        "sar": {"views": [["VV"]], "stretch": {"method": "range", "low": -20, "high": 0}},
    }
    CHANNELS = ("multispectral:B04|rgb:red", "sar:VV")

    def test_channels_come_from_the_sensors_that_are_there(self) -> None:
        optical = SceneArray(np.full((1, 2, 3), 0.4, np.float32), ("B04",), "reflectance")
        radar = SceneArray(np.full((1, 2, 3), -10.0, np.float32), ("VV",), "sigma0_db")
        both = composite_image({"multispectral": optical, "sar": radar}, self.RULES, channels=self.CHANNELS)
        assert both[:, 0, 0].tolist() == [102, 128]
        assert composite_image({"sar": radar}, self.RULES, channels=self.CHANNELS)[:, 0, 0].tolist() == [0, 128]
        picture = SceneArray(np.full((1, 2, 3), 51, np.uint8), ("red",), "uint8")
        assert composite_image({"rgb": picture}, self.RULES, channels=self.CHANNELS)[:, 0, 0].tolist() == [51, 0]

    def test_a_channel_without_its_sensor_shows_the_mean_of_that_channel(self) -> None:
        radar = SceneArray(np.full((1, 2, 3), -10.0, np.float32), ("VV",), "sigma0_db")
        assert composite_image({"sar": radar}, self.RULES, channels=self.CHANNELS, fill=[92, 130])[:, 0, 0].tolist() == [92, 128]

    def test_sensors_of_another_size_are_brought_to_the_first_ones(self) -> None:
        optical = SceneArray(np.zeros((1, 4, 6), np.float32), ("B04",), "reflectance")
        radar = SceneArray(np.full((1, 2, 3), -10.0, np.float32), ("VV",), "sigma0_db")
        assert composite_image({"multispectral": optical, "sar": radar}, self.RULES, channels=self.CHANNELS).shape == (2, 4, 6)


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("method", ["range", "percentile"])
def test_levels_are_the_rounded_stretch_with_and_without_data_missing(missing: bool, method: str) -> None:
    values = np.random.default_rng(0).normal(0.2, 0.2, (1, 30, 40)).astype(np.float32)
    values[0, :, 0] = np.nan if missing else 0.1
    low, high = (0.0, 0.5) if method == "range" else np.percentile(values[np.isfinite(values)], [2, 98])
    expected = np.nan_to_num(np.rint(np.clip((values - low) / (high - low), 0.0, 1.0) * 255.0), nan=0.0).astype(np.uint8)
    stretch = {"method": method, "low": 0.0, "high": 0.5} if method == "range" else {"method": method, "low": 2, "high": 98}
    kept = values.copy()
    shown = present(SceneArray(values, ("B04",), "reflectance"), {"views": [["B04"]], "stretch": stretch}, num_channels=1)
    assert (shown[0] == expected).all()
    assert np.array_equal(values, kept, equal_nan=True)


def test_a_picture_with_missing_pixels_shows_them_black() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 9)).astype(np.float32)
    whole = present(SceneArray(pixels, ("red", "green", "blue"), "uint8"), {}, num_channels=3)[0]
    pixels[:, 2, 3] = np.nan
    holed = present(SceneArray(pixels, ("red", "green", "blue"), "uint8"), {}, num_channels=3)[0]
    assert not holed[:, 2, 3].any()
    whole[:, 2, 3] = 0
    assert (holed == whole).all()
