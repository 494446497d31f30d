"""Typed values of JSON texts: what is wrong is named by field, found and expected, in an error of the caller's class."""

from dataclasses import dataclass, field

import pytest
from typing_extensions import TypedDict

from eocore.errors import AnnotationError, CheckpointError, DataError
from eocore.json_fields import CLOSED, OPEN, parse_fields


@dataclass(frozen=True)
class Sensor:
    """A closed dataclass."""

    __pydantic_config__ = CLOSED

    name: str
    bands: tuple[str, ...]
    sizes: dict[str, int] = field(default_factory=dict)


class Product(TypedDict):
    """An open dict."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    sensors: list[Sensor]


def test_lists_become_tuples_and_further_fields_of_an_open_type_stay() -> None:
    text = '{"sensors": [{"name": "s1", "bands": ["VV", "VH"]}], "orbit": {"pass": 3}}'
    product = parse_fields(text, Product, source="a.json", remedy="")
    assert product == {"sensors": [Sensor("s1", ("VV", "VH"))], "orbit": {"pass": 3}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"a\.json: not JSON \(EOF .* at line 1 column 1\)\. Copy it again\."),
        ("[]", r"a\.json: expected an object, found \[\]\. Copy it again\."),
        ("{}", r"a\.json: lacks sensors\."),
        ('{"sensors": [{"name": "s1", "bands": [], "unit": "dB"}]}', r"has the unknown sensors\[0\]\.unit\."),
        ('{"sensors": [{"name": "s1", "band": []}]}', r"lacks sensors\[0\]\.bands; has the unknown sensors\[0\]\.band\."),
        ('{"sensors": [{"name": 1, "bands": ["VV"]}]}', r"field sensors\[0\]\.name: expected a valid string, found 1\."),
        ('{"sensors": [{"name": "s1", "bands": [], "sizes": {"a": "3"}}]}', r"sizes\.a: expected a valid integer, found '3'"),
        ('{"sensors": [1, 2, 3, 4, 5]}', r"sensors\[2\]: expected an object, found 3; 2 more\."),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_fields(text, Product, source="a.json", remedy="Copy it again.")


@pytest.mark.parametrize("error", [AnnotationError, CheckpointError])
def test_the_error_is_of_the_class_asked_for(error: type[DataError]) -> None:
    with pytest.raises(error, match="b: expected a valid string, found 3"):
        parse_fields(b"3", str, source="b", remedy="", error=error)
