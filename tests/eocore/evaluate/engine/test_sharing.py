"""One run at a time writes into a folder of results."""

import os
from pathlib import Path

import pytest

from eocore.distributed import Ranks
from eocore.errors import DataError, OutputError
from eocore.evaluate.engine.sharing import held


def test_a_second_run_is_refused_and_told_which_one_continues(tmp_path: Path) -> None:
    with held(tmp_path / "out", Ranks()):
        told = rf"out is in use by process {os.getpid()} on .*; two runs in one folder would .* give another folder with --out"
        with pytest.raises(DataError, match=told), held(tmp_path / "out", Ranks(), wait_s=0):
            pass
    with held(tmp_path / "out", Ranks(), wait_s=0):
        pass


def test_the_folder_is_free_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="broken"), held(tmp_path, Ranks()):
        raise ValueError("broken")
    with held(tmp_path, Ranks(), wait_s=0):
        pass


def test_a_file_in_the_place_of_the_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    told = "out: results cannot be written: a file is in the place of a folder"
    with pytest.raises(OutputError, match=told), held(tmp_path / "out", Ranks()):
        pass
