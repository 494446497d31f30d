"""Work on a Ray cluster: one actor a worker, each with the work loaded once, on this machine or on many that see the same files."""

import os
import pickle
import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from eocore.errors import ConfigError, EOError, UnforeseenError, describe_unforeseen
from eocore.jobs.ledger import Ledger, Task
from eocore.jobs.work import ATTEMPTS, Chunk, Item, Outcome, Work, run_items

STORE_BYTES = 200_000_000
"""Of the object store of a cluster that is started here: results of a few chunks lie in it at a time."""

CONNECT_S = 10
"""Seconds in which a cluster answers. Ray itself tries an address that does not for many minutes."""
AUTO = "auto"


class _Actor:
    """Holds the work; a class of Ray once it is decorated."""

    def __init__(self, pickled: bytes, paths: Sequence[str]) -> None:
        sys.path += [path for path in paths if path not in sys.path]  # modules are found as the first process finds them
        self._work: Work | None = None
        self._refusal = ""
        try:
            self._work, self._attempts = pickle.loads(pickled)
        except Exception as error:  # whatever its import raises; an actor that ends would be taken for a lost one
            self._refusal = str(error) if isinstance(error, EOError) else describe_unforeseen(error)

    def run(self, items: tuple[Item, ...]) -> list[Outcome] | str:
        """The outcomes, or why the work cannot be loaded."""
        if self._work is None:
            return self._refusal
        return run_items(self._work, items, attempts=self._attempts)


@dataclass(frozen=True)
class RayActors:
    """Works on chunks by actors; one that ends, or whose node does, costs its items an attempt, and another takes its place.

    Each actor has one chunk at a time, so that no more results wait than there are actors.

    Attributes:
        num_workers: actors.
        address: of a cluster ("auto": that of this machine); None = one is started here, and ended afterwards.
        num_gpus: that each actor needs.
        attempts: see `eocore.jobs.work.run_items`.
    """

    num_workers: int
    address: str | None = None
    num_gpus: float = 0.0
    attempts: int = ATTEMPTS

    def run(self, work: Work, chunks: Sequence[Chunk]) -> Iterator[tuple[int, list[Outcome]]]:
        """See `eocore.jobs.work.Executor`.

        Raises:
            ConfigError: Ray is not installed, or there is no cluster at the address.
            UnforeseenError: actors end whatever they are given, or cannot load the work.
        """
        ray = _import_ray()
        joined = ray.is_initialized()
        if not joined:
            _connect(ray, self)
        run = _Run(ray, self, pickle.dumps((work, self.attempts)), Ledger(chunks, attempts=self.attempts))
        try:
            yield from run.results()
        finally:
            run.end()
            if not joined:
                ray.shutdown()


@dataclass
class _Run:
    """One call of `RayActors.run`."""

    ray: ModuleType
    options: RayActors
    work: bytes
    ledger: Ledger
    idle: list[Any] = field(default_factory=list)
    busy: dict[Any, tuple[Any, Task]] = field(default_factory=dict)

    def results(self) -> Iterator[tuple[int, list[Outcome]]]:
        """(index, outcomes) of each chunk as it is finished."""
        while self.ledger or self.busy:
            self._give_tasks()
            (ready, *_), _ = self.ray.wait(list(self.busy), num_returns=1)
            actor, task = self.busy.pop(ready)
            try:
                found = self.ray.get(ready)
            except self.ray.exceptions.RayTaskError as error:
                raise UnforeseenError(
                    f"an actor failed outside of the work: {describe_unforeseen(error)}. The same command resumes."
                ) from error
            except self.ray.exceptions.RayError as error:  # the actor, its node or its result is gone
                self._end(actor)
                yield from self.ledger.lost(task, f"its actor is lost ({type(error).__name__})")
                continue
            if isinstance(found, str):
                raise UnforeseenError(f"worker processes cannot load the work: {found}. Nothing was lost; the same command resumes.")
            self.idle.append(actor)
            yield from self.ledger.done(task, found)

    def end(self) -> None:
        """Ends all actors."""
        for actor in [*self.idle, *(actor for actor, _ in self.busy.values())]:
            self._end(actor)

    def _give_tasks(self) -> None:
        while self.ledger and len(self.busy) < self.options.num_workers:
            actor = self.idle.pop() if self.idle else self._start()
            task = self.ledger.next_task()
            self.busy[actor.run.remote(task.chunk.items)] = (actor, task)
        while (
            not self.ledger and self.idle
        ):  # one that has nothing to do makes room for another that a cluster which has shrunk cannot start
            self._end(self.idle.pop())

    def _start(self) -> Any:
        resources = {"num_cpus": 1, "num_gpus": self.options.num_gpus}
        return self.ray.remote(_Actor).options(max_restarts=0, **resources).remote(self.work, [path for path in sys.path if path])

    def _end(self, actor: Any) -> None:
        self.ray.kill(actor, no_restart=True)


def _connect(ray: ModuleType, options: RayActors) -> None:
    settings: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    if options.address is None:
        settings |= {"num_cpus": options.num_workers, "include_dashboard": False, "object_store_memory": STORE_BYTES}
    try:
        _check_answers(options.address)
        ray.init(address=options.address or "local", **settings)
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"no Ray cluster at '{options.address}' ({error}). Start one (ray start --head), name another --address, or leave it out to "
            "start one on this machine."
        ) from error


def _check_answers(address: str | None) -> None:
    """Raise OSError if an address of the form host:port, given or noted by a cluster that has ended, does not answer."""
    if address == AUTO:
        noted = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster")  # written by `ray start` and `ray.init`
        address = os.environ.get("RAY_ADDRESS") or (noted.read_text(encoding="utf-8").strip() if noted.is_file() else None)
    host, found, port = (address or "").rpartition(":")
    if found and "/" not in host and port.isdigit():  # ray://host:port is of another protocol, which has a limit of its own
        socket.create_connection((host, int(port)), timeout=CONNECT_S).close()


def _import_ray() -> ModuleType:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing is reported to anybody; read when Ray is imported and by clusters that it starts
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ConfigError(
            "the engine 'ray' needs Ray, which is not installed. Install the extra: pip install 'eocore-earthmind[ray]'."
        ) from error
    module: ModuleType = ray
    return module
