"""DeepSpeed's hooks set aside and put back; what that is for: tests/eocore/train/validation/test_hook.py, on one rank and two."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from eocore.train.zero.whole import _without_hooks, whole_weights


def test_hooks_are_not_called_inside_and_stand_where_they_stood() -> None:
    layer, called = nn.Linear(2, 2), []

    def note(name: str) -> Any:
        return lambda *_: called.append(name)

    first = layer.register_forward_hook(note("own, first"))
    own = layer.register_forward_hook(note("own, last"))
    offload = SimpleNamespace(
        fwd_pre_hook=layer.register_forward_pre_hook(note("start")),
        forward_hooks=[layer.register_forward_hook(note("fetch"))],
        backward_hooks=[layer.register_forward_hook(note("release"))],
    )
    last = layer.register_forward_hook(note("after"))
    with _without_hooks(offload):
        layer(torch.zeros(1, 2))
        during = layer.register_forward_hook(note("during"))
    assert called == ["own, first", "own, last", "after"]
    called.clear()
    layer(torch.zeros(1, 2))
    assert called == ["start", "own, first", "own, last", "fetch", "release", "after", "during"]
    for handle in (first, own, last, during, offload.fwd_pre_hook, *offload.forward_hooks, *offload.backward_hooks):
        handle.remove()
    called.clear()
    layer(torch.zeros(1, 2))
    assert called == []


def test_other_stages_gather_nothing() -> None:
    with whole_weights(SimpleNamespace(optimizer=None, module=nn.Linear(1, 1))):
        pass
