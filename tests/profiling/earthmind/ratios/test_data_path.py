"""Ratios of the data path at sizes of a moment: both sides do the same, and the needed one is the smaller where that can be told."""

from pathlib import Path

import pytest
import torch

from profiling.earthmind.ratios.data_path import PlaceholderIds, SamplePreparation, WorkerMemory
from profiling.earthmind.ratios.model_build import ModelBuild
from profiling.ratios.ratio import Effort, difference, load_ratios

QUICK = Effort(repeats=1, warm_up=0)


def test_they_are_found_by_their_ids() -> None:
    assert {"G11", "G12", "G14", "G15"} <= set(load_ratios("earthmind"))


def test_placeholders_have_the_same_ids() -> None:
    ratio = PlaceholderIds(tiles=3)
    reference, ours = ratio.prepare("reference"), ratio.prepare("ours")
    first = reference()
    assert torch.equal(first, ours()) and difference(first, first) == 0.0
    assert len(first) == 3 * 256 + 2


def test_samples_are_prepared_with_and_without_masks() -> None:
    readings = SamplePreparation(side=224).measure(QUICK)
    assert [reading.quantity for reading in readings] == ["time, masks", "time, no masks"]
    assert all(reading.reached > 0 for reading in readings)


@pytest.mark.slow
def test_prompts_that_are_written_back_take_memory_and_others_do_not() -> None:
    (reading,) = WorkerMemory(samples=1000, settled=2000, tiles=13).measure(QUICK)
    assert reading.reference > 20_000 > 4 * reading.ours


def test_a_model_is_read_as_it_was_saved(our_folder: Path) -> None:
    ratio = ModelBuild(folder=str(our_folder))
    assert difference(ratio.prepare("reference")(), ratio.prepare("ours")()) <= ratio.tolerance
