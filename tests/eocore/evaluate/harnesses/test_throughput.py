"""Timing of batches."""

from pathlib import Path

import numpy as np
import pytest

from eocore.errors import ConfigError
from eocore.evaluate.benchmarks.loading import load_benchmarks
from eocore.evaluate.engine.predicting import image_key
from eocore.evaluate.harnesses import throughput
from eocore.evaluate.harnesses.throughput import ThroughputOptions, measure_throughput
from eocore.synthetic.test_sets.images import make_scenes
from eocore.synthetic.test_sets.pictures import write_karpathy

CALL_S = 0.2
"""Of a clock that stands still otherwise: how long images are read on a busy machine must not count."""


class Said:
    def __init__(self, text: str) -> None:
        self.text, self.masks = text, np.zeros((0, 1, 1), bool)


class Clock:
    seconds = 0.0

    def perf_counter(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(throughput, "time", made)
    return made


def said(samples):
    return [Said(record.sample_id) for record, _ in samples]


@pytest.fixture
def source(tmp_path: Path):
    write_karpathy(
        tmp_path / "UCM_captions/dataset.json", tmp_path / "UCM_captions/imgs", scenes=make_scenes(4, size=48, seed=0), suffix=".tif"
    )
    return load_benchmarks()["ucm_captions"](data_root=str(tmp_path))


def test_what_costs_by_the_call_is_so_many_times_as_fast(source, clock: Clock) -> None:
    def slow(samples):
        """Takes the same time for any batch."""
        clock.seconds += CALL_S
        return said(samples)

    found = measure_throughput(source, slow, options=ThroughputOptions(batch_sizes=[4], num_samples=8, turns=1))
    assert found.ratio(4) == pytest.approx(4)
    assert found.rates[1] == pytest.approx(1 / CALL_S)
    assert found.same_texts == 1


def test_other_texts_in_batches_are_told(source) -> None:
    options = ThroughputOptions(batch_sizes=[4], num_samples=8, turns=1)
    found = measure_throughput(source, lambda samples: [Said(str(len(samples)))] * len(samples), options=options)
    assert found.same_texts == 0


def test_impossible_choices_are_refused(source) -> None:
    with pytest.raises(ConfigError, match="all must be at least 1"):
        measure_throughput(source, said, options=ThroughputOptions(batch_sizes=[0], num_samples=8))


def test_different_images_are_the_first_question_about_each(source) -> None:
    asked: list[str] = []

    def answer(samples):
        asked.extend(image_key(record) for record, _ in samples)
        return [Said(record.sample_id) for record, _ in samples]

    found = measure_throughput(source, answer, options=ThroughputOptions(batch_sizes=[2], num_samples=4, different_images=True, turns=1))
    assert found.num_images == len(set(asked)) == min(4, len({image_key(record) for record in source.records}))
    found = measure_throughput(source, answer, options=ThroughputOptions(batch_sizes=[2], num_samples=4, turns=1))
    assert found.num_images == len({image_key(record) for record in source.records[:4]})
