"""ZeRO-3 weights whole on every rank for a while, without the machinery that gathers and frees them layer by layer."""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from eocore.train.device import require_deepspeed

require_deepspeed()

import deepspeed  # noqa: E402  (the accelerator must be chosen before)
from deepspeed.runtime.zero.partition_parameters import ZeroParamStatus  # noqa: E402

Hooks = MutableMapping[int, Any]


@contextmanager
def whole_weights(engine: Any) -> Iterator[None]:
    """Inside, every parameter of a ZeRO-3 engine is whole on every rank, so that ranks may call the model unequally often; they must not
    be changed. Nothing happens in other stages. All ranks enter and leave together.

    DeepSpeed's hooks are set aside: they would free each layer after its use, and remember the order of these calls as that of a step.
    """
    offload = getattr(engine.optimizer, "parameter_offload", None)
    if offload is None:
        yield
        return
    parameters = [parameter for parameter in engine.module.parameters() if hasattr(parameter, "ds_id")]
    partitioned = [parameter for parameter in parameters if parameter.ds_status == ZeroParamStatus.NOT_AVAILABLE]
    with deepspeed.zero.GatheredParameters(partitioned, enabled=bool(partitioned)), _without_hooks(offload):
        yield


@contextmanager
def _without_hooks(offload: Any) -> Iterator[None]:
    """Inside, the hooks of `offload` are not called; afterwards they stand where they stood among others."""
    handles = [offload.fwd_pre_hook, *offload.forward_hooks, *offload.backward_hooks]
    own: dict[int, tuple[Hooks, set[int]]] = {}
    for handle in handles:
        table = handle.hooks_dict_ref()
        if table is not None:
            own.setdefault(id(table), (table, set()))[1].add(handle.id)
    before = [(table, list(table.items()), names) for table, names in own.values()]
    for table, _, names in before:
        for name in names:
            table.pop(name, None)
    try:
        yield
    finally:
        for table, entries, _ in before:
            added = [(name, hook) for name, hook in table.items() if name not in dict(entries)]
            table.clear()
            table.update([*entries, *added])
