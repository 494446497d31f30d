"""Worker processes: one that ends costs one item, one that hangs is ended, work that cannot be loaded stops the job."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from works import CannotBeLoaded, Hangs, Square, numbered

from eocore.errors import UnforeseenError
from eocore.jobs import ledger
from eocore.jobs.processes import WorkerProcesses
from eocore.jobs.work import Chunk, Outcome, Work


def run(work: Work, *, count: int = 6, **options: float) -> dict[str, Outcome]:
    items = numbered(count)
    chunks = [Chunk(index, tuple(items[start : start + 3])) for index, start in enumerate(range(0, count, 3))]
    executor = WorkerProcesses(2, attempts=2, timeout_s=options.get("timeout_s"))
    return {outcome.key: outcome for _, outcomes in executor.run(work, chunks) for outcome in outcomes}


def test_an_item_that_ends_its_process_is_the_only_one_lost(tmp_path: Path) -> None:
    found = run(Square(tmp_path / "log", deadly=(4,)))
    assert [key for key, outcome in found.items() if outcome.result is None] == ["item 4"]
    assert found["item 4"].error == "its process ended with signal 9 (SIGKILL): perhaps out of memory, 2 times"


def test_an_item_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    found = run(Hangs(), count=3, timeout_s=4.0)
    assert [key for key, outcome in found.items() if outcome.result is None] == ["item 1"]
    assert found["item 1"].error == "its process took longer than 4 s and was ended, 2 times"


def test_work_that_no_process_can_load_stops_the_job() -> None:
    with pytest.raises(UnforeseenError, match=r"worker processes cannot load the work: no such model\. Nothing was lost"):
        run(CannotBeLoaded())


def test_processes_that_end_whatever_they_get_stop_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MOST_DEATHS", 3)
    with pytest.raises(UnforeseenError, match="3 worker processes ended one after the other without a result"):
        run(Square(tmp_path / "log", deadly=tuple(range(6))))


def test_workers_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    program = Path(__file__).with_name("run_square.py")
    process = subprocess.Popen([sys.executable, str(program), str(tmp_path / "job"), str(tmp_path / "log"), "100000", "1"])
    deadline = time.monotonic() + 60
    while not (tmp_path / "log").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    time.sleep(0.5)
    before = (tmp_path / "log").read_text()
    time.sleep(1.0)
    assert before
    assert (tmp_path / "log").read_text() == before
