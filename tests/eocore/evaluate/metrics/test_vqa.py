import pytest

from eocore.evaluate.metrics.vqa import match_answer, normalise_answer, parse_choice, parse_yes_no

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
