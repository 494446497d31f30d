"""The frame: figures are what was measured, two sides that differ are refused, the side of another process is that side."""

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import forked
import pytest
import torch

from eocore.errors import ConfigError, EOError
from eocore.registry import RATIOS
from profiling.measures import timing
from profiling.measures.ceiling import matrix_product_flops
from profiling.measures.operators import count_operators
from profiling.measures.timing import SHORTEST_S, time_in_turn
from profiling.ratios.ratio import Effort, Goal, Pair, Reading, Result, Side, build_ratio, compare, load_ratios
from profiling.reporting.report import draw_ratios, ratio_table, ratios_as_json, write_json

MIB = 2**20
ROOT = Path(__file__).resolve().parents[3]


class Slow(Pair):
    """The reference sleeps and adds three times."""

    what = "slow | fast"
    goals = (Goal(quantity="time", goal=3.0), Goal(quantity="operators", goal=2.0))

    def __init__(self, *, error: float = 0.0) -> None:
        self.error = error

    def prepare(self, side: Side) -> Callable[[], Result]:
        start = torch.ones(3)

        def work() -> Result:
            if side == "ours":
                time.sleep(0.002)
                return start * (3 + self.error)
            time.sleep(0.02)
            return start + start + start + 0 * start

        return work


class Clock:
    """A clock that continues by what is slept alone: a busy machine makes no difference."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def perf_counter(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(timing, "time", made)
    monkeypatch.setattr(time, "sleep", made.sleep)
    return made


@pytest.fixture
def registered() -> object:
    RATIOS.register_module(name="TSlow", module=Slow)
    yield
    del RATIOS.module_dict["TSlow"]


def test_time_of_the_processor_leaves_out_what_others_did() -> None:
    def waits() -> None:
        time.sleep(0.05)

    passed, computed = (time_in_turn({"a": waits}, repeats=1, of_processor=of_processor)["a"].best for of_processor in (False, True))
    assert computed < 0.04 <= passed


@pytest.mark.usefixtures("clock")
def test_times_are_taken_in_turn_after_a_warm_up() -> None:
    order: list[str] = []

    def work(name: str) -> None:
        order.append(name)
        time.sleep(1.2 * SHORTEST_S)

    times = time_in_turn({name: partial(work, name) for name in "ab"}, repeats=3, warm_up=2)
    assert order == ["a", "b"] * 5
    assert len(times["b"].seconds) == 3
    assert SHORTEST_S < times["b"].best <= times["b"].median


@pytest.mark.usefixtures("clock")
def test_short_work_is_called_many_times_in_a_timing() -> None:
    calls: list[float] = []

    def short() -> None:
        calls.append(0.002)
        time.sleep(calls[-1])

    times = time_in_turn({"short": short}, repeats=2)
    assert len(calls) == 1 + 2 * 10
    assert times["short"].best == pytest.approx(0.002)


def test_without_a_warm_up_a_timing_is_one_call() -> None:
    calls: list[None] = []
    time_in_turn({"first": lambda: calls.append(None)}, repeats=1, warm_up=0)
    assert len(calls) == 1


@pytest.mark.usefixtures("registered", "clock")
def test_a_pair_is_measured_and_compared_with_its_goals() -> None:
    slow, operators = build_ratio("earthmind", {"type": "TSlow"}).measure(Effort(repeats=3))
    assert slow.met and slow.reference > 3 * slow.ours
    assert (operators.reference, operators.ours, operators.reached) == (4.0, 1.0, 4.0)


@pytest.mark.usefixtures("registered")
def test_sides_that_do_not_do_the_same_are_refused() -> None:
    with pytest.raises(EOError, match=r"Slow: the two sides differ by 3.3e-02 of the largest value, 1e-05 is allowed"):
        build_ratio("earthmind", {"type": "TSlow", "error": 0.1}).measure(Effort())


def test_an_unknown_size_is_refused() -> None:
    load_ratios("earthmind")
    with pytest.raises(ConfigError, match=r"no argument 'token'.*Did you mean 'tokens'"):
        build_ratio("earthmind", {"type": "G1", "token": 3})


def test_a_goal_can_be_an_upper_bound() -> None:
    below = Reading(quantity="memory", unit="x", reference=2.0, ours=1.0, reached=1.05, goal=1.1, at_least=False)
    assert below.met
    assert not Reading(quantity="memory", unit="x", reference=2.0, ours=1.0, reached=1.2, goal=1.1, at_least=False).met
    assert compare(Goal(quantity="time", goal=None), "s", reference=2.0, ours=1.0).met is None


def test_views_are_no_work_and_waits_are_told() -> None:
    count = count_operators(lambda: (torch.ones(4, 4).t()[0] + 1).sum().item())
    assert count.names["aten.add.Tensor"] == 1
    assert "aten.t.default" not in count.names and "aten.select.int" not in count.names
    assert dict(count.waits) == {"aten._local_scalar_dense.default": 1}


PEAKS = """
import torch
from profiling.measures.memory import measure_peak
MIB = 2**20
torch.ones(MIB).sum()  # a fork maps the pages of a library when it first calls it
print(measure_peak(lambda: torch.ones(64 * MIB // 4).sum()).rise, measure_peak(lambda: None).rise)
"""


def test_the_peak_is_that_of_the_work() -> None:
    # in a process of its own: threads that earlier tests left behind may give memory back meanwhile
    done = forked.run(["-c", PEAKS], cwd=ROOT)
    assert done.returncode == 0, done.stderr
    work, nothing = (int(number) for number in done.stdout.split())
    assert 60 * MIB < work < 90 * MIB
    assert nothing < 8 * MIB


def test_the_ceiling_is_a_rate() -> None:
    assert 1e8 < matrix_product_flops(torch.device("cpu"), torch.float32, side=128, repeats=2) < 1e15


def test_readings_become_table_file_and_plot(tmp_path: Path) -> None:
    readings = [
        compare(Goal(quantity="time", goal=2.0, limit="S"), "s", reference=3.0, ours=1.0),
        compare(Goal(quantity="memory", goal=9.0), "GiB", reference=3.0, ours=1.0),
    ]
    found = {"G0": ("one | other", readings)}
    assert ratio_table(found).row_count == 2
    write_json(tmp_path / "a" / "found.json", ratios_as_json(found))
    kept = json.loads((tmp_path / "a" / "found.json").read_text())
    assert [reading["met"] for reading in kept["ratios"]["G0"]["readings"]] == [True, False]
    assert kept["machine"]["torch"] == torch.__version__
    draw_ratios(tmp_path / "found.png", found)
    assert (tmp_path / "found.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_plot_says_in_words_what_has_no_logarithm(tmp_path: Path) -> None:
    """Nothing left of a waste is a ratio without end, and memory given back one below zero."""
    readings = [
        compare(Goal(quantity="images", goal=float("inf")), "images", reference=1.0, ours=0.0),
        compare(Goal(quantity="memory", goal=100.0), "bytes", reference=-3.0, ours=1.0),
        compare(Goal(quantity="time", goal=2.0), "s", reference=3.0, ours=1.0),
    ]
    written: list[str] = []
    with mock.patch("matplotlib.axes.Axes.annotate", autospec=True, side_effect=lambda _, text, *rest, **named: written.append(text)):
        draw_ratios(tmp_path / "found.png", {"G0": ("one | other", readings)})
    assert written == ["nothing left", "-3"]


def test_a_plot_tells_goals_reached_from_goals_missed(tmp_path: Path) -> None:
    share: dict[str, Any] = {"unit": "bytes", "reference": 9.0, "limit": "", "note": "", "at_least": False, "goal": 5.0}
    readings = [
        compare(Goal(quantity="time", goal=2.0), "s", reference=3.0, ours=1.0),
        compare(Goal(quantity="step", goal=None), "s", reference=3.0, ours=1.0),
        Reading(quantity="little", ours=4.0, reached=4.0, **share),
        Reading(quantity="much", ours=6.0, reached=6.0, **share),
    ]
    drawn: dict[str, list[float]] = {}
    with mock.patch(
        "matplotlib.axes.Axes.barh", autospec=True, side_effect=lambda _, places, widths, **look: drawn.update({look["label"]: widths})
    ):
        draw_ratios(tmp_path / "found.png", {"G0": ("one | other", readings)})
    assert drawn == {"goal reached": [3.0, 4.0], "goal missed": [6.0], "no goal": [3.0]}
