"""Steps that may take as much memory as the plain stack's."""

from typing import Any

import pytest

from profiling.earthmind.plain_comparison import Effort, build_side
from profiling.earthmind.plain_memory import CHOICES, compare_equal_memory, count_peak
from profiling.earthmind.plain_stack import PlainStep


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Without single trained rows of the token tables, which peft's side has no counterpart of."""
    return {name: value for name, value in settings.items() if name != "trainable_tokens"}


def test_what_recomputes_more_takes_less(settings: dict[str, Any]) -> None:
    none, full = (count_peak(build_side(settings, choice), None, name="vqa5") for choice in (CHOICES[0], CHOICES[-1]))
    task = build_side(settings, "none")
    plain, plain_full = (count_peak(task, PlainStep(task, recompute=recompute), name="vqa5") for recompute in (False, True))
    assert 0 < full < none and 0 < plain_full < plain


def test_ours_takes_no_more_where_a_choice_fits(settings: dict[str, Any]) -> None:
    rows = compare_equal_memory(settings, ["vqa5"], effort=Effort(repeats=1))
    assert [str(row["what"]).split(", ours")[0] for row in rows] == [
        "train vqa5, plain: nothing recomputed",
        "train vqa5, plain: all layers recomputed",
    ]
    for row in rows:
        assert float(row["ours MiB"]) <= float(row["plain MiB"]) or str(row["what"]).endswith(f"ours: {CHOICES[-1]}")
        assert row["faster x"] == pytest.approx(float(row["plain s"]) / float(row["ours s"]))
