"""Answers that go through all options before, or instead of, a statement."""

import pytest

from eocore.evaluate.scoring.parsing.choices import SEVERAL, ReadChoice, read_choice

COVER = ("A. water", "B. forest", "C. road", "D. grass")
LISTED = "A. water\nB. forest\nC. road\nD. grass\n"
THOUGHT = (
    "Let me check each option:\n\n- **A. water**: none is visible\n- **B. forest**: {reason}\n- **C. road**: not visible\n"
    "- **D. grass**: this is wrong\n\n"
)


@pytest.mark.parametrize(
    "text",
    [
        LISTED + "Answer: B", LISTED + "\nB", THOUGHT.format(reason="dense trees") + "So the answer is **B**.",
        THOUGHT.format(reason="no, only shadows") + "**Correct answer: B. forest**",
        "Question: what is seen? Options: A. water B. forest C. road D. grass. Answer: B",
    ],
)  # fmt: skip
@pytest.mark.parametrize("mode", ["strict", "lenient"])
def test_what_is_stated_behind_the_options_counts(text, mode):
    assert read_choice(text, COVER, mode=mode) == ReadChoice(frozenset([1]))


@pytest.mark.parametrize(
    "text",
    [
        THOUGHT.format(reason="yes, dense trees"), "- A: No\n- B: Yes\n- C: No\n- D: No",
        "A) water: \u274c\nB) forest: \u2705\nC) road: \u274c\nD) grass: \u274c",
        "A. water - incorrect\nB. forest - correct\nC. road - incorrect\nD. grass - incorrect",
    ],
)  # fmt: skip
def test_the_only_option_called_right_is_read_in_lenient_mode(text):
    assert read_choice(text, COVER) == ReadChoice(frozenset([1]))
    assert not read_choice(text, COVER, mode="strict").indices


@pytest.mark.parametrize(
    "text",
    [
        LISTED, LISTED + "Answer: A or B", "A. water: possible\nB. forest: possible\nC. road: no\nD. grass: no",
        "A. water: correct\nB. forest: correct\nC. road: no\nD. grass: no", LISTED + "I don't know.",
    ],
)  # fmt: skip
def test_no_single_judgement_is_no_answer(text):
    read = read_choice(text, COVER)
    assert read.only is None
    assert read.reason


def test_lines_may_be_the_answer_where_several_options_are_allowed():
    assert read_choice("A. water\nC. road", COVER, several=True).indices == {0, 2}
    assert read_choice(LISTED, COVER).reason == SEVERAL
