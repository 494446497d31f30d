"""Upstream's comparison of short answers, on cases worked by hand from its rule."""

import pytest

from eocore.evaluate.metrics.published_answers import match_as_lhrs, normalise_as_evalai


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yes.", "yes"),
        ("The river", "river"),
        ("two", "2"),
        ("none", "0"),
        ("zero", "0"),
        ("ten", "10"),
        ("rural/urban", "rural urban"),  # a mark between letters
        ("rural / urban", "rural urban"),  # and one beside a space
        ("0.5 km", "0.5 km"),
        ("1,000", "1000"),
        ("How? Well,\nso", "how well so"),
    ],
)
def test_the_rule(text: str, expected: str) -> None:
    assert normalise_as_evalai(text) == expected


@pytest.mark.parametrize(
    ("answer", "truth", "right"), [("yes", "Yes.", True), ("", "no", True), ("n", "no", True), ("no way", "no", False)]
)
def test_any_part_of_the_truth_is_right(answer: str, truth: str, *, right: bool) -> None:
    assert match_as_lhrs(answer, truth) is right
