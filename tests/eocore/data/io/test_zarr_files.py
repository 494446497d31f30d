"""Images inside Zarr zip files and shards, of the published layout: what is read, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eocore.data.io.readers import image_size, read_scene
from eocore.data.records import ImageRef
from eocore.errors import BandError, DataError
from tests.ssl4eo_files import S2L2A, SIDE, chunk_file, digital_numbers, shard_member, write_shard, zip_bytes

SAMPLES = ("0080717", "0060573")


def ref(path: Path, item: str, sensor: str = "sentinel2_l2a_pb0400", **options: Any) -> ImageRef:
    return ImageRef("multispectral", sensor, (str(path),), item=item, **options)


@pytest.fixture
def chunks(tmp_path: Path) -> Path:
    path = tmp_path / "ssl4eos12_val_seasonal_data_000001.zarr.zip"
    path.write_bytes(zip_bytes(chunk_file(SAMPLES)))
    return path


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    members = {f"ssl4eos12_val_seasonal_data_{number:07d}.zarr.zip": shard_member(name) for number, name in enumerate(SAMPLES, 1)}
    return write_shard(tmp_path / "ssl4eos12_shard_000001.tar", members)


def test_sample_and_time_of_a_zarr_file(chunks: Path) -> None:
    scene = read_scene(ref(chunks, "0060573/2"))
    assert scene.bands == S2L2A and image_size(ref(chunks, "0060573/2")) == (SIDE, SIDE)
    expected = (digital_numbers(SAMPLES, S2L2A, offset=0)[1, 2] / 10_000).astype(np.float32)
    np.testing.assert_allclose(scene.pixels, expected, atol=1e-6)
    assert scene.gsd_m == 10 and scene.georeference is not None
    assert scene.georeference.transform == (10.0, 0.0, 704_995.0, 0.0, -10.0, 4_700_005.0)


def test_a_member_of_a_shard_is_the_same_image_without_the_offset(chunks: Path, shard: Path) -> None:
    from_shard = read_scene(ref(shard, "ssl4eos12_val_seasonal_data_0000001.zarr.zip/3", "sentinel2_l2a"))
    np.testing.assert_allclose(from_shard.pixels, read_scene(ref(chunks, "0080717/3")).pixels, atol=1e-6)
    assert from_shard.georeference is None


def test_a_window_and_layers_that_are_left_out(chunks: Path) -> None:
    whole = read_scene(ref(chunks, "0080717/0"))
    part = read_scene(ref(chunks, "0080717/0", window=(1, 2, 5, 6), bands=("-", *S2L2A[1:])))
    assert part.bands == S2L2A[1:]
    np.testing.assert_array_equal(part.pixels, whole.pixels[1:, 1:6, 2:8])


def test_bands_are_found_by_name_whatever_their_order(tmp_path: Path) -> None:
    turned = tuple(reversed(S2L2A))
    path = tmp_path / "turned.zarr.zip"
    pixels = digital_numbers(SAMPLES, S2L2A, offset=1000)[:, :, ::-1]
    path.write_bytes(zip_bytes(chunk_file(SAMPLES, turned, pixels=pixels)))
    scene = read_scene(ref(path, "0080717/1"))
    np.testing.assert_allclose(
        scene.select(S2L2A).pixels[:, 5, 5], digital_numbers(SAMPLES, S2L2A, offset=0)[0, 1, :, 5, 5] / 1e4, atol=1e-6
    )


def test_a_band_that_is_no_band_of_the_sensor_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.zarr.zip"
    path.write_bytes(zip_bytes(chunk_file(SAMPLES, (*S2L2A[:9], "B10", *S2L2A[10:]))))
    with pytest.raises(BandError, match="B10"):
        read_scene(ref(path, "0080717/0"))


def test_backscatter_in_half_precision(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.normal(-14.0, 3.0, (4, 2, SIDE, SIDE)).astype(np.float16)
    shard = write_shard(tmp_path / "s1.tar", {"a.zarr.zip": shard_member("0080717", ("vv", "vh"), pixels=pixels)})
    scene = read_scene(ImageRef("sar", "sentinel1_grd", (str(shard),), item="a.zarr.zip/1"))
    assert scene.bands == ("VV", "VH")
    np.testing.assert_allclose(scene.pixels, pixels[1].astype(np.float32))


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("0080717/4", r"\[0080717/4\]: time '4', but the file holds times 0 to 3"),
        ("0080717", "time '0080717'"),
        ("0000001/0", "0 samples of the file are '0000001', expected one; it holds 0080717"),
    ],
)
def test_an_image_that_is_not_there_is_named(chunks: Path, item: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_scene(ref(chunks, item))


def test_a_member_that_is_not_in_the_shard_is_named(shard: Path) -> None:
    with pytest.raises(DataError, match=r"ssl4eos12_shard_000001\.tar: no member 'other\.zarr\.zip'"):
        read_scene(ref(shard, "other.zarr.zip/0", "sentinel2_l2a"))


def drop_chunk(members: dict[str, bytes]) -> None:
    del members["bands/0.1.0.0.0"]


def drop_pixels(members: dict[str, bytes]) -> None:
    for name in [name for name in members if name.startswith("bands/")]:
        del members[name]


def swap_dimensions(members: dict[str, bytes]) -> None:
    members["bands/.zattrs"] = json.dumps({"_ARRAY_DIMENSIONS": ["sample", "band", "time", "y", "x"]}).encode()


def pickled(members: dict[str, bytes]) -> None:
    meta = json.loads(members["bands/.zarray"])
    members["bands/.zarray"] = json.dumps({**meta, "filters": [{"id": "pickle"}]}).encode()


def damage(members: dict[str, bytes]) -> None:
    members["bands/0.1.0.0.0"] = members["bands/0.1.0.0.0"][:40]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop_chunk, r"1 of 1 chunks are not in the file \(bands/0\.1\.0\.0\.0\); zeros would be read"),
        (drop_pixels, "no Zarr array 'bands' of format 2; found band"),
        (swap_dimensions, "expected numbers of sample, time, band, y, x or time, band, y, x"),
        (pickled, "only plain arrays"),
        (damage, "cannot be read as Zarr"),
    ],
)
def test_a_file_that_is_damaged_or_of_another_layout_is_refused(
    tmp_path: Path, change: Callable[[dict[str, bytes]], None], message: str
) -> None:
    members = chunk_file(SAMPLES)
    change(members)
    path = tmp_path / "broken.zarr.zip"
    path.write_bytes(zip_bytes(members))
    with pytest.raises(DataError, match=message) as caught:
        read_scene(ref(path, "0080717/1"))
    assert "broken.zarr.zip" in str(caught.value)


def test_files_that_are_cut_short_are_refused(tmp_path: Path, shard: Path, chunks: Path) -> None:
    for source, item in ((shard, "ssl4eos12_val_seasonal_data_0000002.zarr.zip/0"), (chunks, "0080717/0")):
        cut = tmp_path / f"cut{source.suffix}"
        cut.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
        with pytest.raises(DataError, match=r"cut\.(tar|zip).*(cut short|cannot be read)"):
            read_scene(ref(cut, item))
