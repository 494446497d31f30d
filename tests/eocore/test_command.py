"""How a program ends."""

import argparse
import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import forked
import pytest

from eocore.command import Command, command
from eocore.errors import DataError


def fail() -> None:
    raise DataError("a.tif is missing. Fetch it.")


def test_an_error_of_the_users_is_one_line_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(fail)() == 1
    assert capsys.readouterr().err == "DataError: a.tif is missing. Fetch it.\n"


def test_what_the_work_gives_is_the_status() -> None:
    assert command(lambda: 75)() == 75
    assert command(lambda: None)() == 0


def test_an_error_that_nobody_foresaw_is_its_trace_and_a_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(lambda: 1 // 0)() == 1
    *trace, last = capsys.readouterr().err.splitlines()
    assert trace[0] == "Traceback (most recent call last):" and trace[-2].startswith("ZeroDivisionError: ")
    assert re.match(
        r"UnforeseenError: ZeroDivisionError: .* \(test_command\.py:\d+, in <lambda>\)\. Nobody foresaw this: .* report it", last
    )


def test_a_text_of_several_lines_is_one_line_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    def mismatch() -> None:
        raise RuntimeError("sizes differ:\n\tweight: 3\n\tbias: 4")

    assert command(mismatch)() == 1
    assert (
        capsys.readouterr().err.splitlines()[-1].startswith("UnforeseenError: RuntimeError: sizes differ: weight: 3 bias: 4 (test_command")
    )


def test_a_reader_of_the_output_that_has_gone_is_no_error() -> None:
    program = "import sys; from eocore.command import command, say; sys.exit(command(lambda: any(say(n) for n in range(10**7)))())"
    words = [sys.executable, "-c", program]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


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
from eocore.command import Command, command
from eocore.errors import OutputError

@command
def main():
    raise OutputError("out: the disk is full.")

sys.exit(main())
"""


FAILING_ALONE = """
import os, sys
import eocore.command

eocore.command.LAUNCHER_NOTICES_S /= 1 if os.environ["RANK"] == "0" else 8

@eocore.command.command
def main():
    import torch.distributed
    torch.distributed.init_process_group("gloo")
    if os.environ["RANK"] == "1":
        raise RuntimeError("sizes differ")
    torch.distributed.barrier()

sys.exit(main())
"""


def test_of_several_ranks_the_one_that_failed_alone_is_read_last(tmp_path: Path) -> None:
    printed = run_on_two_ranks(tmp_path, FAILING_ALONE)
    assert printed.count("UnforeseenError: ") == 1 and "closed by peer" not in printed
    assert printed.splitlines()[-1].startswith("UnforeseenError: RuntimeError: sizes differ (failing.py")


def test_of_several_ranks_the_first_speaks_alone(tmp_path: Path) -> None:
    assert run_on_two_ranks(tmp_path, FAILING) == "OutputError: out: the disk is full.\n"


def run_on_two_ranks(folder: Path, program: str) -> str:
    """What the screen shows of a program that fails on one rank or both."""
    (folder / "failing.py").write_text(program)
    words = ["-m", "eocore.train.torchrun", "--standalone", "--nproc-per-node", "2", "--log-dir", "/dev/null", folder / "failing.py"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    done = forked.run(words, cwd=folder, environment=environment)
    assert done.returncode == 1
    return str(done.stderr)


def test_a_file_that_is_not_there_keeps_its_trace_where_no_message_was_made_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(lambda: len(Path("/nowhere/a.json").read_text()))() == 1
    *trace, last = capsys.readouterr().err.splitlines()
    assert "Traceback" in trace[0]
    assert last.startswith("UnforeseenError: FileNotFoundError: [Errno 2] No such file or directory: '/nowhere/a.json'")


def test_ctrl_c_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    assert command(interrupt)() == 130 and capsys.readouterr().err == "ended by Ctrl-C.\n"


def test_an_empty_path_is_not_the_current_folder(capsys: pytest.CaptureFixture[str]) -> None:
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        parser.add_subparsers(dest="verb").add_parser("write").add_argument("--out", type=Path)

    paths: list[Path] = []
    writer = Command(name="writer", description="Writes.", add_arguments=add_arguments, run=lambda arguments: paths.append(arguments.out))
    with pytest.raises(SystemExit):
        writer(["write", "--out", ""])
    assert "the path is empty" in capsys.readouterr().err
    assert writer(["write", "--out", "."]) == 0 and paths == [Path()]
