"""What ranks tell each other, alone and on two processes."""

import os
from pathlib import Path

import pytest
from evaluation_runs import on_ranks

from eocore.distributed import (
    Ranks,
    control_group,
    find_on_first,
    gather_to_all,
    join_ranks,
    leave_ranks,
    mean_items,
    num_ranks,
    share_from_first,
    together,
)
from eocore.errors import DataError, EOError


def fail(text: str) -> None:
    raise DataError(text)


def message(call: object, *arguments: object) -> str:
    """What a call raises."""
    try:
        call(*arguments)  # type: ignore[operator]
    except EOError as error:
        return str(error)
    return ""


def test_one_process_is_a_group_of_one() -> None:
    ranks = join_ranks()
    assert ranks == Ranks(0, 1) and ranks.is_first and num_ranks() == 1 and control_group() is None
    assert share_from_first("a") == "a" and gather_to_all(3) == [3] == ranks.gather(3)
    assert find_on_first(lambda: 5) == 5 == together(ranks, lambda: 5)
    assert together(ranks, lambda: None) is None
    for call in (lambda: find_on_first(lambda: fail("broken")), lambda: together(ranks, lambda: fail("broken"))):
        with pytest.raises(DataError, match="broken"):
            call()


def test_counts_of_an_update_are_means_over_its_batches() -> None:
    assert mean_items([{"tokens": 4, "masks": 0}, {"tokens": 8, "masks": 1}]) == {"tokens": 6.0, "masks": 0.5}
    assert mean_items([{}, {}]) is None


def talk(rank: int, world_size: int, port: int, folder: Path) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(world_size), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    ranks = join_ranks()
    found = [
        ranks == Ranks(rank, 2),
        ranks.gather(rank) == gather_to_all(rank) == [0, 1],
        share_from_first(f"of {rank}") == "of 0",
        find_on_first(lambda: f"of {rank}") == "of 0",
        together(ranks, lambda: rank) == rank,
        message(find_on_first, lambda: fail(f"of {rank}")) == "of 0",
        message(together, ranks, lambda: fail("of 1") if rank else 0) == "of 1",
        mean_items([{"tokens": 2.0 + 4 * rank}]) == {"tokens": 4.0},
    ]
    leave_ranks()
    (folder / str(rank)).write_text(str(found))


def test_two_processes_know_of_each_other_and_of_each_others_errors(tmp_path: Path) -> None:
    assert on_ranks(2, talk, tmp_path) == [0, 0]
    assert {path.read_text() for path in tmp_path.iterdir()} == {str([True] * 8)}
