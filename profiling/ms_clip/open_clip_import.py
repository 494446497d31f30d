"""OpenCLIP beside our stack: it imports torchvision, which its ViT never calls, so names of it stand in while it is imported."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import transformers  # noqa: F401  (looks for torchvision itself, before the stand-ins are there)

from eocore.errors import ConfigError

STAND_INS = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional", "torchvision.ops", "torchvision.ops.misc")


class _AnyName(type):
    """Of classes that have every attribute: interpolation modes and the like."""

    def __getattr__(cls, attribute: str) -> type:
        return _any_name(attribute)


def _any_name(attribute: str) -> type:
    if attribute.startswith("__"):
        raise AttributeError(attribute)
    return _AnyName(attribute, (), {})


@cache
def import_open_clip() -> Any:
    """The package `open_clip`; afterwards nothing named torchvision is left among the modules.

    Raises:
        ConfigError: it is not installed.
    """
    if find_spec("open_clip") is None:
        raise ConfigError("OpenCLIP is not installed. Run bash tools/setup_env.sh --extras train,eval,open_clip,dev.")
    with _torchvision_stands_in():
        return import_module("open_clip")


@contextmanager
def _torchvision_stands_in() -> Iterator[None]:
    kept = {name: sys.modules[name] for name in STAND_INS if name in sys.modules}
    try:
        for name in STAND_INS:
            sys.modules[name] = _stand_in(name)
            parent, _, child = name.rpartition(".")
            if parent:
                setattr(sys.modules[parent], child, sys.modules[name])
        yield
    finally:
        for name in STAND_INS:
            del sys.modules[name]
        sys.modules.update(kept)


def _stand_in(name: str) -> ModuleType:
    """A module any name can be imported from."""
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    module.__path__ = []
    module.__getattr__ = _any_name  # type: ignore[method-assign]
    return module
