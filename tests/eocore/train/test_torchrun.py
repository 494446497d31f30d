"""What is on the screen after torchrun's processes: their own words, and a line on those that could not say any."""

import os
import sys
from pathlib import Path

import forked
import pytest
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

from eocore.train.torchrun import describe_deaths

PROGRAM = """
import os, signal, sys, time
if os.environ["RANK"] == "1":
    print("rank 1: DataError: a.tif: no such file.", file=sys.stderr, flush=True)
    if sys.argv[1] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if sys.argv[1] == "stop":
        os.kill(os.getppid(), signal.SIGINT)
        time.sleep(60)
    sys.exit(int(sys.argv[1]))
time.sleep(60)
"""


def start(tmp_path: Path, word: str) -> tuple[int, list[str]]:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = ["-m", "eocore.train.torchrun", "--standalone", "--nproc-per-node", "2", "--log-dir", "/dev/null", program, word]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    done = forked.run(command, cwd=tmp_path, environment=environment)
    return done.returncode, (done.stdout + done.stderr).splitlines()


def test_the_words_of_the_rank_that_failed_are_the_last(tmp_path: Path) -> None:
    assert start(tmp_path, "1") == (1, ["rank 1: DataError: a.tif: no such file."])


def test_a_killed_rank_is_named(tmp_path: Path) -> None:
    status, lines = start(tmp_path, "kill")
    assert status == 1 and lines[-1].startswith("Ended by a signal: rank 1 (process ") and "by SIGKILL" in lines[-1]
    assert "out of memory: see dmesg" in lines[-1] and len(lines) == 2


def test_a_stop_promises_no_status_of_what_had_not_begun(tmp_path: Path) -> None:
    status, lines = start(tmp_path, "stop")
    assert status == 1 and lines[-1].startswith("torchrun was told to stop (SIGINT) and has passed it on.")
    assert lines[-1].endswith("a training that had begun also left status.json in its folder.")


@pytest.mark.parametrize(
    ("codes", "told"),
    [
        ({0: 1, 1: -15}, ""),
        ({0: -15, 1: -11}, "rank 1 (process 11) by SIGSEGV"),
        ({0: -9, 1: -15}, "rank 0 (process 10) by SIGKILL"),
        ({0: 75, 1: 75}, ""),
    ],
)
def test_what_torchrun_itself_ended_is_not_told(codes: dict[int, int], told: str) -> None:
    """The first in the list failed first."""
    failures = {}
    for rank, code in sorted(codes.items(), key=lambda item: item[1] in (-15,)):
        failures[rank] = ProcessFailure(local_rank=rank, pid=10 + rank, exitcode=code, error_file="<none>")
        failures[rank].timestamp = len(failures)
    found = describe_deaths(failures)
    assert (told in found and found.count("process") == 1) if told else not found
