"""Answers from files: every question asked once a turn through the engine, the model's time told apart from the rest."""

from pathlib import Path
from typing import Any

import pytest

from eocore.config import load_config
from profiling.files.evaluation import measure_evaluation

from .conftest import CONFIG


def test_answers_of_weights_at_the_start(world: Path, small: dict[str, Any]) -> None:
    config = load_config(CONFIG, small)
    rows = measure_evaluation(config, None, num_samples=17, turns=1)
    assert rows[0]["what"] == "evaluation, weights at the start, warm"
    for row in rows:
        assert row["samples"] == 2 * 8  # two sets of four batches of two questions
        assert float(row["samples/s"]) > 0
        assert float(row["computes %"]) + float(row["waits for files %"]) == pytest.approx(100)
        assert 0 < float(row["computes %"]) < 100
