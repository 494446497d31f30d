"""Work on this machine: in this process, or in several that are watched, and replaced where one ends."""

import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from eocore.errors import EOError, UnforeseenError, describe_unforeseen
from eocore.jobs.ledger import Ledger, Task
from eocore.jobs.work import ATTEMPTS, Chunk, Outcome, Work, run_items
from eocore.log import get_logger

ENDS_S = 5.0
"""A process that is told to end does so when its work is done, or is killed after so long."""
THREADS = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class InThisProcess:
    """Works on one chunk after the other, in this process: where one model fills the machine, such as on a GPU.

    Attributes:
        attempts: see `run_items`.
    """

    attempts: int = ATTEMPTS

    def run(self, work: Work, chunks: Sequence[Chunk]) -> Iterator[tuple[int, list[Outcome]]]:
        """See `eocore.jobs.work.Executor`."""
        for chunk in chunks:
            yield chunk.index, run_items(work, chunk.items, attempts=self.attempts)


@dataclass
class _Worker:
    process: SpawnProcess
    connection: Connection
    task: Task | None = None
    since: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class WorkerProcesses:
    """Works on chunks in processes of their own. Where a process ends, the items it had are tried one by one, so that only one is lost.

    Attributes:
        num_workers: processes.
        attempts: how often an item is tried that fails unforeseen, or whose process ends.
        timeout_s: a process that works longer on a chunk is ended [s]; None = it may take any time.
    """

    num_workers: int
    attempts: int = ATTEMPTS
    timeout_s: float | None = None

    def run(self, work: Work, chunks: Sequence[Chunk]) -> Iterator[tuple[int, list[Outcome]]]:
        """See `eocore.jobs.work.Executor`. Raises UnforeseenError where processes end whatever they are given."""
        run = _Run(self, pickle.dumps((work, self.attempts)), Ledger(chunks, attempts=self.attempts))
        try:
            yield from run.results()
        finally:
            run.end()


@dataclass
class _Run:
    """One call of `WorkerProcesses.run`."""

    options: WorkerProcesses
    work: bytes
    ledger: Ledger
    workers: list[_Worker] = field(default_factory=list)

    def results(self) -> Iterator[tuple[int, list[Outcome]]]:
        """(index, outcomes) of each chunk as it is finished."""
        while self.ledger or any(worker.task for worker in self.workers):
            self._give_tasks()
            ready = wait([worker.connection for worker in self.workers if worker.task], timeout=self._patience_s())
            for worker in [worker for worker in self.workers if worker.connection in ready]:
                yield from self._receive(worker)
            for worker in [worker for worker in self.workers if self._is_overdue(worker)]:
                worker.process.kill()
                yield from self._bury(worker, f"its process took longer than {self.options.timeout_s:g} s and was ended")

    def end(self) -> None:
        """Ends all processes."""
        for worker in self.workers:
            worker.connection.close()  # what a process waits on, and ends with
            if worker.task:
                worker.process.kill()
        for worker in self.workers:
            worker.process.join(ENDS_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    def _give_tasks(self) -> None:
        while self.ledger and len(self.workers) < self.options.num_workers:
            self.workers.append(_start(self.work, self.options.num_workers))
        for worker in [worker for worker in self.workers if worker.task is None]:
            if not self.ledger:
                break
            worker.task, worker.since = self.ledger.next_task(), time.monotonic()
            try:
                worker.connection.send(worker.task.chunk.items)
            except OSError:  # it ended while it had nothing to do; `wait` reports it
                get_logger().debug("a worker process ended while it was idle")

    def _patience_s(self) -> float | None:
        if self.options.timeout_s is None:
            return None
        oldest = min(worker.since for worker in self.workers if worker.task)
        return max(oldest + self.options.timeout_s - time.monotonic(), 0.0) + 0.01

    def _is_overdue(self, worker: _Worker) -> bool:
        limit = self.options.timeout_s
        return limit is not None and worker.task is not None and time.monotonic() - worker.since > limit

    def _receive(self, worker: _Worker) -> Iterator[tuple[int, list[Outcome]]]:
        try:
            found = worker.connection.recv()
        except (EOFError, OSError):
            worker.process.join()
            yield from self._bury(worker, f"its process ended with {_exit(worker.process.exitcode)}")
            return
        if isinstance(found, str):
            raise UnforeseenError(f"worker processes cannot load the work: {found}. Nothing was lost; the same command resumes.")
        task, worker.task = worker.task, None
        if task is not None:
            yield from self.ledger.done(task, found)

    def _bury(self, worker: _Worker, reason: str) -> Iterator[tuple[int, list[Outcome]]]:
        """Takes the worker off the list; its items are tried again, alone, or have failed."""
        self.workers.remove(worker)
        worker.connection.close()
        yield from self.ledger.lost(worker.task, reason)


def _start(work: bytes, num_workers: int) -> _Worker:
    context = multiprocessing.get_context("spawn")  # a fork would copy locks of threads, and a CUDA context that cannot be used
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, work), kwargs={"num_workers": num_workers}, daemon=True)
    process.start()
    theirs.close()  # so that the end of the process is the end of the pipe
    return _Worker(process, ours)


def _serve(connection: Connection, pickled: bytes, *, num_workers: int) -> None:
    """The main function of a worker process: receives items, sends outcomes, until nobody listens."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one ends the others
    os.environ.setdefault(THREADS, str(max((os.cpu_count() or 1) // num_workers, 1)))  # before the work imports a library that reads it
    try:
        work, attempts = pickle.loads(pickled)
    except Exception as error:  # whatever its import raises
        connection.send(str(error) if isinstance(error, EOError) else describe_unforeseen(error))
        return
    try:
        while True:
            connection.send(run_items(work, connection.recv(), attempts=attempts))
    except (EOFError, OSError):  # the first process has ended, and with it the job
        return


def _exit(code: int | None) -> str:
    if code is not None and code < 0:
        return f"signal {-code} ({signal.Signals(-code).name})" + (": perhaps out of memory" if -code == signal.SIGKILL else "")
    return f"exit status {code}"
