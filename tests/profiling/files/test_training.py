"""A training from files: what is counted is what the loop did, and rows are those of the real run in a process of its own."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from profiling.files.page_cache import possible_states
from profiling.files.training import Spent, TimedTraining, TrainingPlan, measure_training

from .conftest import CONFIG


@pytest.fixture(autouse=True)
def _kept_environment() -> Iterator[None]:
    with mock.patch.dict(os.environ):
        yield


def plan(small: dict[str, Any], **choices: Any) -> TrainingPlan:
    return TrainingPlan(config=str(CONFIG), options=small, **{"steps": 2, "turns": 1, "warm_up": 1, **choices})


def test_times_and_samples_are_those_of_the_loop(world: Path, small: dict[str, Any], tmp_path: Path) -> None:
    training = TimedTraining(plan(small, turns=2), 0, folder=tmp_path)
    before = [parameter.detach().clone() for parameter in training.runner.model.parameters()]
    spent = training.measure()
    assert tuple(spent) == possible_states(training.paths)
    assert training.loop.iter == 1 + len(spent) * 2 * (1 + 2)  # warm-up; turns, each of an update before two that are timed
    for found in spent.values():
        assert found.samples == 2 * 2 * 2
        assert found.computing > 0 and found.waiting > 0
        assert found.computing + found.waiting < found.wall
    assert any((old != new).any() for old, new in zip(before, training.runner.model.parameters(), strict=True))  # it does train


def test_a_row_states_shares_of_the_wall_time() -> None:
    row = Spent(wall=4.0, computing=3.0, waiting=0.5, samples=6).row("it")
    assert row == {
        "what": "it",
        "samples/s": 1.5,
        "computes %": 75.0,
        "waits for files %": 12.5,
        "computing ms a sample": 500.0,
        "samples": 6.0,
    }


@pytest.mark.slow
def test_loader_processes_prepare_while_the_model_computes(world: Path, small: dict[str, Any]) -> None:
    rows = measure_training(plan(small), [0, 2])
    assert {str(row["what"]).rpartition(", ")[0] for row in rows} == {f"training, {number} loader processes" for number in (0, 2)}
    assert all(float(row["samples"]) == 2 * 2 and float(row["samples/s"]) > 0 for row in rows)
    assert float(rows[0]["waits for files %"]) > float(rows[-1]["waits for files %"])
