"""Numbers of a shard that cannot be are named."""

from typing import Any

import pytest

from eocore.data.loading.shard import WHOLE, Shard
from eocore.errors import ConfigError


def test_one_process_takes_everything() -> None:
    assert Shard(rank=0, world_size=1, seed=0, start_step=0) == WHOLE


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"world_size": 0}, "world_size must be at least 1, found 0"),
        ({"rank": 2, "world_size": 2}, "rank 2 is not one of 2 ranks"),
        ({"rank": -1}, "rank -1 is not one of 1 ranks"),
        ({"start_step": -1}, "start_step must be at least 0, found -1"),
    ],
)
def test_wrong_numbers_are_named(numbers: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"shard of the data: {message}"):
        Shard(**numbers)
