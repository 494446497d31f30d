"""Pictures of few bits, with palettes, with white as zero: colours for pictures, stored numbers for class maps."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import from_origin

from eocore.data.io.display_values import ColourTable, check_tiff_upright
from eocore.data.io.image_files import open_layers
from eocore.data.io.readers import read_class_map, read_scene
from eocore.data.records import ImageRef
from eocore.errors import DataError

COLOURS = {1: (0, 90, 255, 255), 2: (20, 160, 40, 255), 3: (240, 220, 90, 255), 4: (200, 30, 30, 255)}
GREY = ImageRef("rgb", "grey_uint8", ("a",))


def tif(path: Path, numbers: np.ndarray, *, colours: dict[int, tuple[int, int, int, int]] | None = None, **profile: object) -> Path:
    shape = {"height": numbers.shape[0], "width": numbers.shape[1], "dtype": numbers.dtype.name, "crs": "EPSG:32632"}
    with rasterio.open(path, "w", driver="GTiff", count=1, **shape, transform=from_origin(0, 100, 10, 10), **profile) as file:
        file.write(numbers[None])
        if colours:
            file.write_colormap(1, colours)
    return path


def png(path: Path, numbers: np.ndarray, *, bits: int, palette: bytes = b"") -> Path:
    """A PNG of 1, 2 or 4 bits, grey or with a palette; Pillow writes grey ones of 8 bits alone."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + np.packbits(np.unpackbits(row[:, None], axis=1)[:, -bits:].ravel()).tobytes() for row in numbers)
    header = struct.pack(">IIBBBBB", numbers.shape[1], numbers.shape[0], bits, 3 if palette else 0, 0, 0, 0)
    body = (
        chunk(b"IHDR", header) + (chunk(b"PLTE", palette) if palette else b"") + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def shown(path: Path, sensor: str = "grey_uint8") -> np.ndarray:
    return read_scene(ImageRef("rgb", sensor, (str(path),))).pixels


def levels(bits: int) -> np.ndarray:
    return (np.arange(16).reshape(2, 8) % 2**bits).astype(np.uint8)


class TestPalettes:
    NUMBERS = np.array([[1, 2, 3], [3, 4, 1]], np.uint8)

    def test_pictures_have_their_colours_and_class_maps_their_numbers(self, tmp_path: Path) -> None:
        path = tif(tmp_path / "a.tif", self.NUMBERS, colours=COLOURS, photometric="palette", nodata=4)
        pixels = shown(path, "rgb_uint8")
        assert pixels[:, 0, 0].tolist() == [0, 90, 255] and pixels[:, 1, 0].tolist() == [240, 220, 90]
        assert np.isnan(pixels[:, 1, 1]).all(), "nodata"
        assert open_layers(path).names == ("red", "green", "blue")
        assert (read_class_map(str(path)) == self.NUMBERS).all()

    def test_tables_of_16_bit_numbers(self, tmp_path: Path) -> None:
        path = tif(tmp_path / "a.tif", self.NUMBERS.astype(np.uint16) * 300, colours={300: (9, 8, 7, 255), 600: (1, 2, 3, 255)})
        assert shown(path, "rgb_uint8")[:, 0, :2].T.tolist() == [[9, 8, 7], [1, 2, 3]]
        assert read_class_map(str(path))[0].tolist() == [300, 600, 900]

    @pytest.mark.parametrize("bits", [1, 2, 4])
    def test_png_palettes_of_few_bits(self, tmp_path: Path, bits: int) -> None:
        table = np.random.default_rng(bits).integers(0, 256, (2**bits, 3), dtype=np.uint8)
        path = png(tmp_path / "a.png", levels(bits), bits=bits, palette=table.tobytes())
        assert (np.moveaxis(shown(path, "rgb_uint8"), 0, -1) == table[levels(bits)]).all()
        assert (read_class_map(str(path)) == levels(bits)).all()

    def test_a_number_beyond_the_table_is_named(self) -> None:
        table = ColourTable(np.zeros((4, 3), np.uint8), np.ones(4, bool))
        with pytest.raises(DataError, match=r"a\.tif: holds number 7, but its colour table ends at 3"):
            table.apply(np.full((1, 2, 2), 7, np.uint8), source="a.tif")


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("ending", ["tif", "png"])
def test_few_bits_fill_the_range_of_a_picture_and_stay_numbers_of_a_class_map(tmp_path: Path, bits: int, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    tif(path, levels(bits), nbits=bits) if ending == "tif" else png(path, levels(bits), bits=bits)
    assert (shown(path)[0] == levels(bits).astype(int) * 255 // (2**bits - 1)).all()
    assert (read_class_map(str(path)) == levels(bits)).all()


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_white_as_zero_is_turned_for_pictures_alone(tmp_path: Path, bits: int) -> None:
    path = tif(tmp_path / "a.tif", levels(bits), photometric="MINISWHITE", **({"nbits": bits} if bits < 8 else {}))
    assert (shown(path)[0] == 255 - levels(bits).astype(int) * 255 // (2**bits - 1)).all()
    assert (read_class_map(str(path)) == levels(bits)).all()


def test_white_as_zero_of_more_bits_is_refused(tmp_path: Path) -> None:
    path = tif(tmp_path / "a.tif", np.full((4, 4), 900, np.uint16), photometric="MINISWHITE")
    with pytest.raises(DataError, match=r"a\.tif: white is zero \(PhotometricInterpretation 0\) in uint16 pixels"):
        open_layers(path)


class TestLossyClassMaps:
    def test_jpeg_masks_are_refused_with_their_values(self, tmp_path: Path) -> None:
        mask = np.zeros((32, 32), np.uint8)
        mask[5:20, 7:23] = 255
        Image.fromarray(mask).save(tmp_path / "a.jpg")
        with pytest.raises(DataError, match=r"a\.jpg: a JPEG \(\d+ different values, 0, 1.*\), but a mask .* lossy compression changes"):
            read_class_map(str(tmp_path / "a.jpg"))
        assert shown(tmp_path / "a.jpg").shape == (1, 32, 32), "as a picture it is welcome"

    def test_jpeg_inside_a_tiff(self, tmp_path: Path) -> None:
        path = tif(tmp_path / "a.tif", np.zeros((32, 32), np.uint8), compress="jpeg")
        with pytest.raises(DataError, match=r"a\.tif: JPEG compression inside a TIFF, but a mask or class map is made of exact numbers"):
            read_class_map(str(path))
        assert shown(path).shape == (1, 32, 32)


class TestOrientationTags:
    @pytest.mark.parametrize(("ending", "orientation"), [("jpg", 6), ("png", 3), ("tif", 8)])
    def test_pictures_that_viewers_turn_are_refused(self, tmp_path: Path, ending: str, orientation: int) -> None:
        path, exif = tmp_path / f"a.{ending}", Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(np.zeros((8, 6), np.uint8)).save(path, **({"tiffinfo": {274: orientation}} if ending == "tif" else {"exif": exif}))
        with pytest.raises(DataError, match=rf"a\.{ending}: Exif orientation {orientation}: viewers turn or mirror .*exif_transpose"):
            read_scene(ImageRef("rgb", "grey_uint8", (str(path),)))

    def test_upright_ones_are_read(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 1
        Image.fromarray(np.zeros((8, 6), np.uint8)).save(tmp_path / "a.jpg", exif=exif)
        assert shown(tmp_path / "a.jpg").shape == (1, 8, 6)


def test_a_tiff_of_more_bands_than_pillow_opens_is_passed_over_in_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.tif"
    with rasterio.open(path, "w", driver="GTiff", count=12, height=8, width=8, dtype="uint16") as target:
        target.write(np.zeros((12, 8, 8), np.uint16))
    check_tiff_upright(path)
    assert not caplog.records
