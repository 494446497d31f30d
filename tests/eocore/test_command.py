"""How a program ends."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from eocore.command import command
from eocore.errors import DataError


def fail() -> None:
    raise DataError("a.tif is missing. Fetch it.")


def test_an_error_of_the_users_is_one_line_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(fail)() == 1
    assert capsys.readouterr().err == "DataError: a.tif is missing. Fetch it.\n"


def test_what_the_work_gives_is_the_status() -> None:
    assert command(lambda: 75)() == 75
    assert command(lambda: None)() == 0


def test_other_errors_are_defects_and_pass() -> None:
    with pytest.raises(ZeroDivisionError):
        command(lambda: 1 // 0)()


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, r"OutputError: /proc/a.json: the disk is full \(.* free\)\. Free space or choose a folder on another disk"),
        (errno.EACCES, r"OutputError: /proc/a.json: permission is denied\. Correct it or choose another folder"),
    ],
)
def test_a_disk_that_cannot_be_written_to_is_one_line_too(capsys: pytest.CaptureFixture[str], number: int, said: str) -> None:
    def write() -> None:
        raise OSError(number, os.strerror(number), "/proc/a.json")

    assert command(write)() == 1
    assert re.fullmatch(said + r", then run the same command again\.\n", capsys.readouterr().err)


FAILING = """
import os, sys
from eocore.command import command
from eocore.errors import OutputError

@command
def main():
    raise OutputError("out: the disk is full.")

sys.exit(main())
"""


def test_of_several_ranks_the_first_speaks_alone(tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text(FAILING)
    words = [sys.executable, "-m", "eocore.train.torchrun", "--standalone", "--nproc-per-node", "2", "--log-dir", "/dev/null"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command_line = [*words, str(tmp_path / "failing.py")]
    done = subprocess.run(command_line, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (1, "OutputError: out: the disk is full.\n")


def test_a_file_that_is_not_there_is_a_defect_where_no_message_was_made_of_it() -> None:
    with pytest.raises(FileNotFoundError):
        command(lambda: open("/nowhere/a.json"))()  # type: ignore[arg-type,return-value]  # noqa: SIM115


def test_ctrl_c_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    assert command(interrupt)() == 130 and capsys.readouterr().err == "ended by Ctrl-C.\n"
