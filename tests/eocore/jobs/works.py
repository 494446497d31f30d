"""Work that test jobs do, in a module of its own so that worker processes can import it."""

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eocore.errors import DataError
from eocore.jobs.work import Item, Result


def numbered(count: int) -> list[Item]:
    return [Item(f"item {number}", {"number": number}) for number in range(count)]


@dataclass(frozen=True)
class Square:
    """Squares numbers, as a value and as an array, and writes down each call.

    Attributes:
        log: takes a line for each number worked on.
        broken: numbers that are refused.
        deadly: numbers at which the process ends at once.
        pause_s: of each item.
    """

    log: Path
    broken: tuple[int, ...] = ()
    deadly: tuple[int, ...] = ()
    pause_s: float = 0.0

    def __call__(self, items: Sequence[Item]) -> list[Result]:
        numbers = [int(item.payload["number"]) for item in items]
        time.sleep(self.pause_s * len(items))
        for number in numbers:
            if number in self.deadly:
                os.kill(os.getpid(), signal.SIGKILL)
            if number in self.broken:
                raise DataError(f"{number} is refused")
        with self.log.open("a") as file:
            file.write("".join(f"{number}\n" for number in numbers))
        return [{"square": number**2, "vector": np.full(3, number**2, dtype=np.float32)} for number in numbers]


class Located:
    """Squares numbers slowly, and says in which process."""

    def __call__(self, items: Sequence[Item]) -> list[Result]:
        time.sleep(0.1 * len(items))
        return [{"square": int(item.payload["number"]) ** 2, "pid": os.getpid()} for item in items]


@dataclass(frozen=True)
class FailsOnce:
    """Fails the first time it is called for an item, by an error of a library."""

    folder: Path

    def __call__(self, items: Sequence[Item]) -> list[Result]:
        for item in items:
            mark = self.folder / item.key
            if not mark.exists():
                mark.touch()
                raise ConnectionError("the network is away")
        return [{} for _ in items]


class Hangs:
    """Never comes back with item 1."""

    def __call__(self, items: Sequence[Item]) -> list[Result]:
        if any(item.payload["number"] == 1 for item in items):
            time.sleep(3600)
        return [{} for _ in items]


class CannotBeLoaded:
    """What every worker process fails to make."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return _refuse, ("no such model",)

    def __call__(self, items: Sequence[Item]) -> list[Result]:
        raise AssertionError("never called")


def _refuse(text: str) -> None:
    raise DataError(text)
