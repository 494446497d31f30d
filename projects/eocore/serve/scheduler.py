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
        max_batch: most requests that a worker answers at once.
        max_waiting: requests beyond this are refused.
        wait_s: how long a request that no other can join waits for those that a worker still reads [s].
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

    def ready(self, number: int, *, joins: bool) -> None:
        """A worker has read the images of this request; whether it can join others that are being answered."""

    def batch(self, worker: int) -> list[int]:
        """Requests that a worker shall answer now, beside those it answers already; none where it is better to wait."""

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
    joins: bool = False
    is_running: bool = False


class ContinuousScheduler:
    """First come, first served. Requests that others can join are answered as soon as there is room; of the others, the oldest that is read
    decides what is answered when the last such batch has ended, and takes along those of its kind.

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

    def ready(self, number: int, *, joins: bool) -> None:
        """See `Scheduler`."""
        entry = self._entries.get(number)
        if entry is not None:
            entry.ready_at, entry.joins = self._now(), joins

    def batch(self, worker: int) -> list[int]:
        """See `Scheduler`."""
        first = self._oldest(worker)
        if first is None:
            return []
        chosen = self._joining(worker) if first.joins else self._alike(worker, first)
        for number in chosen:
            self._entries[number].is_running = True
        return chosen

    def patience_s(self, worker: int) -> float | None:
        """See `Scheduler`."""
        first = self._oldest(worker)
        if first is None or first.joins or self._is_busy(worker):
            return None
        return max(self._options.wait_s - self._waited(first), 0.0)

    def drop(self, number: int) -> None:
        """See `Scheduler`."""
        self._entries.pop(number, None)

    def lose(self, worker: int) -> list[int]:
        """See `Scheduler`."""
        lost = [number for number, entry in self._entries.items() if entry.worker == worker]
        for number in lost:
            del self._entries[number]
        return lost

    def _of(self, worker: int, *, is_running: bool) -> dict[int, _Entry]:
        return {number: entry for number, entry in self._entries.items() if entry.worker == worker and entry.is_running == is_running}

    def _oldest(self, worker: int) -> _Entry | None:
        return next((entry for entry in self._of(worker, is_running=False).values() if entry.ready_at is not None), None)

    def _joining(self, worker: int) -> list[int]:
        """Those that join: as many as there is room for."""
        room = self._options.max_batch - sum(entry.joins for entry in self._of(worker, is_running=True).values())
        return [number for number, entry in self._of(worker, is_running=False).items() if entry.joins][: max(room, 0)]

    def _alike(self, worker: int, first: _Entry) -> list[int]:
        """A batch of requests of the first one's kind; none where a batch is being answered, or the first still waits for others."""
        if self._is_busy(worker):
            return []
        alike = {number: entry for number, entry in self._of(worker, is_running=False).items() if entry.key == first.key}
        chosen = [number for number, entry in alike.items() if entry.ready_at is not None][: self._options.max_batch]
        is_read = len(chosen) == min(len(alike), self._options.max_batch)
        return chosen if is_read or self._waited(first) >= self._options.wait_s else []

    def _is_busy(self, worker: int) -> bool:
        """Whether it answers a batch that no request can join."""
        return any(not entry.joins for entry in self._of(worker, is_running=True).values())

    def _waited(self, entry: _Entry) -> float:
        return self._now() - (entry.ready_at if entry.ready_at is not None else self._now())


def batch_key(task: Task) -> Hashable:
    """What requests must have in common to be answered together, where they cannot join others."""
    request = task.request
    if isinstance(request, GenerateRequest):
        apart = task.number if request.seed is not None else None
        return task.kind, repr(sorted(request.generation.items())), apart
    if isinstance(request, ImagesRequest):
        return task.kind, request.classes, request.templates, request.texts
    assert isinstance(request, TextsRequest)
    return (task.kind,)
