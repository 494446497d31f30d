"""Moments of a series: their order, which images belong together, and which moment a text names."""

from typing import Any

import pytest

from eocore.portable.series import (
    Moment,
    check_order,
    day_of,
    group_moments,
    is_moment,
    name_moment,
    named_moment,
    named_without_image,
    names_after,
)
from eocore.portable.vision_layout import SampleError

DATES = ("2021-03-04", "2021-06-01", "2021-08-15")


@pytest.mark.parametrize("text", ["2021-03-04", "2021-03-04T10:15:00Z", "before", "after", "image 1", "frame 12"])
def test_dates_and_words_of_order_are_moments(text: str) -> None:
    assert is_moment(text)


@pytest.mark.parametrize("text", ["", "2021-13-01", "later", "image 0", "Image one", None, 3])
def test_anything_else_is_none(text: Any) -> None:
    assert not is_moment(text)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (["2021-03-04", ""], r"data#1: image 2 of 2 has no date \(2021-03-04, none\).*give every image its own"),
        (
            ["2021-03-04", "2021-03-04"],
            r"2021-03-04 is the same moment as the image before it.*Give the images in the order of their dates",
        ),
        (["2021-03-04", "2021-02-04"], r"2021-02-04 is earlier than the image before it \(2021-03-04, 2021-02-04\)"),
        (["after", "before"], r"before is earlier than the image before it"),
        (["2021-03-04", "after"], r"moments of one series are of several kinds \(2021-03-04, after\)"),
        (["2021-03-04T10:00:00+02:00", "2021-03-04T08:00:00Z"], r"is the same moment as"),
    ],
)
def test_moments_out_of_order_are_refused(times: list[str], message: str) -> None:
    with pytest.raises(SampleError, match=message):
        check_order(times, source="data#1")


@pytest.mark.parametrize("time", ["0001-01-01T00:00+05:00", "9999-12-31T23:00-05:00"])
def test_times_that_another_zone_shifts_out_of_the_calendar_are_none(time: str) -> None:
    assert not is_moment(time) and day_of(time) == time


def test_one_image_may_be_of_any_time() -> None:
    check_order([""], source="x")
    check_order([], source="x")


class TestGroups:
    def test_images_without_times_are_one_moment(self) -> None:
        assert group_moments([("rgb", "", 1), ("sar", "", 2)], source="x") == [Moment("", {"rgb": 1, "sar": 2})]

    def test_images_of_one_day_are_one_moment_whatever_the_hour(self) -> None:
        images = [("rgb", "2021-03-04T10:15", 1), ("sar", "2021-03-04T17:02", 2), ("rgb", "2021-06-01", 3)]
        assert group_moments(images, source="x") == [Moment("2021-03-04", {"rgb": 1, "sar": 2}), Moment("2021-06-01", {"rgb": 3})]

    def test_a_role_twice_on_one_day_is_two_moments(self) -> None:
        images = [("rgb", "2021-03-04T10:15", 1), ("rgb", "2021-03-04T17:02", 2)]
        assert [moment.time for moment in group_moments(images, source="x")] == ["2021-03-04T10:15", "2021-03-04T17:02"]

    def test_only_the_images_of_a_day_with_a_role_twice_keep_their_hours(self) -> None:
        images = [("rgb", "2021-03-04T10:15", 1), ("rgb", "2021-03-04T17:02", 2), ("rgb", "2021-06-01T10", 3), ("sar", "2021-06-01T17", 4)]
        found = group_moments(images, source="x")
        assert [moment.time for moment in found] == ["2021-03-04T10:15", "2021-03-04T17:02", "2021-06-01"]
        assert found[-1].images == {"rgb": 3, "sar": 4}

    @pytest.mark.parametrize("times", [("20210304T101500", "2021-03-04"), ("2021-W09-4T10", "20210304"), ("2021-03-03T23:30-05:00",) * 2])
    def test_days_are_those_of_utc_however_they_are_written(self, times: tuple[str, str]) -> None:
        images = [(role, time, role) for role, time in zip(("rgb", "sar"), times, strict=True)]
        assert group_moments(images, source="x") == [Moment("2021-03-04", {"rgb": "rgb", "sar": "sar"})]

    def test_two_of_one_role_without_times_are_refused(self) -> None:
        with pytest.raises(SampleError, match=r"x: several images have the role 'rgb'; images of one role are told apart by their dates"):
            group_moments([("rgb", "", 1), ("rgb", "", 2)], source="x")

    def test_a_series_with_one_undated_image_is_refused(self) -> None:
        with pytest.raises(SampleError, match=r"image 2 of 2 has no date"):
            group_moments([("rgb", "2021-03-04", 1), ("sar", "", 2)], source="x")


class TestNames:
    def test_the_moment_named_last_counts(self) -> None:
        assert named_moment(f"between {DATES[2]} and {DATES[0]}?", DATES) == 0
        assert named_moment("nothing", DATES) is None

    def test_a_date_inside_a_longer_word_is_not_named(self) -> None:
        assert named_moment(f"tile-{DATES[0]}-b, x{DATES[1]}", DATES) is None

    def test_a_day_names_its_date_time_and_of_several_the_last(self) -> None:
        times = ("2021-03-03T10:00", "2021-03-04T10:00", "2021-03-04T17:02", "2021-06-01")
        assert [named_moment(f"the water on {day}", times) for day in (*times, "2021-03-03", "2021-03-04")] == [0, 1, 2, 3, 0, 2]

    def test_moments_of_which_there_is_no_image_are_found(self) -> None:
        text = f"between {DATES[0]} and 2021-03-05, or 2021-03-05T10:00 and 12021-03-06 or 2021-03-071"
        assert named_without_image(text, DATES) == ["2021-03-05"]
        assert named_without_image(text, ("2021-03-05T10:00:00Z", "2021-03-04")) == []
        assert named_without_image(text, ("before", "after")) == named_without_image(text, ("",)) == []

        frames = tuple(f"frame {number}" for number in (1, 2))
        assert named_without_image("in Frame 2 or frame 12, image 3, frame 12 on 2021-03-05", frames) == ["frame 12"]

    def test_before_and_after_name_images_only(self) -> None:
        assert named_moment("What changed after the flood?", ("before", "after")) is None
        assert named_moment("Segment it in the before image.", ("before", "after")) == 0
        assert named_moment("The image after", ("before", "after")) == 1

    def test_numbers_are_whole(self) -> None:
        assert named_moment("in image 12", ("image 1", "image 12")) == 1

    def test_a_seg_finds_its_answer_then_its_question_then_the_last(self) -> None:
        names = names_after(DATES, f"What of {DATES[0]}?")
        assert names.of_seg("It is ") == 0 and names.of_seg(f"On {DATES[1]} it is ") == 1
        assert names_after(DATES, "What changed?").of_seg("") == 2

    def test_prompts_name_time_and_sensors(self) -> None:
        assert name_moment("2021-03-04", ["sar", "rgb"]) == "2021-03-04 sar, rgb: "
