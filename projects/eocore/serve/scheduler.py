"""Which requests go to which worker, and which are answered together. One object a model; another class may take its place."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Protocol

from eocore.errors import BusyError
from eocore.serve.messages import Task, TextsRequest
from eocore.serve.requests import GenerateRequest, ImagesRequest


@dataclass(frozen=True, kw_only=True)
class BatchingOptions:
    """How requests are put together.

    Attributes:
        max_batch: most requests of a batch.
        max_waiting: requests beyond this are refused.
        wait_s: how long a request that is ready waits for others that a worker still reads [s].
    """

    max_batch: int = 16
    max_waiting: int = 256
    wait_s: float = 0.01


class Scheduler(Protocol):
    """Decides; it moves nothing and waits for nothing. All is called by one thread."""

    def add(self, number: int, key: Hashable) -> None:
        """A request has come; those of equal keys may be answered together. Raises BusyError where too many wait."""

    def assign(self, room: Mapping[int, int]) -> list[tuple[int, int]]:
        """(request, worker) of requests that a worker shall read now; `room` is what each worker has not had assigned yet."""

    def ready(self, number: int) -> None:
        """A worker has read the images of this request."""

    def batch(self, worker: int) -> list[int]:
        """Requests that an idle worker shall answer now; none where it is better to wait."""

    def patience_s(self, worker: int) -> float | None:
        """After which time `batch` may give other requests though nothing has happened [s]; None = never."""

    def drop(self, number: int) -> None:
        """This request is answered, has failed, or nobody waits for it; unknown ones count for nothing."""

    def lose(self, worker: int) -> list[int]:
        """A worker has gone; returns the requests that were assigned to it, which are dropped."""


@dataclass
class _Entry:
    key: Hashable
    worker: int | None = None
    ready_at: float | None = None
    is_running: bool = False


class BatchingScheduler:
    """First come, first served: the oldest request that is read decides what is answered, and takes along those of its kind.

    Args:
        options: how requests are put together.
        now: clock [s].
    """

    def __init__(self, options: BatchingOptions, *, now: Callable[[], float] = time.monotonic) -> None:
        self._options, self._now = options, now
        self._entries: OrderedDict[int, _Entry] = OrderedDict()

    @property
    def num_known(self) -> int:
        """Requests that are neither answered nor dropped."""
        return len(self._entries)

    def add(self, number: int, key: Hashable) -> None:
        """See `Scheduler`."""
        waiting = sum(not entry.is_running for entry in self._entries.values())
        if waiting >= self._options.max_waiting:
            raise BusyError(f"{waiting} requests wait already, as many as this server takes. Try again later.")
        self._entries[number] = _Entry(key)

    def assign(self, room: Mapping[int, int]) -> list[tuple[int, int]]:
        """See `Scheduler`: to the worker with the most room."""
        left, assigned = dict(room), []
        for number, entry in self._entries.items():
            if entry.worker is not None:
                continue
            worker = max(left, key=left.__getitem__, default=None)
            if worker is None or left[worker] < 1:
                break
            entry.worker = worker
            left[worker] -= 1
            assigned.append((number, worker))
        return assigned

    def ready(self, number: int) -> None:
        """See `Scheduler`."""
        entry = self._entries.get(number)
        if entry is not None:
            entry.ready_at = self._now()

    def batch(self, worker: int) -> list[int]:
        """See `Scheduler`."""
        first = self._oldest(worker)
        if first is None:
            return []
        alike = self._alike(worker, first)
        chosen = [number for number, entry in alike.items() if entry.ready_at is not None][: self._options.max_batch]
        is_read = len(chosen) == min(len(alike), self._options.max_batch)
        if not is_read and self._waited(first) < self._options.wait_s:
            return []
        for number in chosen:
            self._entries[number].is_running = True
        return chosen

    def patience_s(self, worker: int) -> float | None:
        """See `Scheduler`."""
        first = self._oldest(worker)
        return None if first is None else max(self._options.wait_s - self._waited(first), 0.0)

    def drop(self, number: int) -> None:
        """See `Scheduler`."""
        self._entries.pop(number, None)

    def lose(self, worker: int) -> list[int]:
        """See `Scheduler`."""
        lost = [number for number, entry in self._entries.items() if entry.worker == worker]
        for number in lost:
            del self._entries[number]
        return lost

    def _oldest(self, worker: int) -> _Entry | None:
        own = (entry for entry in self._entries.values() if entry.worker == worker and not entry.is_running)
        return next((entry for entry in own if entry.ready_at is not None), None)

    def _alike(self, worker: int, first: _Entry) -> dict[int, _Entry]:
        return {
            number: entry
            for number, entry in self._entries.items()
            if entry.worker == worker and not entry.is_running and entry.key == first.key
        }

    def _waited(self, entry: _Entry) -> float:
        return self._now() - (entry.ready_at if entry.ready_at is not None else self._now())


def batch_key(task: Task) -> Hashable:
    """What requests must have in common to be answered together."""
    request = task.request
    if isinstance(request, GenerateRequest):
        apart = task.number if request.seed is not None else None
        return task.kind, repr(sorted(request.generation.items())), apart
    if isinstance(request, ImagesRequest):
        return task.kind, request.classes, request.templates, request.texts
    assert isinstance(request, TextsRequest)
    return (task.kind,)
