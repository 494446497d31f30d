"""A job from items to results: resumed, nothing done twice, failures counted; killed at random it ends as one that was left alone."""

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from works import Square, numbered

from eocore.errors import ConfigError
from eocore.jobs.engine import JobReport, choose_executor, local_executor, run_job
from eocore.jobs.job_folder import RESULTS, JobFolder

PROGRAM = Path(__file__).with_name("run_square.py")


def run(folder: Path, work: Square, *, count: int = 10, num_workers: int = 0) -> tuple[JobReport, JobFolder]:
    job = JobFolder(folder, {"work": "square"}, chunk_size=4)
    try:
        return run_job(work, numbered(count), folder=job, executor=local_executor(num_workers)), job
    finally:
        job.close()


def done(log: Path) -> Counter[int]:
    return Counter(map(int, log.read_text().split())) if log.exists() else Counter()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_every_item_has_its_result_in_the_order_of_the_manifest(tmp_path: Path, num_workers: int) -> None:
    report, job = run(tmp_path / "job", Square(tmp_path / "log"), num_workers=num_workers)
    assert (report.num_items, report.num_before, report.num_done, report.failed) == (10, 0, 10, {})
    found = list(job.outcomes())
    assert [item.key for item, _ in found] == [f"item {number}" for number in range(10)]
    for number, (_, outcome) in enumerate(found):
        assert outcome.result is not None
        assert outcome.result["square"] == number**2
        np.testing.assert_array_equal(outcome.result["vector"], np.full(3, number**2, dtype=np.float32))


def test_a_second_call_does_nothing(tmp_path: Path) -> None:
    run(tmp_path / "job", Square(tmp_path / "log"))
    report, _ = run(tmp_path / "job", Square(tmp_path / "log"))
    assert report.num_before == report.num_done == 10
    assert set(done(tmp_path / "log").values()) == {1}


def test_a_failing_item_is_told_and_stops_no_other_and_is_tried_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report, job = run(tmp_path / "job", Square(tmp_path / "log", broken=(1, 9)))
    assert report.failed == {"item 1": "1 is refused", "item 9": "9 is refused"}
    assert "2 of 10 items failed (item 1: 1 is refused; item 9: 9 is refused)" in capsys.readouterr().err
    assert [item.key for item, outcome in job.outcomes() if outcome.result is None] == ["item 1", "item 9"]
    report, job = run(tmp_path / "job", Square(tmp_path / "log"))
    assert (report.num_before, report.failed) == (8, {})
    assert set(done(tmp_path / "log").values()) == {1}
    assert all(outcome.result is not None for _, outcome in job.outcomes())


def kill_at_random(folder: Path, log: Path, *, seed: int, count: int = 60) -> int:
    """Starts the job again and again, each time killed a little later, until one ends; returns how many were killed."""
    draw, kills = random.Random(seed), 0
    while True:
        known = {path.name for path in (folder / RESULTS).glob("*.safetensors")}
        before = done(log)
        process = subprocess.Popen([sys.executable, str(PROGRAM), str(folder), str(log), str(count), "2"], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while kills < 10 and process.poll() is None and time.monotonic() < deadline:
            if len(list((folder / RESULTS).glob("*.safetensors"))) > len(known):
                time.sleep(draw.uniform(0, 0.03))
                break
            time.sleep(0.002)
        if kills < 10 and process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait(timeout=120)
        again = done(log) - before
        recorded = {int(name.split(".")[0]) * 3 + place for name in known for place in range(3)}
        assert not recorded & set(again), "what had a result was done again"
        if process.returncode == 0:
            return kills
        assert process.returncode == -signal.SIGKILL
        kills += 1


@pytest.mark.fault
def test_killed_at_random_ten_times_it_ends_as_undisturbed(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(PROGRAM), str(tmp_path / "whole"), str(tmp_path / "whole_log"), "60", "2"], check=True)
    assert kill_at_random(tmp_path / "job", tmp_path / "log", seed=1) >= 5
    for name in ("job.json", "items.jsonl", *(f"{RESULTS}/{index:08d}.safetensors" for index in range(20))):
        assert (tmp_path / "job" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


@pytest.mark.parametrize(
    ("engine", "options", "message"),
    [
        ("slurm", {}, "engine 'slurm' is unknown; choices: processes, torchrun, ray"),
        ("processes", {"address": "auto"}, "--address and --gpus-per-worker are of a Ray cluster"),
        ("ray", {}, "--engine ray needs --workers"),
    ],
)
def test_engines_that_make_no_sense_are_refused(engine: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        choose_executor(engine, 0, **options)
