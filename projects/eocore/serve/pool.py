"""The workers of one model: requests in, events out; a worker that dies costs its own requests alone, and is replaced."""

import asyncio
import itertools
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from typing import Any

from eocore.errors import ConfigError, EOError, WorkerLostError
from eocore.log import get_logger
from eocore.serve.messages import Cancel, Failed, Happened, Kind, Prepare, Prepared, Ready, Result, Run, Task, WorkerSpec
from eocore.serve.process import WorkerProcess
from eocore.serve.requests import Done, ModelCard
from eocore.serve.scheduler import Scheduler, batch_key

MAX_FAILED_STARTS = 3
"""Workers of one model that may die before they have answered anything; then the model is given up."""
_NUMBERS = itertools.count(1)


@dataclass(eq=False)
class _Worker:
    process: WorkerProcess
    is_ready: bool = False
    timer: asyncio.TimerHandle | None = None


@dataclass(eq=False)
class _Asked:
    task: Task
    heard: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)


class ModelPool:
    """Workers of one model, and the requests that they answer. All is called in one event loop.

    Args:
        specs: of the workers, one each.
        scheduler: decides what is answered when.
        read_ahead: requests that a worker holds besides those it answers.
    """

    def __init__(self, specs: list[WorkerSpec], *, scheduler: Scheduler, read_ahead: int) -> None:
        self._specs, self._scheduler, self._read_ahead = specs, scheduler, read_ahead
        self._workers: dict[int, _Worker] = {}
        self._asked: dict[int, _Asked] = {}
        self._held: dict[int, int] = {}
        self._ready = asyncio.Event()
        self._given_up: EOError | None = None
        self._failed_starts = 0
        self._is_closing = False
        self.card: ModelCard | None = None

    @property
    def name(self) -> str:
        """Of the model."""
        return self._specs[0].model.resolve().name

    @property
    def pids(self) -> list[int]:
        """Of the workers that are there."""
        return [worker.process.pid for worker in self._workers.values() if worker.process.pid is not None]

    @property
    def is_ready(self) -> bool:
        """Whether a worker has the model in memory."""
        return any(worker.is_ready for worker in self._workers.values())

    def start(self) -> None:
        """Starts the workers."""
        for spec in self._specs:
            self._start(spec)

    async def wait_ready(self, limit_s: float) -> ModelCard:
        """What the model can do, once it is in memory.

        Raises:
            EOError: what the worker says of the model, or it is not there in time.
        """
        try:
            await asyncio.wait_for(self._ready.wait(), limit_s)
        except TimeoutError:
            raise ConfigError(
                f"model '{self.name}' was not in memory after {limit_s:g} s. Serve it from a faster disk, or allow more."
            ) from None
        if self._given_up is not None:
            raise self._given_up
        assert self.card is not None
        return self.card

    async def ask(self, kind: Kind, request: Any) -> AsyncGenerator[Any, None]:
        """Events of an answer, or the one array; closing the iterator cancels the request.

        Raises:
            EOError: of the worker; BusyError where too many wait; WorkerLostError where the worker died.
        """
        if self._given_up is not None:
            raise WorkerLostError(f"model '{self.name}' cannot be run any more: {self._given_up}")
        number = next(_NUMBERS)
        asked = _Asked(Task(number, kind, request))
        self._scheduler.add(number, batch_key(asked.task))
        self._asked[number] = asked
        try:
            self._move()
            while True:
                item = await asked.heard.get()
                if isinstance(item, EOError):
                    raise item
                yield item
                if not isinstance(item, Happened) or isinstance(item.event, Done):
                    return
        finally:
            self._forget(number)

    async def close(self) -> None:
        """Ends the workers; requests that are left fail."""
        self._is_closing = True
        for number in list(self._asked):
            self._fail(number, WorkerLostError("the server is ending."))
        await asyncio.gather(*(worker.process.stop() for worker in self._workers.values()))

    def _start(self, spec: WorkerSpec) -> None:
        number = next(_NUMBERS)
        process = WorkerProcess(spec, number=number, heard=self._hear, ended=self._lose)
        self._workers[number] = _Worker(process)
        process.start()

    def _forget(self, number: int) -> None:
        """A request is over; where it was not answered, its worker is told."""
        self._scheduler.drop(number)
        worker = self._workers.get(self._held.pop(number, -1))
        if self._asked.pop(number, None) is not None and worker is not None:
            worker.process.send(Cancel(number))
        self._move()

    def _fail(self, number: int, error: EOError) -> None:
        self._scheduler.drop(number)
        asked = self._asked.pop(number, None)
        self._held.pop(number, None)
        if asked is not None:
            asked.heard.put_nowait(error)

    def _hear(self, process: WorkerProcess, message: Any) -> None:
        worker = self._workers.get(process.number)
        if worker is None:
            return
        match message:
            case Ready(card):
                self.card, worker.is_ready, self._failed_starts = replace(card, is_ready=True), True, 0
                self._ready.set()
            case Prepared(number, joins):
                self._scheduler.ready(number, joins=joins)
            case Happened(number, event):
                self._hand_on(number, message, is_last=isinstance(event, Done))
            case Result(number, _):
                self._hand_on(number, message, is_last=True)
            case Failed(number, failure) if number is not None:
                self._fail(number, failure.error())
            case Failed(_, failure):
                self._give_up(failure.error())
        self._move()

    def _hand_on(self, number: int, message: Any, *, is_last: bool) -> None:
        asked = self._asked.get(number)
        if asked is None:
            return
        if is_last:
            self._scheduler.drop(number)
            del self._asked[number]
            self._held.pop(number, None)
        asked.heard.put_nowait(message)

    def _move(self) -> None:
        """Sends workers what they shall read and answer now."""
        ready = {number: worker for number, worker in self._workers.items() if worker.is_ready}
        held = list(self._held.values())
        for number, chosen in self._scheduler.assign({worker: self._read_ahead - held.count(worker) for worker in ready}):
            self._held[number] = chosen
            ready[chosen].process.send(Prepare(self._asked[number].task))
        for number, worker in ready.items():
            self._run(number, worker)

    def _run(self, number: int, worker: _Worker) -> None:
        if worker.timer is not None:
            worker.timer.cancel()
            worker.timer = None
        batch = self._scheduler.batch(number)
        if batch:
            worker.process.send(Run(tuple(batch)))
            return
        patience = self._scheduler.patience_s(number)
        if patience is not None:
            worker.timer = asyncio.get_running_loop().call_later(patience, self._move)

    def _lose(self, process: WorkerProcess) -> None:
        """A worker has gone: its requests fail, and another takes its place."""
        worker = self._workers.pop(process.number)
        if worker.timer is not None:
            worker.timer.cancel()
        for number in self._scheduler.lose(process.number):
            self._fail(number, WorkerLostError("the process that worked on this request has ended; nothing of it was kept. Ask again."))
        if self._is_closing or self._given_up is not None:
            return
        get_logger().warning("worker of model %s ended (exit code %s); another is started", self.name, process.exit_code)
        self._failed_starts += not worker.is_ready
        if self._failed_starts >= MAX_FAILED_STARTS:
            self._give_up(WorkerLostError(f"workers of model '{self.name}' end before they can answer (exit code {process.exit_code})."))
            return
        self._start(process.spec)

    def _give_up(self, error: EOError) -> None:
        self._given_up = error
        self._ready.set()
        for number in list(self._asked):
            self._fail(number, error)
