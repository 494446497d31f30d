import pytest

from eocore.evaluate.metrics.vqa import (
    contains_answer,
    count_bucket,
    match_answer,
    match_as_published,
    match_as_vrsbench,
    normalise_answer,
    parse_choice,
    parse_yes_no,
    whole_number,
)

CANDIDATES = ["forest", "road", "water", "broad-leaved forest"]


@pytest.mark.parametrize(
    "answer",
    ["(B)", "B.", "b) road", "road", " Road. ", "B", "[b] road", "ROAD\n", "B: road", "There is a road here.", "**B**", '"road"', "A road"],
)
def test_ways_to_say_road(answer):
    assert parse_choice(answer, CANDIDATES) == 1


@pytest.mark.parametrize(
    "answer",
    ["", "I cannot tell.", "forest or road", "railroad", "E.", "(F)", "road-side stall", "A bridge"],
    ids=lambda answer: answer or "empty",
)
def test_refusal_and_ambiguity_are_not_read(answer):
    assert parse_choice(answer, CANDIDATES) is None


def test_exact_candidate_comes_before_the_letter():
    assert parse_choice("B", ["C", "D", "A", "B"]) == 3


def test_letter_comes_before_the_candidate_contained():
    assert parse_choice("B) water", CANDIDATES) == 1


def test_longer_candidate_wins_over_the_one_inside_it():
    assert parse_choice("mostly broad-leaved forest", CANDIDATES) == 3
    assert parse_choice("broad-leaved forest and other forest", CANDIDATES) is None


@pytest.mark.parametrize(("answer", "index"), [("10", 1), ("There are 10 of them", 1), ("1", 0), ("about 1.5", None), ("1,000", None)])
def test_numbers_are_whole(answer, index):
    assert parse_choice(answer, ["1", "10", "12", "0"]) == index


@pytest.mark.parametrize("answer", ["water", "B", "(b) water", "B. water", "it is water"])
def test_candidates_with_letters_of_their_own(answer):
    assert parse_choice(answer, ["A. road", "B. water", "C. forest"]) == 1


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
        ("1", "10", False),
        ("ten", "10", True),
        ("Two.", "2", True),
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
