"""Pillow pictures of every mode: the colours a viewer shows, or refused."""

import io

import numpy as np
import pytest
from PIL import Image

from eocore.portable.pictures import picture_pixels

RAMP = np.linspace(300, 4000, 64 * 64).reshape(64, 64)
BLUE, ORANGE = (0, 90, 255), (240, 120, 10)


def two_colours(size: int = 8) -> Image.Image:
    """Blue on the left, orange on the right."""
    pixels = np.empty((size, size, 3), np.uint8)
    pixels[:, : size // 2], pixels[:, size // 2 :] = BLUE, ORANGE
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    "picture",
    [
        Image.fromarray(RAMP.astype(np.uint16)),
        Image.frombytes("I;16B", (64, 64), RAMP.astype(">u2").tobytes()),
        Image.fromarray(RAMP.astype(np.int32)),
        Image.fromarray((RAMP / 10_000).astype(np.float32)),
        Image.fromarray((RAMP % 256).astype(np.int32)),
    ],
    ids=["I;16", "I;16B", "I", "F", "I within 0..255"],
)
def test_pictures_of_more_bits_are_refused_with_what_they_hold(picture: Image.Image) -> None:
    with pytest.raises(TypeError, match=r"mode (I|F|I;16B?) \(.* to .*\) is not one of 8 bits; .* Scale it to 0..255.*SceneArray"):
        picture_pixels(picture)


@pytest.mark.parametrize(("mode", "apart"), [("RGB", 0), ("RGBX", 0), ("CMYK", 0), ("YCbCr", 3), ("HSV", 4), ("RGBA", 0), ("RGBa", 0)])
def test_colours_are_kept_in_every_mode_that_defines_them(mode: str, apart: int) -> None:
    picture = two_colours().convert("RGBA").convert(mode) if mode == "RGBa" else two_colours().convert(mode)
    pixels = picture_pixels(picture).astype(int)
    assert pixels.shape == (8, 8, 3)
    assert np.abs(pixels[0, 0] - BLUE).max() <= apart and np.abs(pixels[0, -1] - ORANGE).max() <= apart


def test_grey_and_black_and_white_fill_their_range() -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    assert (picture_pixels(Image.fromarray(grey)) == grey[..., None]).all()
    assert np.unique(picture_pixels(Image.fromarray(grey > 100))).tolist() == [0, 255]


def test_palettes_give_their_colours_and_transparent_pixels_are_black() -> None:
    picture = two_colours().quantize(2)
    assert picture.mode == "P" and picture_pixels(picture)[0, [0, -1]].tolist() == [list(BLUE), list(ORANGE)]
    picture.info["transparency"] = picture.getpixel((0, 0))
    assert picture_pixels(picture)[0, [0, -1]].tolist() == [[0, 0, 0], list(ORANGE)]
    alpha = Image.fromarray(np.repeat(np.array([[0, 1, 255, 255]], np.uint8), 2, axis=0))
    grey = Image.merge("LA", [Image.new("L", (4, 2), 200), alpha])
    assert picture_pixels(grey)[0, :, 0].tolist() == [0, 200, 200, 200]
    assert picture_pixels(grey.convert("La"))[0, [0, 2], 0].tolist() == [0, 200]


def test_colours_that_need_a_profile_are_refused() -> None:
    with pytest.raises(
        TypeError, match=r"mode LAB has no conversion to RGB without a colour profile. Convert it to RGB first \(PIL.ImageCms\)"
    ):
        picture_pixels(Image.new("LAB", (4, 4)))
    with pytest.raises(ValueError, match="a picture of 0 x 4 px holds nothing"):
        picture_pixels(Image.new("RGB", (0, 4)))


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_picture_that_viewers_turn_is_refused(orientation: int) -> None:
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    two_colours().save(file, "JPEG", exif=exif)
    with pytest.raises(ValueError, match=rf"the picture: Exif orientation {orientation}: viewers turn or mirror .*exif_transpose"):
        picture_pixels(Image.open(file))
    exif[0x0112] = 1
    file = io.BytesIO()
    two_colours().save(file, "JPEG", exif=exif)
    assert picture_pixels(Image.open(file)).shape == (8, 8, 3)
