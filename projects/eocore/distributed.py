"""The processes of a run and what they tell each other besides gradients: objects, flags and counts."""

import datetime
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch.distributed import ProcessGroup

from eocore.errors import EOError

Value = TypeVar("Value")

TIMEOUT = datetime.timedelta(days=2)
"""How long a rank of an evaluation that is done waits for the slowest one; a rank that dies is noticed by torchrun, which ends all."""

_control: dict[ProcessGroup, ProcessGroup] = {}
_joined: list[ProcessGroup | None] = []
"""The group that `join_ranks` began, if any."""


@dataclass(frozen=True)
class Ranks:
    """The processes of an evaluation; one alone is a group of one.

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
        return [value] if self.world_size == 1 else gather_to_all(value)


def join_ranks() -> Ranks:
    """The ranks torchrun (or srun, through its variables) has started. Plain objects are exchanged, so gloo serves on GPUs too."""
    if "RANK" not in os.environ:
        return Ranks()
    if not dist.is_initialized():
        dist.init_process_group("gloo", timeout=TIMEOUT)
        _joined.append(dist.group.WORLD)
    return Ranks(dist.get_rank(), dist.get_world_size())


def leave_ranks() -> None:
    """Ends the group that `join_ranks` began, at the end of a run that went well; one that a training began is the training's to end."""
    if dist.is_initialized() and dist.group.WORLD in _joined:
        dist.destroy_process_group()
    _joined.clear()


def num_ranks() -> int:
    """Size of the process group; 1 without one."""
    return dist.get_world_size() if dist.is_initialized() else 1


def control_group() -> ProcessGroup | None:
    """A group of all ranks over the network (gloo), so that flags known to the host need not wait for a GPU. All ranks call it."""
    if num_ranks() == 1:
        return None
    whole = dist.group.WORLD
    assert whole is not None
    if dist.get_backend() == "gloo":
        return whole
    if whole not in _control:
        _control.clear()
        _control[whole] = dist.new_group(backend="gloo")
    return _control[whole]


def share_from_first(value: Value) -> Value:
    """The first rank's `value`, on every rank. All ranks call it."""
    if num_ranks() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def gather_to_all(value: Any) -> list[Any]:
    """Every rank's `value`, in the order of the ranks, on every rank. All ranks call it."""
    if num_ranks() == 1:
        return [value]
    everyone: list[Any] = [None] * num_ranks()
    dist.all_gather_object(everyone, value)
    return everyone


def find_on_first(find: Callable[[], Value]) -> Value:
    """What `find` returns on the first rank, on every rank. All ranks call it.

    Raises:
        EOError: `find` raised it; on all ranks, so that none waits for the others.
    """
    is_first = num_ranks() == 1 or dist.get_rank() == 0
    found, problem = share_from_first(_attempt(find) if is_first else (None, None))
    if problem is not None:
        raise problem
    return cast(Value, found)


def together(ranks: Ranks, action: Callable[[], Value]) -> Value:
    """What an action returns on this rank; raises on all of them what was raised on any, so that none waits for one that has given up.

    Raises:
        EOError: that of the first rank that failed, the same on every rank, so that all continue alike.
    """
    found, problem = _attempt(action)
    for raised in ranks.gather(problem):
        if raised is not None:
            raise raised
    return cast(Value, found)


def _attempt(action: Callable[[], Value]) -> tuple[Value | None, EOError | None]:
    """What an action returns, and the error it raised."""
    try:
        return action(), None
    except EOError as error:
        return None, error


def mean_items(counts: Sequence[Mapping[str, float]]) -> dict[str, float] | None:
    """Mean number of each item in a batch, over all batches of an update on all ranks; None where nothing is counted. All ranks call it.

    Gradients are averaged over ranks and batches. A loss that is to be the mean over all samples (or tokens) of an update, although
    batches hold unlike numbers of them, is a sum divided by the mean number in a batch.

    Args:
        counts: items of each of this rank's batches by name (`Task.count_items`); the same names in all, on all ranks.
    """
    if not counts[0]:
        return None
    totals = torch.tensor([sum(batch[name] for batch in counts) for name in counts[0]], dtype=torch.float64)
    if num_ranks() > 1:
        dist.all_reduce(totals, group=control_group())
    return dict(zip(counts[0], (totals / (len(counts) * num_ranks())).tolist(), strict=True))
