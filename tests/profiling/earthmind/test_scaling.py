"""Scaling: real processes, the real engine."""

from typing import Any

import pytest

from eocore.errors import EOError
from profiling.earthmind.scaling import measure_scaling


@pytest.mark.slow
def test_two_ranks_train_and_are_compared_with_one(settings: dict[str, Any]) -> None:
    one, two = measure_scaling(settings, [1, 2], name="vqa", repeats=1)
    assert (one["ranks"], two["ranks"], one["efficiency %"]) == ("1", "2", 100.0)
    assert float(two["samples/s"]) > 0 and 0 < float(two["efficiency %"]) < 400


@pytest.mark.slow
def test_a_run_that_fails_says_why(settings: dict[str, Any]) -> None:
    with pytest.raises(EOError, match=r"a run on 1 ranks ended with 1: .*no DeepSpeed configuration 'nothing'"):
        measure_scaling(settings, [1], name="vqa", zero="nothing", repeats=1)
