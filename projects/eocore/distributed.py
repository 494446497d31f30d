"""Evaluation on several processes: who this one is, and how they tell each other what they have."""

import datetime
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch.distributed as dist

from eocore.errors import EOError

Value = TypeVar("Value")

TIMEOUT = datetime.timedelta(days=2)
"""How long a rank that is done waits for the slowest one; a rank that dies is noticed by torchrun, which ends all."""


@dataclass(frozen=True)
class Ranks:
    """The processes of a run; one alone is a group of one.

    Attributes:
        rank: of this process, from 0.
        world_size: number of processes.
    """

    rank: int = 0
    world_size: int = 1

    @property
    def is_first(self) -> bool:
        """True on the one that merges, scores and speaks."""
        return self.rank == 0

    def gather(self, value: Any) -> list[Any]:
        """The values of all ranks, in their order, on every rank; waits for all of them."""
        if self.world_size == 1:
            return [value]
        found: list[Any] = [None] * self.world_size
        dist.all_gather_object(found, value)
        return found


def together(ranks: Ranks, action: Callable[[], Value]) -> Value:
    """What an action gives on this rank; raises on all of them what was raised on any, so that none waits for one that has given up.

    Raises:
        EOError: that of the first rank that failed, the same on every rank, so that all go on alike.
    """
    given: list[Value] = []
    problem: EOError | None = None
    try:
        given.append(action())
    except EOError as error:
        problem = error
    problems = [error for error in ranks.gather(problem) if error is not None]
    if problems:
        raise problems[0]
    return given[0]


def join_ranks() -> Ranks:
    """The ranks torchrun (or srun, through its variables) has started. Plain objects are exchanged, so gloo serves on GPUs too."""
    if "RANK" not in os.environ:
        return Ranks()
    if not dist.is_initialized():
        dist.init_process_group("gloo", timeout=TIMEOUT)
    return Ranks(dist.get_rank(), dist.get_world_size())


def leave_ranks() -> None:
    """Ends the group, at the end of a run that went well."""
    if dist.is_initialized():
        dist.destroy_process_group()
