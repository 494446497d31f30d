"""Questions about series: their answers follow from the truth, and need the dates or the order."""

import numpy as np

from eocore.synthetic.series_questions import EVENT_NAMES, PASSED, WHEN, WHICH_DATES, ask_series, describe_change
from eocore.synthetic.timeline import Event, make_series

SERIES = [make_series(f"t_{number:05d}", [9, number], size=64, num_dates=2 + number % 4) for number in range(24)]
ASKED = [(series, ask_series(series, np.random.default_rng(number))) for number, series in enumerate(SERIES)]


def test_every_kind_is_asked() -> None:
    assert {question.kind for _, asked in ASKED for question in asked} == {
        "dates",
        "which_date",
        "order",
        "change",
        "change_mask",
        "region",
    }


def test_the_dates_are_listed_in_order() -> None:
    for series, asked in ASKED:
        listed = [question.answer for question in asked if question.text == WHICH_DATES]
        assert listed == ([", ".join(series.dates)] if len(series.dates) > 2 else [])


def test_dates_are_those_of_the_events() -> None:
    for series, asked in ASKED:
        for event in series.events if len(series.dates) > 2 else ():
            answers = [question.answer for question in asked if question.text == WHEN[event.kind]]
            assert answers == [series.dates[event.first]]


def test_masks_are_what_differs_and_lie_on_the_later_date() -> None:
    found = 0
    for series, asked in ASKED:
        for question in asked:
            if question.kind == "change_mask":
                later = series.layouts[question.image].class_map
                assert question.mask is not None and np.array_equal(question.mask, later != series.layouts[question.image - 1].class_map)
                assert question.answer.startswith("[SEG] ") and question.mask.any()
                found += 1
    assert found > 10


def test_order_names_both_events_and_the_answer_is_one() -> None:
    for series, asked in ASKED:
        for question in asked:
            if question.kind == "order":
                names = [EVENT_NAMES[event.kind] for event in series.events]
                assert question.answer == (names[0] if " first, " in question.text else names[-1])
                assert set(question.candidates) == set(names)


def test_regions_are_named_by_what_lies_there_on_their_date() -> None:
    names = {question.answer for _, asked in ASKED for question in asked if question.kind == "region"}
    assert {"water", "cropland", "bare ground"} <= names


def test_a_passing_event_is_told_both_ways() -> None:
    flood = Event("flood", np.ones((2, 2), bool), 1, 1)
    assert (describe_change(flood, appears=True), describe_change(flood, appears=False)) == ("the flood", PASSED["flood"])
