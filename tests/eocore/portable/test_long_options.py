"""Choices for long inputs, and what is said where they do not fit."""

from typing import Any

import pytest

from eocore.portable.long_options import CompressionOptions, LongInput, compression_fields, read_long


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"window": 36, "ratios": [2, 8]}, r"ratio 8 does not divide the window of 36 vision tokens.*Ratios that do: 1, 2, 3, 4, 6, 9"),
        ({"window": 36, "ratios": [2], "ratio": 5}, "ratio 5 does not divide"),
        ({"window": 0}, "window=0: expected a whole number"),
        ({"window": 8, "ratios": []}, r"ratios=\[\]: expected a list"),
        ({"window": 8, "attention": "fast"}, "attention='fast' is unknown; choices: auto, sdpa, flex"),
        ({"ratios": [2]}, "does not say how many vision tokens a window has"),
        ({"window": 8, "ratois": [2]}, "holds ratois, which nothing reads. Fields: window, ratios"),
    ],
)
def test_wrong_fields_name_themselves(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compression_fields(fields)


def test_fields_are_completed_and_none_stays_none() -> None:
    assert compression_fields(None) is None
    fields = compression_fields({"window": 72})
    assert fields is not None
    assert CompressionOptions(**fields).usual_ratio == 2
    assert CompressionOptions(**{**fields, "ratio": 8}).usual_ratio == 8


def test_method_and_ratio_are_read() -> None:
    assert read_long("compress:8", window=16, usual_ratio=2) == LongInput("compress", 8)
    assert read_long("compress", window=16, usual_ratio=2) == LongInput("compress", 2)
    assert read_long("choose:3", window=16, usual_ratio=None) == LongInput("choose", 3)
    assert read_long("compress:1", window=16, usual_ratio=2).method == "off"
    assert read_long("off", window=16, usual_ratio=2).method == "off"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("squeeze:4", "expected METHOD or METHOD:RATIO, with METHOD one of compress, pool, choose, drop, off"),
        ("pool:x", "expected METHOD or METHOD:RATIO"),
        ("compress:4", "no compression tokens. Train them"),
        ("pool", "no usual ratio. Name one: pool:4"),
        ("pool:3", "does not divide the window of 16"),
        ("choose:0", "expected a ratio of at least 1"),
    ],
)
def test_what_cannot_be_asked_says_why(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_long(text, window=16, usual_ratio=None)
