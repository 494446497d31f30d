"""Records hold images in order, with open roles, and several of one role where their times differ."""

from typing import Any

import pytest

from eocore.data.records import ImageRef, Record, is_role, is_time, with_roles
from eocore.errors import AnnotationError
from eocore.portable.messages import Image, Text, Turn


def image(role: str, time: str = "") -> ImageRef:
    return ImageRef(role, "sentinel2_l2a", (f"{role}{time}.tif",), time=time)


def test_images_keep_their_order_and_a_role_may_be_a_series() -> None:
    shown = (image("dem"), image("before", "2024-05-01"), image("after", "2024-06-01T10:15:00Z"), image("before", "2024-05-11"))
    record = Record("s", shown, source="f#0")
    assert record.images == shown and record.roles == ("dem", "before", "after")
    assert record.images_of("before") == (shown[1], shown[3]) and record.images_of("rgb") == ()
    assert [ref.label for ref in shown[:2]] == ["dem", "before 2024-05-01"]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([image("sar"), image("rgb"), image("sar")], r"f#0: 2 images of sample 's' are 'sar'; images of one role need different times"),
        ([image("sar", "2024-05-01")] * 2, r"2 images of sample 's' are 'sar 2024-05-01'"),
        ([image("Radar 1")], r"f#0: an image has the role 'Radar 1'; expected a word of lower-case letters"),
        ([image("sar", "May 2024")], r"f#0: the sar image has the time 'May 2024'; expected an ISO 8601 date or date-time"),
        ([image("sar", "2024-02-30")], r"has the time '2024-02-30'"),
    ],
)
def test_images_that_cannot_be_told_apart_or_read_are_refused(images: list[ImageRef], message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        Record("s", tuple(images), source="f#0")


def test_images_of_some_roles_take_the_parts_that_show_them_along() -> None:
    asked = Turn("user", (Text("From "), Image(0), Text(" to "), Image(1), Text("?")))
    record = Record("s", (image("before"), image("after")), (asked,), source="f#0")
    kept = with_roles(record, ["after"])
    assert kept.roles == ("after",) and kept.turns[0].parts == (Text("From  to "), Image(0), Text("?"))
    together = Record("s", record.images, (Turn("user", (Image(), Text("What?"))),))
    assert with_roles(together, ["before"]).turns == together.turns


@pytest.mark.parametrize(("word", "right"), [("rgb", True), ("sar_vv2", True), ("", False), ("2d", False), ("RGB", False), (None, False)])
def test_roles_are_plain_words(word: Any, right: bool) -> None:
    assert is_role(word) is right


@pytest.mark.parametrize(
    ("text", "right"), [("2024-05-31", True), ("2024-05-31T10:15:00+02:00", True), ("31.5.2024", False), (2024, False)]
)
def test_times_are_iso_8601(text: Any, right: bool) -> None:
    assert is_time(text) is right
