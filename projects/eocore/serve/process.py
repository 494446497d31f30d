"""A worker process as the front process sees it."""

import asyncio
import multiprocessing
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from eocore.serve.messages import Stop, WorkerSpec
from eocore.serve.worker import work

END_S = 5.0
"""Between the word to end and the signal, and between the signals."""


class WorkerProcess:
    """A process with one model; what it says arrives in the event loop.

    Args:
        spec: of the worker.
        number: of it.
        heard: is called with each message, in the loop.
        ended: is called once with this object when the process has gone, in the loop.
    """

    def __init__(
        self, spec: WorkerSpec, *, number: int, heard: Callable[["WorkerProcess", Any], None], ended: Callable[["WorkerProcess"], None]
    ) -> None:
        self.spec, self.number = spec, number
        self._heard, self._ended = heard, ended
        self._connection: Connection | None = None
        self._process: Any = None

    def start(self) -> None:
        """Starts the process; `Ready` or `Failed` is the first thing it says. Called in the event loop."""
        context = multiprocessing.get_context("spawn")  # a forked torch keeps locks of threads that are not there
        own, other = context.Pipe()
        self._connection = own
        self._process = context.Process(
            target=work, args=(other, self.spec), daemon=True, name=f"model-{self.spec.model.name}-{self.number}"
        )
        self._process.start()
        other.close()
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._listen, args=(own, loop), daemon=True).start()

    @property
    def pid(self) -> int | None:
        """Of the process."""
        return self._process.pid if self._process is not None else None

    @property
    def exit_code(self) -> int | None:
        """Of the process once it has gone; negative = the number of the signal."""
        return self._process.exitcode if self._process is not None else None

    def send(self, message: Any) -> None:
        """Says something to the worker; one that has gone is told of by `ended`."""
        if self._connection is not None:
            with suppress(OSError):
                self._connection.send(message)

    def kill(self) -> None:
        """Ends the process at once."""
        if self._process is not None:
            self._process.kill()

    async def stop(self) -> None:
        """Ends the process in order, by force where it does not."""
        self.send(Stop())
        if self._process is None:
            return
        for end in (lambda: None, self._process.terminate, self._process.kill):
            end()
            await asyncio.to_thread(self._process.join, END_S)
            if self._process.exitcode is not None:
                break

    def _listen(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            try:
                message = connection.recv()
            except (EOFError, OSError):
                break
            with suppress(RuntimeError):  # the loop has ended before its workers
                loop.call_soon_threadsafe(self._heard, self, message)
        self._process.join()
        connection.close()
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self._ended, self)
