"""Runs a Python program as where some packages are not installed: neither their modules nor their metadata are found.

python tests/without_packages.py deepspeed,psutil PROGRAM.py ARGUMENT...     or   ... deepspeed -m MODULE ARGUMENT...
"""

import runpy
import sys
from collections.abc import Iterable
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import Distribution, DistributionFinder
from pathlib import Path
from types import ModuleType
from typing import Any


class PartialFinder:
    """Python's own finder of modules and distributions, without those that are hidden."""

    def __init__(self, hidden: Iterable[str]) -> None:
        self.hidden = frozenset(hidden)

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        return None if name.partition(".")[0] in self.hidden else PathFinder.find_spec(name, path, target)

    def find_distributions(self, context: DistributionFinder.Context) -> Iterable[Distribution]:
        return (found for found in PathFinder.find_distributions(context) if found.metadata["Name"] not in self.hidden)

    def invalidate_caches(self) -> None:
        PathFinder.invalidate_caches()


def main() -> None:
    names, *program = sys.argv[1:]
    sys.meta_path[sys.meta_path.index(PathFinder)] = PartialFinder(names.split(","))
    if program[0] == "-m":
        sys.argv = program[1:]
        runpy.run_module(program[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = program
        sys.path[0] = str(Path(program[0]).resolve().parent)
        runpy.run_path(program[0], run_name="__main__")


if __name__ == "__main__":
    main()
