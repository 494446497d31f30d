"""The tiny task as a module, and an environment that a training leaves as it found it."""

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from eocore.train.device import set_deepspeed_accelerator

set_deepspeed_accelerator()
TINY_TASK = Path(__file__).with_name("tiny_task.py")


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """tiny_task.py, imported."""
    spec = importlib.util.spec_from_file_location("tiny_task", TINY_TASK)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def kept_environment() -> Iterator[None]:
    """A training started alone sets the variables of a group of one; later tests must not inherit them."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def faulty() -> ModuleType:
    """faulty_task.py, imported by its name, so that processes of the ranks can import it too."""
    sys.path.insert(0, str(TINY_TASK.parent))
    return importlib.import_module("faulty_task")
