"""What is still to be done of a job's chunks, and what becomes of those whose worker has ended: the same wherever workers are."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from eocore.errors import UnforeseenError
from eocore.jobs.work import Chunk, Item, Outcome
from eocore.log import get_logger

MOST_DEATHS = 10
"""So many workers that end one after the other without a result say that it is not the items."""


@dataclass
class Task:
    """Items that one worker is given.

    Attributes:
        chunk: all of a chunk, or one of its items.
        attempt: 1 = the first.
    """

    chunk: Chunk
    attempt: int = 1


class Ledger:
    """Hands out tasks, and puts what comes back together to whole chunks.

    Args:
        chunks: to be done.
        attempts: how often an item is tried whose worker ends.
    """

    def __init__(self, chunks: Sequence[Chunk], *, attempts: int) -> None:
        self._tasks = deque(Task(chunk) for chunk in chunks)
        self._items: dict[int, tuple[Item, ...]] = {chunk.index: chunk.items for chunk in chunks}
        self._parts: dict[int, dict[str, Outcome]] = {}
        self._attempts, self._deaths = attempts, 0

    def __bool__(self) -> bool:
        return bool(self._tasks)

    def next_task(self) -> Task:
        """What is to be done next. Raises IndexError where there is nothing."""
        return self._tasks.popleft()

    def done(self, task: Task, outcomes: Sequence[Outcome]) -> Iterator[tuple[int, list[Outcome]]]:
        """(index, outcomes) of the task's chunk, where it is whole now."""
        self._deaths = 0
        yield from self._add(task.chunk.index, outcomes)

    def lost(self, task: Task | None, reason: str) -> Iterator[tuple[int, list[Outcome]]]:
        """As `done`, after a worker has ended: its items are tried again, alone, or have failed.

        Args:
            task: that it had, if any.
            reason: why it ended, in words.

        Raises:
            UnforeseenError: workers end whatever they are given.
        """
        self._deaths += 1
        if self._deaths >= MOST_DEATHS:
            raise UnforeseenError(
                f"{self._deaths} worker processes ended one after the other without a result, the last since {reason}. What was done "
                "before is kept. Look for too little memory (fewer workers, smaller batches), then run the same command again."
            )
        if task is None:
            return
        chunk = task.chunk
        if len(chunk.items) > 1:
            get_logger().warning("a worker process ended (%s): its %d items are tried one by one", reason, len(chunk.items))
            self._tasks.extendleft(Task(Chunk(chunk.index, (item,))) for item in reversed(chunk.items))
        elif task.attempt < self._attempts:
            self._tasks.append(Task(chunk, task.attempt + 1))
        else:
            yield from self._add(chunk.index, [Outcome(chunk.items[0].key, error=f"{reason}, {task.attempt} times")])

    def _add(self, index: int, outcomes: Sequence[Outcome]) -> Iterator[tuple[int, list[Outcome]]]:
        part = self._parts.setdefault(index, {})
        part.update((outcome.key, outcome) for outcome in outcomes)
        if len(part) == len(self._items[index]):
            del self._parts[index]
            yield index, [part[item.key] for item in self._items[index]]
