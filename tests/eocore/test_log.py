"""The log shows what data files hold, but is not steered by it."""

import logging

import pytest

from eocore.log import get_logger, plain_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("river_04.tif", "river_04.tif"),
        ("Überschwemmung 水", "Überschwemmung 水"),
        ("a\n11/21 12:00:00 - eocore - INFO - finished", r"a\n11/21 12:00:00 - eocore - INFO - finished"),
        ("\x1b[2Jgone\x07", r"\x1b[2Jgone\x07"),
        ("safe\u202etxt.exe", r"safe\u202etxt.exe"),
        ("\ud800", r"\ud800"),
    ],
)
def test_arguments_are_one_plain_line(text: str, shown: str) -> None:
    seen: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(record.getMessage())  # type: ignore[method-assign]
    get_logger().addHandler(handler)
    get_logger().error("%s: %d of %s", ValueError(text), 3, text)
    get_logger().removeHandler(handler)
    assert seen == [f"{shown}: 3 of {shown}"]
    assert plain_line(text) == shown


def test_the_filter_is_added_once() -> None:
    assert len(get_logger().filters) == len(get_logger().filters) == len({type(found) for found in get_logger().filters})
