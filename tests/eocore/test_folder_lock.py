"""A folder is held by one process at a time, and free again when that process is done or dead."""

import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from eocore.folder_lock import FolderLock


def test_a_second_holder_is_told_who_holds_the_folder(tmp_path: Path) -> None:
    first, second = (FolderLock(tmp_path / "new" / "folder") for _ in range(2))
    assert first.take(wait_s=0) is None and first.held
    assert str(second.take(wait_s=0)).startswith(f"process {os.getpid()} on ") and not second.held
    first.release()
    assert second.take(wait_s=0) is None and not first.held
    second.release()


def test_a_killed_holder_lets_go(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        FolderLock(tmp_path).take()
        time.sleep(60)
        os._exit(0)
    while not (tmp_path / ".lock").exists() or not (tmp_path / ".lock").read_text():
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    lock = FolderLock(tmp_path)
    assert lock.take(wait_s=1) is None
    lock.release()


def test_a_folder_that_its_holder_deletes_is_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    first, second = FolderLock(folder), FolderLock(folder)
    first.take(wait_s=0)

    def delete() -> None:
        shutil.rmtree(folder)
        first.release()

    threading.Timer(0.2, delete).start()
    assert second.take(wait_s=10) is None and (folder / ".lock").is_file()
    assert FolderLock(folder).take(wait_s=0) is not None
    second.release()


def test_a_folder_that_cannot_be_made_is_the_systems_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        FolderLock(tmp_path / "file" / "folder").take(wait_s=0)
