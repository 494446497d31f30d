"""Paths and files from untrusted hands: only plain local files, only the format their bytes say, nothing read before it is sized up."""

import io
import socket
import struct
import subprocess
import sys
import threading
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from eocore.data.io.image_files import GeoTiff, open_layers, resolve_path
from eocore.data.io.readers import image_size, read_scene
from eocore.data.records import ImageRef
from eocore.errors import BandError, DataError

RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)


def read(path: Path, sensor: str = "rgb_uint8") -> np.ndarray:
    return read_scene(ImageRef("image", sensor, (str(path),))).pixels


def save_png(path: Path, pixels: np.ndarray = RGB) -> Path:
    Image.fromarray(pixels).save(path, format="PNG")
    return path


def save_tiff(path: Path, **profile: object) -> Path:
    pixels = np.random.default_rng(0).integers(1, 9999, (2, 64, 64), np.uint16)
    with rasterio.open(path, "w", driver="GTiff", count=2, height=64, width=64, dtype="uint16", **profile) as dataset:
        dataset.write(pixels)
    return path


# Paths


@pytest.mark.parametrize(
    "path",
    [
        "/vsicurl/http://127.0.0.1:1/a.tif", "/vsizip/a.zip/a.tif", "/vsimem/a.tif", "http://127.0.0.1:1/a.tif", "s3://bucket/a.tif",
        "zip+https://127.0.0.1/a.zip!a.tif", "WMS:http://127.0.0.1:1/?a", "<VRTDataset></VRTDataset>", "a\0.tif",
        "file:///etc/passwd", " <VRTDataset/>",
    ],
)  # fmt: skip
def test_remote_and_virtual_paths_are_refused(path: str) -> None:
    with pytest.raises(DataError, match=r"not a plain local path\. Remote files are opened by .* alone, .* and virtual ones never"):
        resolve_path(path)


def test_paths_must_stay_in_their_folder(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    secret = save_png(tmp_path / "secret.png")
    (root / "link.png").symlink_to(secret)
    inside = save_png(root / "sub" / "in.png")
    for path in ("../secret.png", "sub/../../secret.png", str(secret), "link.png"):
        with pytest.raises(DataError, match=r"leads out of its folder .*root \(to .*secret\.png\)\. Put the file inside"):
            resolve_path(path, root=root)
    assert resolve_path("sub/in.png", root=root) == resolve_path(str(inside), root=root) == inside.resolve()
    assert resolve_path("root/link.png", root=tmp_path) == secret.resolve()


def test_a_linked_root_is_followed(tmp_path: Path) -> None:
    save_png(tmp_path / "a.png")
    (tmp_path / "link").symlink_to(tmp_path)
    assert resolve_path("a.png", root=tmp_path / "link") == (tmp_path / "a.png").resolve()


def test_missing_files_folders_and_endless_names(tmp_path: Path) -> None:
    with pytest.raises(
        DataError,
        match=r"b\.png: no such file \(looked at .*b\.png\)\. Correct the path; where a config .* `root` and .* '\{stem\}\.tif' where none",
    ):
        resolve_path("b.png", root=tmp_path)
    with pytest.raises(DataError, match=r"a folder, expected an image file"):
        resolve_path(".", root=tmp_path)
    with pytest.raises(DataError, match="no such file"):
        resolve_path(f"GTIFF_DIR:1:{save_tiff(tmp_path / 'a.tif')}")
    with pytest.raises(DataError, match=r"not a usable path|no such file"):
        resolve_path("x" * 5000, root=tmp_path)
    with pytest.raises(DataError, match=r"'\\ud800\.tif': not a usable path \(UnicodeEncodeError\)"):
        resolve_path("\ud800.tif", root=tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(DataError, match=r"not a usable path|no such file"):
        resolve_path("loop", root=tmp_path)


# The format is what the bytes say


def test_a_file_of_vrt_text_opens_no_other_file_and_no_connection(tmp_path: Path) -> None:
    hits: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(2)
        port = server.getsockname()[1]
        listener = threading.Thread(target=lambda: hits.append(_accept(server)))
        listener.start()
        source = f"<SourceFilename>/vsicurl/http://127.0.0.1:{port}/a.tif</SourceFilename><SourceBand>1</SourceBand>"
        band = f'<VRTRasterBand dataType="Byte" band="1"><SimpleSource>{source}</SimpleSource></VRTRasterBand>'
        (tmp_path / "a.tif").write_text(f'<VRTDataset rasterXSize="4" rasterYSize="4">{band}</VRTDataset>')
        with pytest.raises(DataError, match=r"a\.tif: not a GeoTIFF, JPEG 2000, PNG, JPEG, NPY or NPZ file \(begins with b'<VRTData'\)"):
            read(tmp_path / "a.tif", "grey_uint8")
        with socket.create_connection(("127.0.0.1", port)) as own:  # the first to come
            listener.join()
            assert hits == [own.getsockname()]


def test_the_decoder_is_pinned_besides(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_text('<VRTDataset rasterXSize="4" rasterYSize="4"><VRTRasterBand dataType="Byte" band="1"/></VRTDataset>')
    with pytest.raises(DataError, match="cannot be read as GeoTIFF"):
        GeoTiff(tmp_path / "a.tif")


def _accept(server: socket.socket) -> object:
    try:
        return server.accept()[1]
    except (TimeoutError, BlockingIOError):
        return None


def test_endings_that_lie_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.tif: holds PNG but ends in \.tif\. Rename it"):
        read(save_png(tmp_path / "a.tif"))
    with pytest.raises(DataError, match=r"a\.png: holds GeoTIFF but ends in \.png"):
        read(save_tiff(tmp_path / "a.tif").rename(tmp_path / "a.png"))
    np.save(tmp_path / "b.npy", RGB)
    with pytest.raises(DataError, match=r"b\.npz: holds NPY"):
        read((tmp_path / "b.npy").rename(tmp_path / "b.npz"))


def test_png_and_jpeg_may_bear_each_others_ending(tmp_path: Path) -> None:
    assert read(save_png(tmp_path / "a.jpg")).shape == (3, 6, 8)


@pytest.mark.parametrize("content", [b"II*", b"hello world, this is text"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.tif: not a GeoTIFF, JPEG 2000, PNG, JPEG, NPY or NPZ file"):
        read(tmp_path / "a.tif")


def test_a_video_in_place_of_an_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"\x00\x00\x00\x18ftypmp42")
    with pytest.raises(DataError, match=r"a\.mp4: a video, where an image is expected. Give it as one: --video of predict.py"):
        read(tmp_path / "a.mp4")


def test_empty_and_unreadable_files_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.tif: the file is empty; expected an image\. Copy or fetch it again"):
        read(tmp_path / "a.tif")
    if Path("/proc/self/mem").is_file():  # of which nobody may read the first bytes, not even root
        with pytest.raises(DataError, match=r"mem: cannot be read \(Input/output error\).* Correct its permissions"):
            open_layers(Path("/proc/self/mem"))


@pytest.mark.parametrize("sidecar", [".msk", ".ovr", ".aux.xml"])
def test_files_beside_an_image_open_nothing_else(tmp_path: Path, sidecar: str) -> None:
    """GDAL looks for masks, overviews and metadata beside a GeoTIFF; none may lead it to another file or the network."""
    path = save_tiff(tmp_path / "a.tif", nodata=0)
    sensor_bands = ("B04", "B08")
    good = read_scene(ImageRef("multispectral", "sentinel2_l2a", (str(path),), bands=sensor_bands)).pixels
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)  # who has connected by then waits to be accepted
        url = f"http://127.0.0.1:{server.getsockname()[1]}/a.tif"
        source = f"<SimpleSource><SourceFilename>/vsicurl/{url}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>"
        band = f'<VRTRasterBand dataType="Byte" band="1">{source}</VRTRasterBand>'
        text = f'<VRTDataset rasterXSize="64" rasterYSize="64">{band}</VRTDataset>'
        if sidecar == ".aux.xml":
            text = f'<PAMDataset><Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">WMS:{url}</MDI></Metadata></PAMDataset>'
        (tmp_path / f"a.tif{sidecar}").write_text(text)
        np.testing.assert_array_equal(read_scene(ImageRef("multispectral", "sentinel2_l2a", (str(path),), bands=sensor_bands)).pixels, good)
        assert _accept(server) is None


@pytest.mark.parametrize("transform", [(0, 0, 5, 0, 0, 5), (10, 10, 0, 10, 10, 0), (np.nan, 0, 0, 0, -10, 0), (np.inf, 0, 0, 0, -10, 0)])
def test_transforms_that_lead_nowhere_are_refused(tmp_path: Path, transform: tuple[float, ...]) -> None:
    path = save_tiff(tmp_path / "a.tif", transform=rasterio.Affine(*transform), crs="EPSG:32632")
    with pytest.raises(DataError, match=r"a\.tif: its transform \(.*\) puts all pixels on one line or nowhere"):
        read(path, "sentinel1_grd")


def test_complex_integers_are_said_so(tmp_path: Path) -> None:
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", count=1, height=4, width=4, dtype="complex_int16") as file:
        file.write(np.ones((1, 4, 4), np.complex64))
    with pytest.raises(DataError, match=r"a\.tif: complex_int16 pixels; expected real numbers.*squared magnitude"):
        read(tmp_path / "a.tif", "sentinel1_grd")


def test_near_infrared_that_is_marked_as_transparency_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for name, alpha in (("nir", rng.integers(0, 256, (1, 8, 8))), ("alpha", 255 * (rng.random((1, 8, 8)) > 0.5))):
        pixels = np.concatenate([rng.integers(0, 256, (3, 8, 8)), alpha]).astype(np.uint8)
        shape = {"count": 4, "height": 8, "width": 8, "dtype": "uint8"}
        with rasterio.open(tmp_path / f"{name}.tif", "w", driver="GTiff", **shape, photometric="RGB", alpha="yes") as file:
            file.write(pixels)
        read(tmp_path / f"{name}.tif", "rgb_uint8")
    said = capsys.readouterr().err
    assert "nir.tif: layer 4 is marked as transparency (alpha) but holds many values" in said
    assert "alpha.tif" not in said


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_radar_data_is_refused(tmp_path: Path, dtype: str) -> None:
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", count=2, height=4, width=4, dtype=dtype) as file:
        file.write(np.ones((2, 4, 4), dtype))
    with pytest.raises(DataError, match=rf"a\.tif: {dtype} pixels; expected real numbers"):
        read(tmp_path / "a.tif", "sentinel1_grd")


@pytest.mark.parametrize("size", [(1, 2), (1, 500), (500, 1)])
def test_strips_and_single_pixels_are_read_and_nothing_infinite_stays(tmp_path: Path, size: tuple[int, int]) -> None:
    pixels = np.full((2, *size), -10.0)
    pixels[0, 0, 0], pixels[1, 0, 0] = np.inf, np.nan
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", count=2, height=size[0], width=size[1], dtype="float64") as file:
        file.write(pixels)
    found = read(tmp_path / "a.tif", "sentinel1_grd")
    assert found.shape == (2, *size) and np.isnan(found[:, 0, 0]).all() and np.isfinite(found).sum() == 2 * (size[0] * size[1] - 1)


def test_fifty_thousand_pages_are_refused(tmp_path: Path) -> None:
    tags = [(256, 4, 1), (257, 4, 1), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1), (278, 4, 1), (279, 4, 1)]
    page = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    step, count = len(page) + 4, 50_000
    pages = (page + struct.pack("<I", 8 + (number + 1) * step if number < count - 1 else 0) for number in range(count))
    (tmp_path / "a.tif").write_bytes(b"II*\0" + struct.pack("<I", 8) + b"".join(pages))
    with pytest.raises(DataError, match=r"a\.tif: holds 50000 pages; expected one image"):
        read(tmp_path / "a.tif", "grey_uint8")


def test_a_crafted_file_takes_no_more_memory_than_its_budget(tmp_path: Path) -> None:
    """In a process of 4 GiB address space: sparse 60,000 x 60,000 x 13 (93.6 GB), and 10 GB of names in an NPZ of some KB."""
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", count=13, height=60_000, width=60_000, dtype="uint16", SPARSE_OK=True, tiled=True
    ):
        pass
    heads = {"pixels": ("|u1", (3, 4, 4), b"\1" * 48), "bands": ("|S1", (10**10,), b"")}
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name, (kind, shape, data) in heads.items():
            head = io.BytesIO()
            np.lib.format.write_array_header_1_0(head, {"descr": kind, "fortran_order": False, "shape": shape})
            archive.writestr(f"{name}.npy", head.getvalue() + data)
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
from eocore.data.io.readers import read_scene
from eocore.data.records import ImageRef
from eocore.errors import DataError
for name, sensor in (("a.tif", "sentinel2_l1c"), ("a.npz", "rgb_uint8")):
    try:
        read_scene(ImageRef("image", sensor, ({str(tmp_path)!r} + "/" + name,)))
    except DataError as error:
        print(error)
# not ru_maxrss: that begins at the size of the process which started this one
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
    environment = {"PYTHONPATH": str(Path(__file__).parents[4] / "projects"), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    raster, names, peak_kib = done.stdout.splitlines()
    assert "reading 60000 x 60000 px would take 280,800 MB of memory, allowed are 512 MB" in raster
    assert "'bands' is an array (10000000000,) of |S1 but 'pixels' has 3 layers" in names
    assert int(peak_kib) < 1_000_000


# Damage


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["tif", "deflate.tif", "tiled.tif", "png", "jpg", "npy", "npz"])
def test_truncated_files_are_named(tmp_path: Path, kind: str, share: float) -> None:
    path, sensor = tmp_path / f"a.{kind}", "sentinel1_grd"
    if kind.endswith("tif"):
        profile = {"tif": {}, "deflate.tif": {"compress": "deflate"}, "tiled.tif": {"tiled": True, "blockxsize": 16, "blockysize": 16}}
        save_tiff(path, **profile[kind])
    elif kind in ("png", "jpg"):
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(path)
        sensor = "rgb_uint8"
    else:
        (np.save if kind == "npy" else np.savez)(path, **{"arr" if kind == "npy" else "pixels": np.ones((2, 64, 64))})
    data = path.read_bytes()
    path.write_bytes(data[: max(int(share * len(data)), 16)])
    with pytest.raises(DataError, match=rf"a\.{kind}: cannot be read as \w+ \(.*\); it is damaged, cut short or unusual\. Copy"):
        read(path, sensor)


def test_several_pages_are_refused(tmp_path: Path) -> None:
    pages = [Image.fromarray(RGB)] * 3
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(DataError, match=r"a\.tif: holds 3 pages; expected one image, of which bands are layers"):
        read(tmp_path / "a.tif")


# Pictures


def test_pictures_of_every_mode(tmp_path: Path) -> None:
    image = Image.fromarray(RGB)
    assert (read(save_png(tmp_path / "rgb.png")) == RGB.transpose(2, 0, 1)).all()
    image.quantize(256).save(tmp_path / "p.png")
    assert (read(tmp_path / "p.png") == RGB.transpose(2, 0, 1)).all()
    image.convert("L").save(tmp_path / "l.png")
    assert (read(tmp_path / "l.png", "grey_uint8")[0] == np.asarray(image.convert("L"))).all()
    image.save(tmp_path / "a.jpg", quality=100, subsampling=0)
    assert np.abs(read(tmp_path / "a.jpg") - RGB.transpose(2, 0, 1)).max() < 12
    assert image_size(ImageRef("rgb", "rgb_uint8", (str(tmp_path / "a.jpg"),))) == (6, 8)


def test_a_picture_read_in_part(tmp_path: Path) -> None:
    path = str(save_png(tmp_path / "a.png"))
    scene = read_scene(ImageRef("rgb", "rgb_uint8", (path,)), window=(1, 2, 3, 4))
    assert (scene.pixels == RGB.transpose(2, 0, 1)[:, 1:4, 2:6]).all()


def test_transparent_pixels_are_no_data(tmp_path: Path) -> None:
    alpha = np.full((6, 8, 1), 255, np.uint8)
    alpha[2, 3], alpha[4, 4] = 0, 7
    pixels = read(save_png(tmp_path / "a.png", np.concatenate([RGB, alpha], -1)))
    assert pixels.shape == (3, 6, 8)
    assert np.argwhere(np.isnan(pixels)).tolist() == [[0, 2, 3], [1, 2, 3], [2, 2, 3]]
    grey = np.full((2, 2), 5, np.uint8)
    grey[0, 1] = 9
    Image.fromarray(grey).save(tmp_path / "key.png", transparency=9)
    np.testing.assert_array_equal(read(tmp_path / "key.png", "grey_uint8"), [[[5, np.nan], [5, 5]]])


def test_grey_is_not_taken_for_colour(tmp_path: Path) -> None:
    with pytest.raises(BandError, match=r"1 unnamed layers, but rgb_uint8 has 3 bands \(red, green, blue\)"):
        read(save_png(tmp_path / "a.png", RGB[:, :, 0]))
    with pytest.raises(BandError, match=r"3 unnamed layers, but grey_uint8 has 1|called red, green, blue"):
        read(save_png(tmp_path / "b.png"), "grey_uint8")


def test_sixteen_bits_are_kept_or_refused(tmp_path: Path) -> None:
    deep = (np.arange(48, dtype=np.uint16) * 200).reshape(6, 8)
    Image.fromarray(deep).save(tmp_path / "x_B02.png")
    scene = read_scene(ImageRef("multispectral", "sentinel2_l2a", (str(tmp_path / "x_B02.png"),), bands=("B02",)))
    np.testing.assert_allclose(np.nan_to_num(scene.pixels[0]), deep / 10_000, rtol=1e-6)
    (tmp_path / "rgb16.png").write_bytes(png_bytes(8, 6, depth=16, colour=2))
    with pytest.raises(DataError, match=r"rgb16\.png: 16-bit PNG of several channels, of which 8 bits would be lost"):
        read(tmp_path / "rgb16.png")


def png_bytes(width: int, height: int, *, depth: int = 8, colour: int = 2, data: bytes = b"") -> bytes:
    """A PNG whose header claims what it likes."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [8_001, 10_000, 60_000])
def test_pictures_that_claim_too_much_are_refused(tmp_path: Path, side: int) -> None:
    (tmp_path / "bomb.png").write_bytes(png_bytes(side, side))
    with pytest.raises(DataError, match=r"bomb\.png: .*at most 64000000 px of a PNG are decoded\. Cut it up, or use GeoTIFF"):
        read(tmp_path / "bomb.png")


def test_other_colour_modes_are_refused(tmp_path: Path) -> None:
    Image.fromarray(RGB).convert("CMYK").save(tmp_path / "a.jpg")
    with pytest.raises(DataError, match=r"a\.jpg: colour mode CMYK; expected grey, RGB or RGBA\. Convert it to RGB"):
        read(tmp_path / "a.jpg")


# Arrays


def test_arrays_are_never_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", pixels=np.array([{"a": 1}], dtype=object))
    for name in ("a.npy", "a.npz"):
        with pytest.raises(DataError, match=rf"{name}: "):
            read(tmp_path / name)


@pytest.mark.parametrize("array", [np.zeros(4), np.zeros((1, 2, 3, 4)), np.zeros((0, 2, 2)), np.array([["a"]])])
def test_arrays_of_other_shapes_and_types_are_refused(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(DataError, match=r"a\.npy: array \(.*expected numbers of shape \(bands, height, width\) or \(height, width\)"):
        read(tmp_path / "a.npy")


def test_complex_arrays_are_said_so(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 2), complex))
    with pytest.raises(DataError, match=r"a\.npy: complex128 pixels; expected real numbers"):
        read(tmp_path / "a.npy", "sentinel1_grd")


def test_npz_without_pixels_or_with_other_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", image=RGB)
    with pytest.raises(DataError, match=r"a\.npz: no array 'pixels'\. Save it with numpy\.savez"):
        read(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", pixels=RGB.transpose(2, 0, 1), bands=np.array(["red", "green"]))
    with pytest.raises(DataError, match=r"b\.npz: 'bands' is an array \(2,\) of <U5 but 'pixels' has 3 layers"):
        read(tmp_path / "b.npz")


def test_names_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """numpy makes texts of any number; what Python then does with them ended in a SystemError."""
    for name, bands in (("code", np.array([0x110000, 0x41], "<u4").view("<U1")), ("bytes", np.array([b"\xff", b"A"]))):
        np.savez(tmp_path / f"{name}.npz", pixels=np.ones((2, 4, 4), np.float32), bands=bands)
        with pytest.raises(DataError, match=rf"{name}\.npz: cannot be read as NPZ"):
            read(tmp_path / f"{name}.npz", "sentinel1_grd")
    np.savez(tmp_path / "good.npz", pixels=np.full((2, 4, 4), -12, np.float32), bands=np.array([b"VH", b"VV"]))
    assert read_scene(ImageRef("sar", "sentinel1_grd", (str(tmp_path / "good.npz"),))).bands == ("VH", "VV")


def test_a_compressed_array_that_claims_too_much_is_refused_unread(tmp_path: Path) -> None:
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": (3, 100_000, 100_000)})
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive:
        archive.writestr("pixels.npy", head.getvalue())
    with pytest.raises(DataError, match=r"bomb\.npz: reading 100000 x 100000 px would take"):
        read(tmp_path / "bomb.npz")


def test_fortran_order_and_masks_of_bool(tmp_path: Path) -> None:
    layers = RGB.transpose(2, 0, 1)
    np.save(tmp_path / "a.npy", np.asfortranarray(layers))
    assert (read(tmp_path / "a.npy") == layers).all()
    np.save(tmp_path / "m.npy", RGB[:, :, 0] > 99)
    file = open_layers(tmp_path / "m.npy")
    assert (file.read((0, 0, 6, 8))[0][0] == (RGB[:, :, 0] > 99)).all()
