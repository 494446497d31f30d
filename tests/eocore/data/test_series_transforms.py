"""Reversed series: what is shown is exchanged, times and masks stay. Shifted dates: all of a record move alike."""

import numpy as np
import pytest

from eocore.data.records import ImageRef, MaskRef, Record
from eocore.data.series_transforms import ReverseSeries, ShiftDates
from eocore.errors import ConfigError, DataError
from eocore.portable.messages import Image, Text, Turn

RNG = np.random.default_rng(0)


def image(role: str, time: str, path: str) -> ImageRef:
    return ImageRef(role, "rgb_uint8", (path,), time=time)


def test_files_are_exchanged_role_by_role() -> None:
    images = (image("rgb", "before", "a"), image("sar", "before", "b"), image("rgb", "after", "c"), image("sar", "after", "d"))
    record = ReverseSeries()(Record("x", images, masks=(MaskRef("box", [0, 0, 1, 1], image=2),)), RNG)
    assert [(ref.role, ref.time, ref.paths[0]) for ref in record.images] == [
        ("rgb", "before", "c"),
        ("sar", "before", "d"),
        ("rgb", "after", "a"),
        ("sar", "after", "b"),
    ]
    assert record.masks[0].image == 2


def test_what_cannot_be_reversed_is_refused() -> None:
    with pytest.raises(DataError, match=r"s#1: sample 'x' has images of 1 moment; ReverseSeries needs a series"):
        ReverseSeries()(Record("x", (image("rgb", "", "a"),), source="s#1"), RNG)
    uneven = (image("rgb", "before", "a"), image("sar", "after", "b"))
    with pytest.raises(DataError, match=r"has no rgb image of after to show in place of that of before"):
        ReverseSeries()(Record("x", uneven, source="s#1"), RNG)


def dated(*times: str) -> Record:
    turns = (Turn("user", (Image(), Text(f"On which of {', '.join(times)} is it?"))), Turn("assistant", (Text(times[-1]),)))
    images = tuple(image("rgb", time, f"{number}.tif") for number, time in enumerate(times))
    return Record(
        "x",
        images,
        turns,
        source="s#1",
        captions=(f"from {times[0]}",),
        meta={"answer": times[-1], "candidates": times, "cloudy": False, "n": 3},
    )


def test_all_dates_of_a_record_move_alike_and_anew_each_time() -> None:
    record = dated("2020-02-28", "2020-03-01T10:15:00Z")
    gaps, firsts = set(), set()
    rng = np.random.default_rng(1)
    for _ in range(40):
        moved = ShiftDates(days=1000)(record, rng)
        first, second = (ref.time for ref in moved.images)
        assert moved.turns[0].parts == (Image(), Text(f"On which of {first}, {second} is it?"))
        assert moved.turns[1].words == second and moved.captions == (f"from {first}",)
        assert moved.meta == {"answer": second, "candidates": (first, second), "cloudy": False, "n": 3}
        assert second.endswith("T10:15:00Z") and [ref.paths for ref in moved.images] == [ref.paths for ref in record.images]
        gaps.add(int((np.datetime64(second[:10]) - np.datetime64(first)).astype(int)))
        firsts.add(first)
        assert abs(int((np.datetime64(first) - np.datetime64("2020-02-28")).astype(int))) <= 1000
    assert gaps == {2} and len(firsts) > 30


def test_what_is_no_date_stays() -> None:
    words = "tile 2021-13-45, code 12021-01-013, before"
    record = Record("x", (image("rgb", "before", "a"), image("rgb", "after", "b")), (Turn("user", (Text(words),)),))
    assert ShiftDates(days=5)(record, RNG) == record


def test_days_and_dates_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match=r"days is 0; expected at least 1"):
        ShiftDates(days=0)
    with pytest.raises(DataError, match=r"s#1: a date of sample 'x' would leave the calendar"):
        for _ in range(20):
            ShiftDates(days=10)(dated("9999-12-31", "9999-12-31T10:00:00Z"), RNG)
