"""Open lists of names."""

import pytest

from eocore.choices import Choices
from eocore.errors import ConfigError


def test_names_keep_the_order_of_registration_and_can_be_found() -> None:
    choices = Choices("colour", {"red": 1})
    choices.register("blue", 2)
    choices.register("blue", 2)
    assert list(choices) == ["red", "blue"] and str(choices) == "red, blue" and choices.position("blue") == 1
    assert choices.find("red") == 1 and "green" not in choices


def test_an_unknown_name_is_told_with_the_choices() -> None:
    with pytest.raises(ConfigError, match=r"no colour 'rad'\. Did you mean 'red'\? Choices: red\."):
        Choices("colour", {"red": 1}).find("rad")


def test_another_entry_under_a_taken_name_is_refused() -> None:
    choices = Choices("colour", {"red": 1})
    with pytest.raises(ConfigError, match="colour 'red' is registered already, as 1"):
        choices.register("red", 2)
