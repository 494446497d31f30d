"""What a piece of work asks of torch: operators dispatched, and those among them that make the host wait for the device."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from typing_extensions import override

aten = torch.ops.aten
WAITS = {aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default, aten.equal.default}
"""Operators whose result, or its shape, the host needs before it can continue."""


class OperatorCount(TorchDispatchMode):
    """Counts the operators that reach a backend while it is on; views, which launch nothing, are left out.

    Attributes:
        names: operator -> calls, views left out.
        waits: operator -> calls, of those in `WAITS`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()

    @override
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not func.is_view:
            self.names[str(func)] += 1
        if func in WAITS:
            self.waits[str(func)] += 1
        return func(*args, **(kwargs or {}))

    @property
    def total(self) -> int:
        """Operators that are no views: on a GPU about as many launches."""
        return sum(self.names.values())


def count_operators(work: Callable[[], object]) -> OperatorCount:
    """The operators of one call."""
    with OperatorCount() as count:
        work()
    return count
