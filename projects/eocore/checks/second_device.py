"""A second device on a machine that has none: tensors that hold their values on the CPU under another device's name.

Operators whose tensors are on several devices raise, as they do on a GPU; everything else computes on the CPU, so that code which reads
values (`.item()`, `nonzero`) runs too. Two names are known:

- "other", torch's private-use device: with any build of torch, forward and backward. Code that asks for "cuda" takes its other branch.
- "cuda": with a build of torch that is linked with CUDA, without a GPU or a driver; forward alone, since torch's autograd asks the driver.

It registers devices for the whole process and for good: use it in a process of its own, before the first backward (torch starts a thread
for each device there is then). It sees devices alone: no kernels of a GPU, no memory, no streams, no speed.
"""

import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend
from typing_extensions import override

from eocore.errors import ConfigError
from eocore.replaced import replaced

CPU = torch.device("cpu")
NAMES = ("other", "cuda")
CAPABILITY = (8, 0)
"""Of the GPU that "cuda" stands for: an A100."""

aten = torch.ops.aten
COPIES = {aten._to_copy.default, aten.copy_.default}
"""Operators that take tensors of two devices."""
INDEXED = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default}
"""Operators whose indices, the second argument, may lie on the CPU while the indexed tensor does not."""
READS = {aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default, aten.equal.default}
"""Operators whose result, or its shape, the host needs before it can continue."""
MATH_ATTENTION = 0
"""torch.nn.attention.SDPBackend.MATH: attention made of plain operators, which every device has."""


class MixedDevices(RuntimeError):
    """An operator was given tensors of several devices."""


class NamedTensor(Tensor):
    """A tensor whose device is the second one and whose values are those of `held`, on the CPU."""

    held: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, held: Tensor, *, device: torch.device) -> "NamedTensor":
        made: NamedTensor = Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=device,
            requires_grad=False,
        )
        made.held = held
        return made

    def __tensor_flatten__(self) -> tuple[list[str], torch.device]:
        """What torch needs to know to exchange a module's tensors for such ones."""
        return ["held"], self.device

    @staticmethod
    def __tensor_unflatten__(inner: Mapping[str, Tensor], device: torch.device, _size: Any, _stride: Any) -> "NamedTensor":
        return NamedTensor(inner["held"], device=device)

    @classmethod
    @override
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        """Operators outside of `second_device`, such as those of destructors."""
        return _compute(func, args, kwargs=kwargs or {})

    def tolist(self) -> Any:
        """Plain numbers, for which the host waits; torch refuses it for all subclasses."""
        return self.cpu().tolist()

    def numpy(self, *, force: bool = False) -> Any:
        """As torch says it of every device but the CPU.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() first.")

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"NamedTensor({self.held!r}, device='{self.device}')"


class Waits(TorchDispatchMode):
    """Sends every operator to the second device where it belongs, and notes where the host would wait for the device.

    Attributes:
        locations: "file:line function" of the innermost frame below a folder of `own` -> times; calls from elsewhere do not count.
    """

    def __init__(self, own: Sequence[str] = ("projects",)) -> None:
        super().__init__()
        self.own = tuple(f"/{folder}/" for folder in own)
        self.locations: Counter[str] = Counter()

    @override
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        location = self._location() if _waits(func, args, kwargs=kwargs) else None
        if location is not None:
            self.locations[location] += 1
        return _compute(func, args, kwargs=kwargs)

    def _location(self) -> str | None:
        for frame in reversed(traceback.extract_stack()):
            folder = next((folder for folder in self.own if folder in frame.filename), None)
            if folder is not None and frame.filename != __file__:
                return f"{frame.filename.rpartition(folder)[2]}:{frame.lineno} {frame.name}"
        return None


class _OtherModule(_DummyBackendModule):
    """`torch.other`: what torch asks of a device's module."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        """For autocast, which activation checkpointing asks for the state of."""
        return [torch.bfloat16]


@contextmanager
def second_device(name: str = "other") -> Iterator[tuple[torch.device, Waits]]:
    """Within it there is a device of this name; returns it, and where the host would have waited for it.

    Args:
        name: one of `NAMES`.

    Raises:
        ConfigError: another name, or "cuda" with a torch that is not linked with CUDA.
    """
    if name not in NAMES:
        raise ConfigError(f"no second device '{name}'. Choices: {', '.join(NAMES)}.")
    waits = Waits()
    with ExitStack() as stack:
        if name == "cuda":
            _enter_cuda(stack)
        else:
            _register_other()
        # torch.tensor(values, device=...) makes its tensor on the CPU and sends it, as it does for torch's own fake tensors
        stack.callback(torch._C._set_only_lift_cpu_tensors, torch._C._only_lift_cpu_tensors())
        torch._C._set_only_lift_cpu_tensors(True)
        stack.enter_context(waits)
        yield torch.device(name, 0), waits


def _register_other() -> None:
    if torch._C._get_privateuse1_backend_name() != "other":
        _setup_privateuseone_for_python_backend("other", backend_module=_OtherModule())


def _enter_cuda(stack: ExitStack) -> None:
    if torch.version.cuda is None:
        raise ConfigError(
            f"torch {torch.__version__} is not linked with CUDA, so it knows no device 'cuda'. Take a build that is, or 'other'."
        )
    torch._C._ensureCUDADeviceGuardSet()
    states = {"get_rng_state": lambda *_, **__: torch.get_rng_state(), "set_rng_state": lambda *_, **__: None}
    for attribute, stand_in in {**states, "_lazy_init": lambda: None, "get_device_capability": lambda *_: CAPABILITY}.items():
        stack.enter_context(replaced(torch.cuda, attribute, value=stand_in))


def _compute(func: Any, args: Any, *, kwargs: dict[str, Any]) -> Any:
    """What `func` returns, computed on the CPU, under the device that it would be on."""
    named = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, NamedTensor)]
    device = _result_device(named, kwargs)
    if not named and device.type == "cpu":
        return func(*args, **kwargs)
    _check_devices(func, args, kwargs=kwargs)
    if func is aten._fused_sdp_choice.default:
        return MATH_ATTENTION
    if named and str(func).startswith("torch_attn._varlen_attn."):
        return tree_map_only(Tensor, lambda result: NamedTensor(result, device=device), _varlen_results(*args))
    held = tree_map_only(NamedTensor, lambda tensor: tensor.held, (args, kwargs))
    results = func(*held[0], **{**held[1], **({"device": CPU} if "device" in kwargs else {}), **_unpinned(kwargs)})
    if device.type == "cpu":
        return results
    results = tree_map_only(Tensor, lambda result: NamedTensor(result, device=device), results)
    return return_and_correct_aliasing(func, args, kwargs, results) if named else results


def _result_device(named: Sequence[NamedTensor], kwargs: Mapping[str, Any]) -> torch.device:
    stated = kwargs.get("device")
    if stated is not None:
        device = torch.device(stated)
        return device if device.type == "cpu" or device.index is not None else torch.device(device.type, 0)
    return named[0].device if named else CPU


def _unpinned(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {"pin_memory": False} if kwargs.get("pin_memory") else {}


def _check_devices(func: Any, args: Any, *, kwargs: Mapping[str, Any]) -> None:
    """Raises MixedDevices where a GPU would. Single numbers on the CPU go with tensors of any device."""
    if func in COPIES:
        return
    looked_at = (args[0], args[2:], kwargs) if func in INDEXED and isinstance(args[0], NamedTensor) else (args, kwargs)
    tensors = [leaf for leaf in tree_leaves(looked_at) if isinstance(leaf, Tensor)]
    devices = {tensor.device for tensor in tensors if tensor.dim() or tensor.device.type != "cpu"}
    if len(devices) > 1:
        shown = ", ".join(f"{tuple(tensor.shape)} on {tensor.device}" for tensor in tensors)
        raise MixedDevices(f"{func}: expected all tensors on the same device, found {shown}")


def _waits(func: Any, args: Any, *, kwargs: Mapping[str, Any]) -> bool:
    """Whether the host waits for the device: to read from it, or to write to it what is not to be sent in passing (`non_blocking`)."""
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    on_device = any(isinstance(tensor, NamedTensor) for tensor in tensors)
    if func in READS:
        return on_device
    if func is aten._to_copy.default:
        target = torch.device(kwargs.get("device") or args[0].device).type
        return (target != args[0].device.type) and not kwargs.get("non_blocking")
    if func is aten.copy_.default:
        return args[0].device != args[1].device and not (args[2] if len(args) > 2 else kwargs.get("non_blocking"))
    indices = [index for index in tree_leaves(args[1]) if isinstance(index, Tensor)] if func in INDEXED and on_device else []
    return any(index.dtype in (torch.bool, torch.uint8) or not isinstance(index, NamedTensor) for index in indices)


def _varlen_results(query: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Results in shape alone, zeros: torch's kernel for samples of unlike length exists on GPUs only. Output, log-sum-exp, random state."""
    total, heads, _width = query.shape
    return torch.zeros(query.shape, dtype=query.dtype), torch.zeros(heads, total), torch.zeros(2, dtype=torch.int64)
