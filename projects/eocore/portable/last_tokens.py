"""Prompts whose last token alone is read further: the last layer's MLP is spared the others, which are nearly all."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def last_tokens_alone(decoder: nn.Module) -> Iterator[None]:
    """Within it, and in this thread, the MLP of the decoder's last layer is given the last token of each row (R, S, D) alone.

    The layer adds what it returns, (R, 1, D), to all tokens; only the last one's state is right then. Keys and values of all are: they come
    before. Layers without an MLP of that name, and compiled ones, go on as they are.
    """
    layers: Any = getattr(decoder, "layers", None)
    mlp = getattr(layers[-1], "mlp", None) if layers else None
    if mlp is None:
        yield
        return
    own = threading.get_ident()

    def take_last(_module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
        return (given[0][:, -1:], *given[1:]) if given and threading.get_ident() == own else None

    hook = mlp.register_forward_pre_hook(take_last)
    try:
        yield
    finally:
        hook.remove()
