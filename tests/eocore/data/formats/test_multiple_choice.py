"""Candidates of multiple-choice questions."""

from typing import Any

import pytest

from eocore.data.formats.entries import Entry
from eocore.data.formats.multiple_choice import read_candidates
from eocore.errors import AnnotationError


def test_the_answer_may_differ_in_case_and_white_space() -> None:
    assert read_candidates(Entry({"options": ["A lake", "a hill"]}, "f#0"), "options", answer=" a Lake ") == ["A lake", "a hill"]


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        (["a", 3], r"f#0: field 'options' must be a list of texts, found \['a', 3\]"),
        (["a", "A "], r"f#0: a candidate is duplicated in \['a', 'A '\]"),
        (["b", "c"], r"f#0: answer 'a' is none of \['b', 'c'\]; no reply could be right"),
        ([], r"f#0: field 'options' must be a list that is not empty"),
    ],
)
def test_faults_name_the_entry(candidates: list[Any], message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        read_candidates(Entry({"options": candidates}, "f#0"), "options", answer="a")
