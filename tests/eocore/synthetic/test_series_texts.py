"""Series in words: each answer follows from what is told."""

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from eocore.synthetic.series_questions import EVENT_NAMES, WHEN, WHICH_CLOUDY, WHICH_DATES
from eocore.synthetic.series_texts import CLOUDS, SHARES, WORDS, text_entries

ENTRIES = text_entries(400, seed=3)


def read(entry: dict[str, Any]) -> tuple[dict[str, list[str]], str, str]:
    """What each date tells, the question and the answer."""
    question, answer = (turn["value"] for turn in entry["conversations"])
    *lines, asked = question.split("\n")
    return {line.split(": ")[0]: line.split(": ")[1].split(", ") for line in lines}, asked, answer


def first_date(told: dict[str, list[str]], kind: str) -> str:
    """The first date that tells what an event leaves, after one that does not."""
    before, after = WORDS[kind]
    found = [
        day
        for position in range(2)
        for days in [[day for day, words in told.items() if words != [CLOUDS]]]
        for earlier, day in pairwise(days)
        if (told[earlier][position], told[day][position]) == (before, after)
    ]
    assert len(found) == 1
    return found[0]


def test_every_kind_is_asked_in_its_share() -> None:
    counts = Counter(entry["type"] for entry in ENTRIES)
    assert {kind: counts[kind] / len(ENTRIES) for kind in SHARES} == pytest.approx(SHARES, abs=0.08)


def test_dates_are_copied_in_order() -> None:
    for told, asked, answer in map(read, ENTRIES):
        assert list(told) == sorted(told) and 3 <= len(told) <= 6
        if asked == WHICH_DATES:
            assert answer == ", ".join(told)


@pytest.mark.parametrize("kind", ["flood", "harvest", "sowing", "snow"])
def test_the_date_is_the_one_that_first_tells_of_it(kind: str) -> None:
    asked = [(told, answer) for told, question, answer in map(read, ENTRIES) if question == WHEN[kind]]
    assert asked and all(answer == first_date(told, kind) for told, answer in asked)


def test_the_cloudy_date_tells_nothing_else() -> None:
    asked = [(told, answer) for told, question, answer in map(read, ENTRIES) if question == WHICH_CLOUDY]
    assert asked and all([day for day, words in told.items() if words == [CLOUDS]] == [answer] for told, answer in asked)


def test_order_is_that_of_the_dates() -> None:
    kinds = {name: kind for kind, name in EVENT_NAMES.items()}
    compared = 0
    for told, asked, answer in map(read, ENTRIES):
        if "demolition" in asked or "construction" in asked or not asked.startswith("What came "):
            continue  # of both the land looks alike before or after
        word, one, other = asked.removeprefix("What came ").rstrip("?").replace(", ", " or ").split(" or ")
        dates = {name: first_date(told, kinds[name]) for name in (one, other)}
        assert answer == (min if word == "first" else max)(dates, key=dates.__getitem__)
        compared += 1
    assert compared > 10


def test_the_same_seed_gives_the_same() -> None:
    assert text_entries(5, seed=3) == ENTRIES[:5] != text_entries(5, seed=4)
