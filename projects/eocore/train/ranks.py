"""What ranks tell each other besides gradients: objects from the first to all, small numbers from all to all."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

import torch
from torch.distributed import ProcessGroup

from eocore.errors import EOError

Shared = TypeVar("Shared")

_control: dict[ProcessGroup, ProcessGroup] = {}


def num_ranks() -> int:
    """Size of the process group; 1 without one."""
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


def control_group() -> ProcessGroup | None:
    """A group of all ranks over the network (gloo), so that flags known to the host need not wait for a GPU. All ranks call it."""
    if num_ranks() == 1:
        return None
    whole = torch.distributed.group.WORLD
    assert whole is not None
    if torch.distributed.get_backend() == "gloo":
        return whole
    if whole not in _control:
        _control.clear()
        _control[whole] = torch.distributed.new_group(backend="gloo")
    return _control[whole]


def share_from_first(value: Shared) -> Shared:
    """The first rank's `value`, on every rank. All ranks call it."""
    if num_ranks() == 1:
        return value
    box = [value]
    torch.distributed.broadcast_object_list(box, src=0)
    return box[0]


def find_on_first(find: Callable[[], Shared]) -> Shared:
    """What `find` gives on the first rank, on every rank. All ranks call it.

    Raises:
        EOError: `find` raised it; on all ranks, so that none waits for the others.
    """
    found: Shared | None = None
    problem: EOError | None = None
    if num_ranks() == 1 or torch.distributed.get_rank() == 0:
        try:
            found = find()
        except EOError as error:
            problem = error
    found, problem = share_from_first((found, problem))
    if problem is not None:
        raise problem
    return cast(Shared, found)


def gather_to_all(value: Any) -> list[Any]:
    """Every rank's `value`, in the order of the ranks, on every rank. All ranks call it."""
    if num_ranks() == 1:
        return [value]
    everyone: list[Any] = [None] * num_ranks()
    torch.distributed.all_gather_object(everyone, value)
    return everyone


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
        torch.distributed.all_reduce(totals, group=control_group())
    return dict(zip(counts[0], (totals / (len(counts) * num_ranks())).tolist(), strict=True))
