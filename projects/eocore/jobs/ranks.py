"""Work by the processes of torchrun, on one machine or on several that see the same files: all of them work, each on its own GPU, and the
first also hands out chunks and takes results.

torch.distributed (gloo) is used once, to tell all processes where the first one listens. After that they talk by connections of the
standard library, opened with a key that is drawn for the run.
"""

import os
import pickle
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Client, Connection, Listener, wait
from threading import Thread
from typing import Any

from eocore.errors import ConfigError, EOError, UnforeseenError, describe_unforeseen
from eocore.jobs.ledger import Ledger, Task
from eocore.jobs.work import ATTEMPTS, Chunk, Outcome, Work, run_items

KEY_BYTES = 32
NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Source: torchrun's documentation, environment variables."""


def is_first() -> bool:
    """Whether this process hands out work, rather than to `serve`.

    Raises:
        ConfigError: torchrun has not started it.
    """
    missing = [name for name in NEEDED if name not in os.environ]
    if missing:
        raise ConfigError(
            f"--engine torchrun: {', '.join(missing)} not set, so torchrun has not started this process. Start the command by it: "
            "python -m eocore.train.torchrun --nproc-per-node GPUS tools/map_scene.py ... --engine torchrun."
        )
    return os.environ["RANK"] == "0"


def serve() -> None:
    """Works for the first process until that one ends."""
    address, key = _told(None)
    _work_for(Client(address, authkey=key))


@dataclass(frozen=True)
class TorchRanks:
    """Works on chunks by all processes of torchrun; made and run in the first one, by `connect`, while the others `serve`.

    Attributes:
        connections: to all processes; the first is to a thread of this one.
        attempts: see `eocore.jobs.work.run_items`.
    """

    connections: Sequence[Connection]
    attempts: int = ATTEMPTS

    @classmethod
    def connect(cls) -> "TorchRanks":
        """Waits for all processes. Where nothing is to be done they end with this one, which they notice."""
        return cls([_own_thread(), *_others()])

    def run(self, work: Work, chunks: Sequence[Chunk]) -> Iterator[tuple[int, list[Outcome]]]:
        """See `eocore.jobs.work.Executor`.

        Raises:
            UnforeseenError: a process has ended, or cannot load the work.
        """
        pickled = pickle.dumps((work, self.attempts))
        for connection in self.connections:
            _send(connection, pickled)
        ledger, idle, busy = Ledger(chunks, attempts=self.attempts), list(self.connections), dict[Connection, Task]()
        while ledger or busy:
            while ledger and idle:
                connection = idle.pop(0)
                busy[connection] = ledger.next_task()
                _send(connection, busy[connection].chunk.items)
            ready = wait(list(busy))
            for connection in [known for known in busy if known in ready]:
                found, task = _receive(connection), busy.pop(connection)
                idle.append(connection)
                yield from ledger.done(task, found)


GONE = "a process of torchrun has ended. What was done is kept; the same command resumes."


def _send(connection: Connection, message: Any) -> None:
    try:
        connection.send(message)
    except OSError as error:
        raise UnforeseenError(GONE) from error


def _receive(connection: Connection) -> list[Outcome]:
    try:
        found: list[Outcome] | str = connection.recv()
    except (EOFError, OSError) as error:
        raise UnforeseenError(GONE) from error
    if isinstance(found, str):
        raise UnforeseenError(f"the processes cannot load the work: {found}. Nothing was lost; the same command resumes.")
    return found


def _own_thread() -> Connection:
    """The first process works, too, while its main thread hands out and writes."""
    ours, theirs = Pipe()
    Thread(target=_work_for, args=(theirs,), daemon=True).start()
    return ours


def _others() -> list[Connection]:
    count = int(os.environ["WORLD_SIZE"]) - 1
    key = secrets.token_bytes(KEY_BYTES)
    with Listener((os.environ["MASTER_ADDR"], 0), backlog=max(count, 1), authkey=key) as listener:
        _told((listener.address, key))
        return [listener.accept() for _ in range(count)]


def _told(message: "tuple[Any, bytes] | None") -> "tuple[Any, bytes]":
    """Where the first process listens, and the key of its connections: what it says to all."""
    from eocore.distributed import join_ranks, leave_ranks, share_from_first  # which imports torch

    join_ranks()
    said = share_from_first(message)
    leave_ranks()
    assert said is not None
    return said


def _work_for(connection: Connection) -> None:
    """Receives works (bytes) and items of the newest, sends their outcomes, until nobody listens."""
    work: Work | None = None
    attempts, refusal = ATTEMPTS, ""
    try:
        while True:
            message = connection.recv()
            if not isinstance(message, bytes):
                connection.send(refusal if work is None else run_items(work, message, attempts=attempts))
                continue
            try:
                work, refusal = None, ""
                work, attempts = pickle.loads(message)
            except Exception as error:  # whatever its import raises
                refusal = str(error) if isinstance(error, EOError) else describe_unforeseen(error)
    except (EOFError, OSError):  # the first process has ended, and with it the run
        return
