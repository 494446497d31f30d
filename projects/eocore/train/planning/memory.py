"""Memory of a training step, from a model without memory: every tensor a step would allocate is counted, none is."""

import weakref
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary
from typing_extensions import override

from eocore.train.task import Task


class LiveMemory(TorchDispatchMode):
    """Counts the bytes of all tensors that are made while it is on: `now`, and the highest `now` there was (`peak`).

    What existed before is not counted; views count once. torch.distributed._tools.MemTracker does this too, but not with frozen weights.
    """

    def __init__(self, existing: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known = WeakIdKeyDictionary()
        for tensor in existing:
            self._known[tensor.untyped_storage()] = True

    @override
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        outputs = func(*args, **(kwargs or {}))
        for output in tree_leaves(outputs):
            if isinstance(output, Tensor):
                self._see(output.untyped_storage())
        return outputs

    def _see(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        self._known[storage] = True
        size = storage.nbytes()
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, size)

    def _forget(self, size: int) -> None:
        self.now -= size


@dataclass(frozen=True, kw_only=True)
class StepMemory:
    """Bytes that a step takes beside weights, gradients and optimiser state; the batch itself counts in both.

    Attributes:
        kept: alive between forward and backward.
        peak: highest at any moment.
    """

    kept: int
    peak: int


def measure_step(task: Task, batch: Any) -> StepMemory:
    """What one forward and backward allocates; with fake weights and a fake batch nothing is.

    Every gradient is dropped as soon as it is whole: how long it stays is ZeRO's affair (`eocore.train.zero.memory`).
    """
    hooks = [parameter.register_post_accumulate_grad_hook(_drop_gradient) for parameter in task.parameters() if parameter.requires_grad]
    inputs = [leaf for leaf in tree_leaves(batch) if isinstance(leaf, Tensor)]
    fake = _fake_mode(inputs)
    try:
        with fake if fake is not None else nullcontext(), LiveMemory([*task.parameters(), *task.buffers(), *inputs]) as memory:
            total, _ = task.parse_losses(task(batch))
            kept = memory.now
            total.backward()
    finally:
        for hook in hooks:
            hook.remove()
    held = _storage_bytes(inputs)
    return StepMemory(kept=kept + held, peak=memory.peak + held)


def as_fake(task: Task, mode: FakeTensorMode, *, dtype: torch.dtype) -> Task:
    """The task with fake weights on the CPU in `dtype`, for `measure_step`; in place, ties and `requires_grad` kept.

    Args:
        task: usually built on the meta device.
        mode: of the fake weights.
        dtype: of the weights; buffers keep theirs, as in the engine.
    """
    made: dict[int, Tensor] = {}

    def fake(tensor: Tensor) -> Tensor:
        if id(tensor) not in made:
            kind = dtype if isinstance(tensor, nn.Parameter) and tensor.is_floating_point() else tensor.dtype
            made[id(tensor)] = torch.empty(tensor.shape, dtype=kind, device="cpu")
            if isinstance(tensor, nn.Parameter):
                made[id(tensor)] = nn.Parameter(made[id(tensor)], requires_grad=tensor.requires_grad)
        return made[id(tensor)]

    with mode:
        for module in task.modules():
            for table in (module._parameters, module._buffers):
                for name, tensor in table.items():
                    if tensor is not None:
                        table[name] = fake(tensor)
    return task


def _storage_bytes(tensors: Iterable[Tensor]) -> int:
    storages = WeakIdKeyDictionary()
    for tensor in tensors:
        storages[tensor.untyped_storage()] = tensor.untyped_storage().nbytes()
    return sum(storages.values())


def _drop_gradient(parameter: Tensor) -> None:
    parameter.grad = None


def _fake_mode(tensors: Iterable[Tensor]) -> FakeTensorMode | None:
    return next((tensor.fake_mode for tensor in tensors if hasattr(tensor, "fake_mode")), None)
