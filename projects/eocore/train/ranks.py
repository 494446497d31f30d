"""What ranks tell each other besides gradients: objects from the first to all, small numbers from all to all."""

from typing import Any, TypeVar

import torch
from torch.distributed import ProcessGroup

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


def gather_to_all(value: Any) -> list[Any]:
    """Every rank's `value`, in the order of the ranks, on every rank. All ranks call it."""
    if num_ranks() == 1:
        return [value]
    everyone: list[Any] = [None] * num_ranks()
    torch.distributed.all_gather_object(everyone, value)
    return everyone
