"""How options of the data combine; tests/earthmind/test_task.py loads through them."""

from typing import Any

import pytest

from eocore.errors import ConfigError
from eocore.train.options import DataOptions
from eocore.train.training_data import TrainingData


@pytest.mark.parametrize(
    ("options", "row_length", "max_length"),
    [
        ({"max_length": 30}, None, 30),
        ({"max_length": 30, "row_length": 90}, 90, 30),
        ({"max_length": 90, "row_length": 30}, 30, 30),
        ({"max_length": 90, "packing": {"max_tokens": 40}}, 40, 40),
    ],
)
def test_a_row_has_room_for_the_longest_sample(options: dict[str, Any], row_length: int | None, max_length: int) -> None:
    data = TrainingData(DataOptions(**options))
    assert (data.row_length, data.max_length) == (row_length, max_length)
    assert not data.full_rows


def test_sections_are_checked_and_resolved() -> None:
    resolved = TrainingData(DataOptions(packing={"max_tokens": 40, "full_rows": True}, data_faults={"policy": "skip"})).resolved()
    assert resolved["data_faults"].values == {"policy": "skip"}
    assert resolved["packing"].values["max_tokens"] == 40 and "folder" not in resolved["packing"].values
    with pytest.raises(ConfigError, match=r"config section 'packing' has no option 'max_token'\. Did you mean 'max_tokens'"):
        TrainingData(DataOptions(packing={"max_token": 40}))


def test_without_packing_there_are_no_packs() -> None:
    with pytest.raises(ConfigError, match=r"no task\.packing\. Add \+task\.packing\.max_tokens"):
        TrainingData(DataOptions()).build_packs(None, None, rules=None)  # type: ignore[arg-type]
