"""Hangs and deaths end on all ranks, named and with stacks (R7, R8, R9): two gloo ranks, faults on one of them."""

import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from eocore.train.work_dir import read_status

TIMEOUT_S = 15
"""Of collectives; two ranks of a busy machine may start so far apart."""
HANG_S = 40
"""Longer than the start of a rank takes on a busy machine."""
SLACK_S = 30
"""The five seconds that ending may take, on a busy machine. Start-up is not counted: the imports of the first test may take a minute."""


def run(
    faulty: ModuleType, tmp_path: Path, fault: dict[str, Any], task: dict[str, Any] | None = None, **training: Any
) -> tuple[list[Any], float]:
    """The ranks, and the seconds from the fault to the end of the last of them."""
    struck = tmp_path / "struck"
    config = faulty.make_config({"faults": [fault | {"marker": str(struck)}], **(task or {})}, **{"timeout_s": TIMEOUT_S} | training)
    ranks = faulty.run_ranks(config, tmp_path / "run", timeout_s=300)
    return ranks, time.time() - struck.stat().st_mtime


def stacks(tmp_path: Path, rank: int) -> str:
    return (tmp_path / "run" / "stacks" / f"rank_{rank:05d}.txt").read_text()


@pytest.mark.fault
def test_a_rank_that_sleeps_is_named_with_everyone_s_stacks(faulty: ModuleType, tmp_path: Path) -> None:
    ranks, seconds = run(faulty, tmp_path, {"kind": "hang", "rank": 1, "step": 4})
    assert [rank.code for rank in ranks] == [1, 1] and seconds < TIMEOUT_S + SLACK_S
    status = read_status(tmp_path / "run")
    assert (status["state"], status["step"], status["checkpoint"]) == ("failed", 3, "iter_000003")
    assert "rank 0: RuntimeError" in status["reason"] and "imed out" in status["reason"]
    assert "rank 0: step 4, waiting for the other ranks after the forward pass" in status["reason"]
    assert "rank 1: step 4, forward pass" in status["reason"], "who is late, and at what"
    assert "in strike" in stacks(tmp_path, 1), "where rank 1 slept"
    assert "in train_step" in ranks[0].text, "the traceback of the rank that waited"
    assert "Thread" in stacks(tmp_path, 0)


@pytest.mark.fault
def test_a_training_without_a_sign_of_life_ends_before_its_collectives_do(faulty: ModuleType, tmp_path: Path) -> None:
    ranks, seconds = run(faulty, tmp_path, {"kind": "hang", "rank": 1, "step": 4}, timeout_s=300, hang_timeout_s=HANG_S)
    assert [rank.code for rank in ranks] == [1, 1] and seconds < HANG_S + SLACK_S
    assert "no sign of life for" in read_status(tmp_path / "run")["reason"]
    assert "in strike" in stacks(tmp_path, 1)


@pytest.mark.fault
@pytest.mark.parametrize(
    ("kind", "code", "told"),
    [("kill", -9, "SILENT since"), ("exit", 3, "SILENT since"), ("raise", 1, "rank 1: ValueError: raised on purpose")],
)
def test_the_death_of_a_rank_ends_all(faulty: ModuleType, tmp_path: Path, kind: str, code: int, told: str) -> None:
    ranks, seconds = run(faulty, tmp_path, {"kind": kind, "rank": 1, "step": 4})
    assert (ranks[0].code, ranks[1].code) == (1, code) and seconds < TIMEOUT_S + SLACK_S
    status = read_status(tmp_path / "run")
    assert status["state"] == "failed" and told in status["reason"], status["reason"]
    if kind == "raise":
        assert "Traceback" in ranks[1].text and "raised on purpose" in ranks[1].text


@pytest.mark.fault
@pytest.mark.parametrize(
    ("kind", "told"), [("hang", "timed out after 5 seconds"), ("segfault", "Segmentation fault"), ("kill", "killed by signal: Killed")]
)
def test_a_sample_that_hangs_or_kills_its_process_is_named(faulty: ModuleType, tmp_path: Path, kind: str, told: str) -> None:
    ranks, _ = run(faulty, tmp_path, {"kind": kind, "index": 17}, {"num_workers": 1}, loader_timeout_s=5, timeout_s=60, max_iters=40)
    assert all(rank.code for rank in ranks)
    reason = read_status(tmp_path / "run")["reason"]
    assert told in reason and "dataset 'numbers', index 17, sample 'n17' (numbers.json#17)" in reason, reason
    assert "This is the loader of rank" in reason and "continue with --resume" in reason


@pytest.mark.fault
def test_a_sample_that_hangs_in_the_process_of_a_rank_is_named(faulty: ModuleType, tmp_path: Path) -> None:
    ranks, _ = run(faulty, tmp_path, {"kind": "hang", "index": 17}, timeout_s=300, hang_timeout_s=HANG_S, max_iters=40)
    assert [rank.code for rank in ranks] == [1, 1]
    assert any("waiting for a batch" in rank.text and "index 17" in rank.text for rank in ranks)
