"""A processor of options that a model decides and of options that a config states."""

from dataclasses import dataclass
from typing import Any

import pytest

from eocore.errors import ConfigError
from eocore.models.processors import make_processor


@dataclass(frozen=True)
class Options:
    size: int
    crop: bool = False

    def __post_init__(self) -> None:
        if self.crop and self.size < 2:
            raise ValueError("crop needs 2 pixels.")


def make(fields: dict[str, Any], *, size: int = 4) -> tuple[str, Options]:
    return make_processor(fields, {"size": size}, options_class=Options, make=lambda options: ("processor", options))


def test_options_of_both() -> None:
    assert make({"crop": True}) == ("processor", Options(size=4, crop=True))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": 4}, "processor states size, which the model decides. Remove it."),
        ({"crop": "yes"}, "processor.crop"),
        ({"corp": True}, "corp"),
    ],
)
def test_what_a_config_may_not_state(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(fields)


def test_options_that_do_not_fit_together() -> None:
    with pytest.raises(ConfigError, match=r"^processor: crop needs 2 pixels. Fields: see Options.$"):
        make({"crop": True}, size=1)
