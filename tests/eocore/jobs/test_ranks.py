"""Processes of torchrun: the same results as one process, nothing done twice, and an end where one of them has ended."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from ports import free_port
from works import Square, numbered

from eocore.errors import ConfigError
from eocore.jobs.engine import choose_executor, local_executor, run_job
from eocore.jobs.job_folder import RESULTS, JobFolder
from eocore.jobs.ranks import NEEDED, is_first

PROGRAM = Path(__file__).with_name("run_square_ranks.py")
NUM_ITEMS = 14


def launched(folder: Path, *words: object, count: int = 2) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "eocore.train.torchrun", "--nnodes", "1", "--nproc-per-node", str(count), "--master-addr", "127.0.0.1"]
    command += ["--master-port", str(free_port()), str(PROGRAM), str(folder / "job"), str(folder / "log"), str(NUM_ITEMS), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})


def test_two_processes_make_what_one_makes(tmp_path: Path) -> None:
    job = JobFolder(tmp_path / "own", {"work": "square"}, chunk_size=3)
    run_job(Square(tmp_path / "own_log"), numbered(NUM_ITEMS), folder=job, executor=local_executor(0))
    job.close()
    done = launched(tmp_path)
    assert done.returncode == 0 and "0 before, 14 done" in done.stdout and "rank 1 has ended" in done.stdout, done.stderr
    for path in (tmp_path / "own" / RESULTS).iterdir():
        assert (tmp_path / "job" / RESULTS / path.name).read_bytes() == path.read_bytes()
    assert set(Counter((tmp_path / "log").read_text().split()).values()) == {1}


@pytest.mark.slow
@pytest.mark.fault
def test_a_process_that_ends_ends_all_and_the_run_resumes(tmp_path: Path) -> None:
    done = launched(tmp_path, 7)
    assert done.returncode == 1 and not re.search("14 done", done.stdout)
    before = Counter((tmp_path / "log").read_text().split())
    done = launched(tmp_path)
    assert done.returncode == 0 and "14 done" in done.stdout, done.stderr
    written = {path.name for path in (tmp_path / "job" / RESULTS).iterdir()}
    assert len(written) == 5 and all(count <= 2 for count in Counter((tmp_path / "log").read_text().split()).values()) and before["7"] == 0
    again = launched(tmp_path)  # nothing is left to do, and no process waits for it
    assert again.returncode == 0 and "14 before, 14 done" in again.stdout and "rank 1 has ended" in again.stdout, again.stderr


def test_without_torchrun_the_engine_says_how_it_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NEEDED:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match=r"RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT not set, .*eocore\.train\.torchrun --nproc"):
        is_first()
    with pytest.raises(ConfigError, match=r"--engine torchrun takes one process a GPU as torchrun starts them"):
        choose_executor("torchrun", 2)
