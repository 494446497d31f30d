import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from eocore.errors import DataError
from eocore.serve.archives import unpack
from eocore.serve.options import Limits

LIMITS = Limits(unpacked_mib=2, archive_files=5, archive_ratio=50)
PRODUCT = "LC08_L2SP_193026_20200607_20200824_02_T1"
Pack = Callable[..., Path]


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    """Writes a zip of names and contents."""

    def write(**files: bytes) -> Path:
        path = tmp_path / "sent.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(zipfile.ZipInfo(name) if not content else name, content)
        return path

    return write


def opened(archive: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "inside"
    folder.mkdir()
    found = unpack(archive, folder, limits=LIMITS)
    assert found.resolve().is_relative_to(folder.resolve())
    return found


def test_a_product_is_found_in_its_folder(pack: Pack, tmp_path: Path) -> None:
    archive = pack(**{f"{PRODUCT}/{PRODUCT}_MTL.txt": b"x", f"{PRODUCT}/{PRODUCT}_SR_B2.TIF": b"y"})
    assert opened(archive, tmp_path).name == PRODUCT


def test_one_image_is_found(pack: Pack, tmp_path: Path) -> None:
    assert opened(pack(**{"data/scene.tif": b"x", "data/readme.txt": b"y"}), tmp_path).name == "scene.tif"


@pytest.mark.parametrize(
    "name",
    ["../out.tif", "/etc/out.tif", "a/../../out.tif", "C:\\out.tif", "..\\out.tif", "a\nb.tif", "/".join("d" * 13) + "/a.tif", "x" * 2000],
)
def test_nothing_is_written_outside(pack: Pack, tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="outside of itself"):
        opened(pack(**{name: b"x"}), tmp_path)
    assert not [path for path in tmp_path.rglob("*.tif")]


def test_links_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "sent.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("scene.tif")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="a link or a special file"):
        opened(path, tmp_path)


def test_bombs_are_not_unpacked(pack: Pack, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="more than 50 to 1"):
        opened(pack(**{"scene.tif": bytes(1024**2)}), tmp_path)
    assert not list((tmp_path / "inside").iterdir())


def test_a_size_that_the_header_hides_is_counted(pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytes(range(256)) * 16_000  # 4 MB, which pack to more than a fiftieth
    archive = pack(**{"scene.tif": content})
    with pytest.raises(DataError, match=r"2 MiB that this server unpacks|more than 50 to 1"):
        opened(archive, tmp_path)
    raw = archive.read_bytes().replace(len(content).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    archive.write_bytes(raw)
    (tmp_path / "inside").rmdir()
    with pytest.raises(DataError, match=r"broken|unpacks"):
        opened(archive, tmp_path)


def test_too_many_files(pack: Pack, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds 6 files; 1 to 5"):
        opened(pack(**{f"{number}.tif": b"x" for number in range(6)}), tmp_path)


def test_names_that_differ_in_case_alone(pack: Pack, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="names a file twice"):
        opened(pack(**{"a.tif": b"x", "A.tif": b"y"}), tmp_path)


@pytest.mark.parametrize("content", [b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"PK\x03\x04" + b"\xff" * 200])
def test_a_broken_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sent.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"broken|holds 0 files"):
        opened(tmp_path / "sent.zip", tmp_path)


def test_an_archive_of_something_else(pack: Pack, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no product .* and 2 images"):
        opened(pack(**{"a.tif": b"x", "b.tif": b"y"}), tmp_path)
