"""A model in training used for something else, and left as if nothing had been: weights, modes, random states."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from eocore.data.loading.worker_status import own_table
from eocore.train.checkpoint.random_state import random_states, restore_random_states
from eocore.train.strategy import ZeroStrategy
from eocore.train.task import Task

COMPILER = "torch._dynamo"
"""Imported where anything is compiled; importing it takes seconds."""


@contextmanager
def undisturbed(strategy: ZeroStrategy, task: Task) -> Iterator[None]:
    """Inside, the task is in eval mode, keeps no graph, has whole weights on every rank and compiles nothing. All ranks enter together.

    Args:
        strategy: prepared.
        task: inside its engine.
    """
    states = random_states()
    modes = [(module, module.training) for module in task.modules()]
    task.eval()
    try:
        with own_table(), strategy.whole_weights(), torch.no_grad(), _uncompiled():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        restore_random_states(states)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # blocks of the sizes that generation asks for are of no use to the training


def _uncompiled() -> AbstractContextManager[Any]:
    """Layers compiled for the training would be compiled again for each shape seen here, up to a limit that counts for both."""
    return torch.compiler.set_stance("force_eager") if COMPILER in sys.modules else nullcontext()
