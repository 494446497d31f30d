"""Pillow pictures -> colours of 8 bits; what has other numbers, or lies on its side, is refused."""

from typing import Any

import numpy as np
from PIL import Image

MEASURED_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
"""Modes of more than 8 bits. Pillow converts them to 8 bits by cutting off at 255: all white, or all black."""
_PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}
_WITH_ALPHA = ("LA", "PA", "RGBA")
_COLOUR_MODES = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV", *_WITH_ALPHA)
_ORIENTATION_TAG, _UPRIGHT = 0x0112, 1
"""Exif 2.32, table 4: 1 = the first row is the top, the first column the left."""


def picture_pixels(image: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8: the colours that a viewer shows; fully transparent pixels are black.

    Raises:
        TypeError: the picture has more than 8 bits a channel, or its mode has no defined colours.
        ValueError: it is empty, or its Exif orientation says that it is not shown as it is stored.
    """
    check_upright(image, "the picture")
    if image.width * image.height == 0:
        raise ValueError(f"a picture of {image.width} x {image.height} px holds nothing to see.")
    mode = image.mode
    if mode in MEASURED_MODES:
        stored = np.asarray(image)
        raise TypeError(
            f"a picture of mode {mode} ({stored.min():g} to {stored.max():g}) is not one of 8 bits; conversion would cut it off at 255. "
            "Scale it to 0..255 as for display and hand it in as uint8; give measured bands as SceneArray(pixels, bands, unit)."
        )
    if mode not in (*_COLOUR_MODES, *_PREMULTIPLIED):
        raise TypeError(
            f"a picture of mode {mode} has no conversion to RGB without a colour profile. Convert it to RGB first (PIL.ImageCms)."
        )
    image = image.convert(_PREMULTIPLIED.get(mode, mode))
    if image.mode not in _WITH_ALPHA and "transparency" not in image.info:
        return np.asarray(image.convert("RGB"))
    pixels = np.asarray(image.convert("RGBA"))
    return np.where(pixels[..., 3:] > 0, pixels[..., :3], np.uint8(0))


def check_upright(image: Any, source: str) -> None:
    """Raise ValueError if the Exif orientation of a Pillow picture says that it is turned or mirrored when shown.

    Args:
        image: as opened.
        source: the file, for the message.
    """
    orientation = image.getexif().get(_ORIENTATION_TAG, _UPRIGHT)
    if orientation not in (0, _UPRIGHT):  # 0 is no orientation; some cameras write it
        raise ValueError(
            f"{source}: Exif orientation {orientation}: viewers turn or mirror what is stored, so that left and right, masks and boxes "
            "would be other than what is seen. Save it upright (PIL.ImageOps.exif_transpose), and turn its annotations too if they count "
            "stored pixels; or remove the tag."
        )
