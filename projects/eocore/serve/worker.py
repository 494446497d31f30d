"""A process that holds one model and answers what the front process sends; it ends when that one does."""

import os
import queue
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from eocore.errors import DataError
from eocore.serve.messages import Cancel, Failed, Failure, Prepare, Prepared, Ready, Run, Stop, Task, WorkerSpec

if TYPE_CHECKING:  # the front process, which starts this function, imports no torch
    from eocore.serve.answering import Answering, Ended, PreparedTask


def work(connection: Connection, spec: WorkerSpec) -> None:
    """Loads the model, then answers until told to stop, or until the front process has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the front process ends this one in order
    worker = Worker(connection, spec)
    try:
        answering = load_answering(spec, worker)
    except Exception as error:  # whatever it is, the front process says it
        worker.send(Failed(None, Failure.of(error)))
        return
    worker.run(answering)


def load_answering(spec: WorkerSpec, worker: "Worker") -> "Answering":
    """The model in memory, ready to be asked. Raises ConfigError or CheckpointError where the folder is no model or damaged."""
    import torch

    from eocore.evaluate.protocols import LoadsWeights
    from eocore.serve.answering import Answering
    from eocore.system import PredictorOptions, system_of_model

    if spec.threads is not None:
        torch.set_num_threads(spec.threads)
    system = system_of_model(spec.model)
    make = system.need(system.predictor, "its models cannot answer")
    options = PredictorOptions(
        device=spec.device,
        float32_on_cpu=True,
        dtype=spec.dtype,
        generation=spec.generation,
        image_memory_mib=spec.image_memory_mib,
    )
    predictor = make(spec.model, options)
    if isinstance(predictor, LoadsWeights):
        predictor.load()
    name = spec.model.resolve().name
    return Answering(predictor, name=name, system=system.name, spec=spec, is_cancelled=worker.is_cancelled)


class Worker:
    """One worker's loop.

    Args:
        connection: to the front process.
        spec: of the worker.
    """

    def __init__(self, connection: Connection, spec: WorkerSpec) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._readers = ThreadPoolExecutor(spec.readers, thread_name_prefix="reader")
        self._prepared: dict[int, PreparedTask] = {}
        self._cancelled: set[int] = set()
        self._batches: queue.SimpleQueue[tuple[int, ...] | None] = queue.SimpleQueue()

    def is_cancelled(self, number: int) -> bool:
        """Whether nobody waits for this request any more."""
        return number in self._cancelled

    def send(self, message: Any) -> None:
        """Says something to the front process; without one, this process has no purpose and ends."""
        try:
            with self._sending:
                self._connection.send(message)
        except OSError:
            os._exit(1)

    def run(self, answering: "Answering") -> None:
        """Answers until told to stop."""
        threading.Thread(target=self._listen, args=(answering,), daemon=True).start()
        self.send(Ready(answering.card()))
        while self._take(answering):
            self._end(answering.step(self.send))
        os._exit(0)  # nothing is left to write, and libraries take seconds to take themselves down

    def _take(self, answering: "Answering") -> bool:
        """Begins with the requests that have come, waiting for some where nothing is being answered; False where this is the end."""
        while not answering.num_joined or not self._batches.empty():
            numbers = self._batches.get()
            if numbers is None:
                return False
            self._answer(answering, numbers)
        return True

    def _end(self, ended: "Sequence[Ended]") -> None:
        for one in ended:
            if one.error is not None:
                self.send(Failed(one.number, Failure.of(one.error)))
            self._cancelled.discard(one.number)

    def _listen(self, answering: "Answering") -> None:
        while True:
            try:
                message = self._connection.recv()
            except (EOFError, OSError):
                os._exit(1)
            match message:
                case Prepare(task):
                    self._readers.submit(self._prepare, answering, task)
                case Run(numbers):
                    self._batches.put(numbers)
                case Cancel(number):
                    self._cancel(number)
                case Stop():
                    self._batches.put(None)
                    return

    def _cancel(self, number: int) -> None:
        if self._prepared.pop(number, None) is None:  # it is being read, or answered
            self._cancelled.add(number)

    def _prepare(self, answering: "Answering", task: Task) -> None:
        try:
            prepared = None if self.is_cancelled(task.number) else answering.prepare(task)
        except Exception as error:
            self.send(Failed(task.number, Failure.of(error)))
            return
        if prepared is not None:
            self._prepared[task.number] = prepared
        if self.is_cancelled(task.number):
            self._prepared.pop(task.number, None)
            self._cancelled.discard(task.number)
            return
        self.send(Prepared(task.number, joins=prepared is not None and prepared.settings is not None))

    def _answer(self, answering: "Answering", numbers: Sequence[int]) -> None:
        batch = [found for found in (self._prepared.pop(number, None) for number in numbers) if found is not None]
        joining = [each for each in batch if each.settings is not None]
        others = [each for each in batch if each.settings is None]
        if joining:
            self._end(answering.join(joining, self.send))
        if others:
            self._run(answering, others)
        self._cancelled.difference_update(each.task.number for each in others)

    def _run(self, answering: "Answering", batch: "list[PreparedTask]") -> None:
        """Answers a batch; where the model refuses it before anything was handed out, each request by itself."""
        num_sent = 0

        def send(message: Any) -> None:
            nonlocal num_sent
            num_sent += 1
            self.send(message)

        try:
            answering.run(batch, send)
        except Exception as error:
            if isinstance(error, DataError) and len(batch) > 1 and not num_sent:
                for each in batch:
                    self._run(answering, [each])
                return
            for each in batch:
                self.send(Failed(each.task.number, Failure.of(error)))
