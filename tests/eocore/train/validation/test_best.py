"""Which result is the best, and when there is none any more."""

import logging
import math
from typing import Any

import pytest

from eocore.errors import ConfigError
from eocore.log import get_logger
from eocore.train.validation.best import BestResult
from eocore.train.validation.options import ValidationOptions


def result(**options: Any) -> BestResult:
    return BestResult(ValidationOptions(every=1, data={"type": "x"}, **{"best": "loss", **options}), "key")


def test_the_lowest_loss_is_the_best_and_an_equal_one_is_not_better() -> None:
    best = result(patience=2)
    assert [best.see(step, {"loss": loss}) for step, loss in enumerate([3.0, 2.0, 2.0, 1.0], start=1)] == [True, True, False, True]
    assert (best.step, best.value, best.waited, best.ended) == (4, 1.0, 0, "")


def test_the_highest_measure_is_the_best() -> None:
    best = result(best="fused/mcq/accuracy")
    assert [best.see(step, {"fused/mcq/accuracy": value}) for step, value in enumerate([0.5, 0.4, 0.6])] == [True, False, True]


def test_a_value_that_is_not_finite_is_never_the_best() -> None:
    best = result(patience=1)
    assert not best.see(1, {"loss": math.nan})
    assert best.ended == "stopped early: loss was not better in 1 validations in a row; no value was finite"
    assert best.see(2, {"loss": 5.0}) and not best.see(3, {"loss": math.nan}) and best.value == 5.0


def test_patience_counts_validations_in_a_row() -> None:
    best = result(patience=2)
    for step, loss in enumerate([1.0, 2.0, 0.5, 0.6], start=1):
        best.see(step, {"loss": loss})
    assert best.ended == ""
    best.see(5, {"loss": 0.5})
    assert best.ended == "stopped early: loss was not better in 2 validations in a row; the best is 0.5, after step 3"


def test_without_a_best_nothing_ends() -> None:
    best = result(best=None)
    assert not best.see(3, {"loss": 1.0}) and best.validated == 3 and best.ended == ""


def test_a_result_that_does_not_come_is_an_error() -> None:
    with pytest.raises(
        ConfigError, match=r"best is 'loss_mask', which is not among the results of this validation.*Results: loss, loss_text"
    ):
        result(best="loss_mask").see(1, {"loss": 1.0, "loss_text": 1.0})


def test_a_resumed_run_knows_it(caplog: pytest.LogCaptureFixture) -> None:
    first, second = result(patience=3), result(patience=3)
    for step, loss in enumerate([1.0, 2.0], start=1):
        first.see(step, {"loss": loss})
    second.restore(first.state())
    assert second == first and second.waited == 1
    second.restore(None)
    assert second == first
    other = result()
    other.key = "of other data"
    get_logger().addHandler(caplog.handler)
    with caplog.at_level(logging.WARNING):
        other.restore(first.state())
    get_logger().removeHandler(caplog.handler)
    assert other.value is None and "its best value is not compared with those to come" in caplog.text
