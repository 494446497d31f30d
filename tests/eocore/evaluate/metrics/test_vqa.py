import pytest

from eocore.evaluate.metrics.vqa import (
    contains_answer,
    count_bucket,
    match_answer,
    match_as_published,
    match_as_vrsbench,
    normalise_answer,
    parse_yes_no,
    whole_number,
)


def test_normalisation():
    assert normalise_answer("  The Two   broad-leaved Forests. ") == "2 broad leaved forests"
    assert normalise_answer("1,250.5 m") == "1250.5 m"
    assert normalise_answer("-3") == "-3"
    assert normalise_answer("A") == "a"


@pytest.mark.parametrize(
    ("text", "said"), [("Yes.", True), ("no, there is none", False), ("not sure", None), ("", None), ("Nothing", None)]
)
def test_yes_no_is_the_first_word(text, said):
    assert parse_yes_no(text) is said


@pytest.mark.parametrize(
    ("answer", "truth", "right"),
    [
        ("Yes, there is", "yes", True),
        ("No.", "Yes", False),
        ("not sure", "no", None),
        ("Based on the image, no.", "no", True),
        ("No doubt, yes", "yes", True),
        ("I would say yes.", "yes", True),
        ("There is no water.", "no", None),
        ("It may be yes, or no.", "yes", None),
        ("1", "10", False),
        ("ten", "10", True),
        ("Two.", "2", True),
        ("2.0", "2", True),
        ("2", "2.0", True),
        ("1,200", "1200", True),
        ("two buildings", "2", True),
        ("There are 3 buildings", "3", True),
        ("about 20", "20", True),
        ("twenty-one", "21", True),
        ("3.5 km2", "3.5", True),
        ("3.5 km2", "3.5 m2", False),
        ("50 %", "50", True),
        ("none", "0", True),
        ("several", "3", None),
        ("2 or 3", "3", None),
        ("10-20", "10", None),
        ("between 0 and 10", "between 0 and 10", True),
        ("Answer: yes", "yes", True),
        ("true", "yes", True),
        ("No.", "false", True),
        ("<think>not sure, yes?</think>No", "no", True),
        ("\\boxed{2}", "2", True),
        ("the river", "River", True),
        ("river bank", "river", False),
        (" . ", "river", None),
    ],
)
def test_short_answers(answer, truth, right):
    assert match_answer(answer, truth) is right


@pytest.mark.parametrize(
    ("answer", "truth", "right"),
    [
        ("It is near the river bank.", "river", True),
        ("riverside", "river", False),
        ("10 ships", "10", True),
        ("10 ships", "1", False),
        ("Two ships", "2", True),
        ("not sure", "no", None),
        ("No, there is none", "no", True),
        ("", "river", None),
    ],
)
def test_answers_of_several_words(answer, truth, right):
    assert contains_answer(answer, truth) is right


def test_published_rules_are_as_lax_and_as_strict_as_published():
    assert match_as_published(" Y es. ", "yes")
    assert not match_as_published("yes, there is", "yes")
    assert match_as_vrsbench("not sure", "no")
    assert match_as_vrsbench("10", "1")


@pytest.mark.parametrize(
    ("text", "bucket"),
    [
        ("0", "0"),
        ("zero", "0"),
        ("10", "between 0 and 10"),
        ("11", "between 10 and 100"),
        ("1,000", "between 100 and 1000"),
        ("1001", "more than 1000"),
        ("Between 10 and 100", "between 10 and 100"),
        ("many", None),
        ("-3", None),
    ],
)
def test_buckets_of_counts(text, bucket):
    assert count_bucket(text) == bucket


def test_whole_numbers():
    assert [whole_number(text) for text in ("3", "Three.", "3.5", "three cars", "")] == [3, 3, None, None, None]
