"""Items, what is done with each, and what comes out: all that an executor needs, on one machine or on many."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from eocore.errors import EOError, UnforeseenError, describe_unforeseen

ATTEMPTS = 3
"""How often an item is tried that fails for a reason that may pass, or whose process ends."""
FIRST_PAUSE_S = 0.2
"""Before the second attempt; it doubles with each. A network file system needs moments to come back."""


@dataclass(frozen=True)
class Item:
    """One piece of work.

    Attributes:
        key: unique in its job.
        payload: what the work needs to know of it: JSON values alone, so that it can be written down and sent anywhere.
    """

    key: str
    payload: Mapping[str, Any]


Result: TypeAlias = Mapping[str, Any]
"""Name -> JSON value or array, of one item."""
Work: TypeAlias = Callable[[Sequence[Item]], Sequence[Result]]
"""One result an item. It is pickled, sent to processes, and called there many times: what it loads it keeps. The result of an item must not
depend on the items beside it, which are there so that a model sees a batch."""


@dataclass(frozen=True)
class Outcome:
    """What became of an item.

    Attributes:
        key: of the item.
        result: None where it failed.
        error: why it failed, in one line.
    """

    key: str
    result: Result | None = None
    error: str = ""


@dataclass(frozen=True)
class Chunk:
    """Items that are done together.

    Attributes:
        index: of the chunk in its job.
        items: one or more.
    """

    index: int
    items: tuple[Item, ...]


class Executor(Protocol):
    """Where chunks are worked on: processes of this machine (`eocore.jobs.processes`), or those of a cluster."""

    def run(self, work: Work, chunks: Sequence[Chunk]) -> Iterator[tuple[int, list[Outcome]]]:
        """(index, outcomes in the order of the items) of every chunk, as each is finished.

        Raises:
            EOError: the work cannot be done at all, for whatever item.
        """


def run_items(work: Work, items: Sequence[Item], *, attempts: int = ATTEMPTS) -> list[Outcome]:
    """The outcome of every item; one that fails costs no other its result.

    Args:
        work: is called with all items, and where that fails with each alone.
        items: one or more.
        attempts: how often an item alone is tried; an `EOError`, which says what is wrong with it, is not tried again.
    """
    if len(items) == 1:
        return [_run_one(work, items[0], attempts=attempts)]
    try:
        return _outcomes(work, items)
    except Exception:  # of whatever kind: the items alone show which it is
        return [_run_one(work, item, attempts=attempts) for item in items]


def _run_one(work: Work, item: Item, *, attempts: int) -> Outcome:
    for attempt in range(1, attempts + 1):
        try:
            return _outcomes(work, [item])[0]
        except EOError as error:
            return Outcome(item.key, error=" ".join(str(error).split()) or type(error).__name__)
        except Exception as error:
            reason = describe_unforeseen(error)
        if attempt < attempts:
            time.sleep(FIRST_PAUSE_S * 2 ** (attempt - 1))
    return Outcome(item.key, error=f"{reason}, {attempts} times")


def _outcomes(work: Work, items: Sequence[Item]) -> list[Outcome]:
    results = work(items)
    if len(results) != len(items):
        raise UnforeseenError(f"the work returned {len(results)} results of {len(items)} items; one an item is expected. Correct the work.")
    return [Outcome(item.key, result) for item, result in zip(items, results, strict=True)]
