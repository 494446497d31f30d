"""Parts of the comparison with the plain stack, by name."""

from typing import Any

import pytest

from eocore.errors import ConfigError
from profiling.earthmind.plain_comparison import Effort
from profiling.earthmind.plain_parts import Sizes, compare_parts

CHOICES: dict[str, Any] = {"effort": Effort(repeats=1), "sizes": Sizes(batches=[1], same_image=1, row_length=512)}


def test_one_part_alone(settings: dict[str, Any]) -> None:
    without_rows = {name: value for name, value in settings.items() if name != "trainable_tokens"}
    (row,) = compare_parts(without_rows, ["vqa"], only=["mix"], **CHOICES)
    assert row["what"] == "train mix, packed to 512 tokens"


def test_a_part_that_is_not_there(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"no part memory of this comparison\. Choices: train, mix, equal-memory, answers"):
        compare_parts(settings, ["vqa"], only=["mix", "memory"], **CHOICES)
