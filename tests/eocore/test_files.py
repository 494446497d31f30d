"""Files that appear whole or not at all, and the one error where the disk is full or may not be written to."""

import errno
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from eocore.errors import DataError, OutputError
from eocore.files import (
    grant_default_mode,
    keeping,
    output_errno,
    require_space,
    require_writable,
    require_writable_file,
    write_file,
    writing,
)
from eocore.predict.mask_files import write_mask_tif
from eocore.sensors.scene import Georeference


def test_a_file_appears_whole_with_its_folder_and_nothing_beside_it(tmp_path: Path) -> None:
    write_file(tmp_path / "a" / "b.json", b"old")
    write_file(tmp_path / "a" / "b.json", "neü")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.json"]
    assert (tmp_path / "a" / "b.json").read_text(encoding="utf-8") == "neü"


def test_what_cannot_be_written_leaves_the_file_before(tmp_path: Path, limit_file_size: Callable[[int | None], None]) -> None:
    write_file(tmp_path / "b.json", "old")
    limit_file_size(1000)
    with pytest.raises(
        OutputError, match=r"b.json: the file cannot be written: the file would exceed the allowed size \(5.0 kB needed\). What was there"
    ):
        write_file(tmp_path / "b.json", "n" * 5000)
    limit_file_size(None)
    assert [path.name for path in tmp_path.iterdir()] == ["b.json"] and (tmp_path / "b.json").read_text() == "old"


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match=r"out/a.json: the file cannot be written: a file is in the place of a folder\. .* Correct it"):
        write_file(tmp_path / "out" / "a.json", "{}")
    assert (tmp_path / "out").read_text() == "mine"


def test_a_folder_that_takes_no_file_is_told_before_the_work(tmp_path: Path) -> None:
    require_writable(tmp_path / "new" / "deep", "the report")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").write_text("mine")
    for folder in (tmp_path / "out", tmp_path / "out" / "deep"):
        with pytest.raises(OutputError, match=rf"{folder}: the report cannot be written: a file is in .*\. Nothing was done yet"):
            require_writable(folder, "the report")
    with pytest.raises(OutputError, match=r"/proc/x: the report cannot be written: permission is denied"):
        require_writable(Path("/proc/x"), "the report")


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "the disk quota is used up"), (errno.EROFS, "the file system is read-only")],
)
def test_each_reason_is_said_with_what_follows(tmp_path: Path, number: int, said: str) -> None:
    with (
        pytest.raises(OutputError, match=rf"{tmp_path}: weights cannot be written: {said}.* No model was written\. "),
        writing(tmp_path, "weights", follows="No model was written."),
    ):
        raise OSError(number, os.strerror(number))


def _save_stream(path: Path) -> None:
    with path.open("wb") as stream:
        torch.save({"a": torch.zeros(5000)}, stream)


@pytest.mark.parametrize("save", ["safetensors", "pillow", "gdal", "torch"])
def test_libraries_say_it_in_their_own_classes(tmp_path: Path, limit_file_size: Callable[[int | None], None], save: str) -> None:
    noise = np.random.default_rng(0).random((256, 256)) < 0.5
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    savers: dict[str, Callable[[], object]] = {
        "safetensors": lambda: save_file({"a": torch.zeros(5000)}, tmp_path / "a"),
        "gdal": lambda: write_mask_tif(
            tmp_path / "a.tif", noise, georeference=Georeference("EPSG:32632", (10.0, 0.0, 0.0, 0.0, -10.0, 0.0))
        ),
        "torch": lambda: _save_stream(tmp_path / "a.pth"),
        "pillow": lambda: picture.save(tmp_path / "a.png"),
    }
    limit_file_size(2000)
    with (
        pytest.raises(OutputError, match="cannot be written: the file would exceed"),
        writing(tmp_path, "results"),
    ):
        savers[save]()


def test_other_errors_pass_unchanged(tmp_path: Path) -> None:
    for error in (FileNotFoundError(errno.ENOENT, "no such file"), ValueError("a shape"), DataError("a line")):
        assert output_errno(error) is None
        with pytest.raises(type(error)), writing(tmp_path, "results"):
            raise error


def test_a_folder_that_cannot_be_made_is_no_missing_input(tmp_path: Path) -> None:
    out = tmp_path / "gone" / "results"
    for name in (tmp_path / "gone", out / "a.png"):
        with (
            pytest.raises(OutputError, match=r"results cannot be written: its folder cannot be made there, or has gone\."),
            writing(out, "results"),
        ):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(name))
    with pytest.raises(FileNotFoundError), writing(out, "results"):
        (tmp_path / "input.json").read_text()


def test_a_long_block_knows_a_full_disk_and_its_own_folder(tmp_path: Path) -> None:
    full = r"a file of the run cannot be written: the disk is full .*Continue with --resume\."
    with pytest.raises(OutputError, match=full), keeping(tmp_path, "a file of the run", follows="Continue with --resume."):
        Path("/dev/full").write_text("scalars")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="a file is in the place of a folder"), keeping(tmp_path, "a file of the run", follows=""):
        (tmp_path / "file" / "inner").write_text("scalars")
    with pytest.raises(NotADirectoryError), keeping(tmp_path / "run", "a file of the run", follows=""):
        (tmp_path / "file" / "inner").read_text()  # of the data, which the run reads
    with pytest.raises(DataError), keeping(tmp_path, "a file of the run", follows=""):
        raise DataError("a.tif: No space left on device")


def test_too_little_space_is_said_before_anything_is_written(tmp_path: Path) -> None:
    require_space(tmp_path / "new" / "folder", "weights", needed=1)
    with pytest.raises(
        OutputError, match=r"new: weights cannot be written: the disk is full \(.* free, 1000000.0 TB needed\)\. What was there"
    ):
        require_space(tmp_path / "new", "weights", needed=10**18)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    if (
        mount is None
        or subprocess.run([mount, "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], capture_output=True, check=False).returncode
    ):
        pytest.skip("needs the right to mount a small disk")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    write_file(small_disk / "old.json", "old")
    with pytest.raises(OutputError, match=r"new.bin: the file cannot be written: the disk is full \(\d+.\d kB free, 100.0 kB needed\)"):
        write_file(small_disk / "new.bin", b"n" * 100_000)
    assert [path.name for path in small_disk.iterdir()] == ["old.json"]


def test_files_of_libraries_get_the_permissions_of_any_new_file(tmp_path: Path, default_mode: int) -> None:
    paths = [tmp_path / "a.safetensors", tmp_path / "b.part"]
    save_file({"a": torch.zeros(1)}, paths[0])
    paths[1].touch(mode=0o600)
    grant_default_mode(*paths)
    assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [default_mode] * 2
    assert sorted(tmp_path.iterdir()) == paths, "nothing is left beside them"
    grant_default_mode()


def test_a_file_that_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    require_writable_file(tmp_path / "new" / "plan.json", "the plan")
    assert not list(tmp_path.iterdir())
    with pytest.raises(OutputError, match="it is a folder"):
        require_writable_file(tmp_path, "the plan")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="Nothing was done yet"):
        require_writable_file(tmp_path / "file" / "plan.json", "the plan")
