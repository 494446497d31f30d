"""The same course of training under every ZeRO stage and number of ranks, by the commands a user types."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from tolerances import ACROSS_RANKS

STEPS = 10
QUICK_STEPS = 4
Scalars = list[dict[str, float]]


def check(small: ModuleType, found: Scalars, expected: Scalars, record_property: Callable[[str, object], None]) -> None:
    deviation = small.largest_deviation(found, expected)
    record_property("largest_relative_deviation", deviation)
    print(f"largest relative deviation over {len(found)} steps: {deviation:.1e}")
    assert deviation <= ACROSS_RANKS.rtol


def test_two_ranks_of_zero_2_train_as_one_does(
    small: ModuleType, world: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    alone = small.train_alone(world, tmp_path / "alone", deepspeed="deepspeed_zero0", steps=QUICK_STEPS)
    together = small.train_together(world, tmp_path / "together", deepspeed="deepspeed_zero2", ranks=2, steps=QUICK_STEPS)
    assert len(alone) == QUICK_STEPS and len({line["loss"] for line in alone}) == QUICK_STEPS
    check(small, together, alone, record_property)


@pytest.fixture(scope="module")
def alone(small: ModuleType, world: Path, tmp_path_factory: pytest.TempPathFactory) -> Scalars:
    """One rank, no ZeRO: the reference."""
    return small.train(world, tmp_path_factory.mktemp("alone") / "work", deepspeed="deepspeed_zero0", ranks=1, steps=STEPS)


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "ranks"), [(1, 2), (2, 2), (3, 2), (2, 1), (3, 1)])
def test_every_stage_and_number_of_ranks_trains_alike(
    stage: int,
    ranks: int,
    alone: Scalars,
    small: ModuleType,
    world: Path,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    found = small.train(world, tmp_path / "work", deepspeed=f"deepspeed_zero{stage}", ranks=ranks, steps=STEPS)
    check(small, found, alone, record_property)
