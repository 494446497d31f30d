"""Ends a training that hangs, on all ranks, and shows where each of them was.

A thread of every rank looks at its heartbeat. When one rank fails or gives no sign of life for too long, it tells the others over a store
of their own; every rank then writes the stacks of all its threads to work_dir/stacks and ends. Collectives cannot be relied on for this:
gloo ends the process from within C++, and a rank that hangs takes part in none.
"""

import datetime
import faulthandler
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import torch
from torch.distributed import DistStoreError, TCPStore

from eocore.distributed import num_ranks, share_from_first
from eocore.log import get_logger
from eocore.train.resilience.heartbeat import HEARTBEAT

STACKS = "stacks"
POLL_S = 0.5
STORE_TIMEOUT_S = 5
GRACE_S = 3.0
"""Time the other ranks have to write their stacks, and a failing rank to end by itself [s]."""
DUMP_SIGNAL = signal.SIGUSR2
STDERR = 2
FAILURE, EXPLAINED, BEAT, DONE = "failure", "explained", "beat", "stacks_written"


class Watchdog:
    """Watches this rank between `with` and its end; `fail` in there tells all ranks of an error."""

    def __init__(self, work_dir: Path, *, hang_timeout_s: float, on_failure: Callable[[str], None]) -> None:
        """
        Args:
            work_dir: stacks are written below it.
            hang_timeout_s: longest time without a sign of life [s]; 0: no limit.
            on_failure: gets the reason on the rank that failed first, before all end.
        """
        self.path, self.hang_timeout_s, self.on_failure = work_dir / STACKS, hang_timeout_s, on_failure
        self.rank = torch.distributed.get_rank() if num_ranks() > 1 else 0
        self._store: TCPStore | None = None
        self._parent = os.getppid() if "TORCHELASTIC_RUN_ID" in os.environ else None
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        HEARTBEAT.mark("start", step=0)
        if num_ranks() > 1:
            self._store = _connect(self.rank)
        faulthandler.register(DUMP_SIGNAL, all_threads=True)
        self._thread.start()
        return self

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        if error is not None:
            first = self.fail(f"{type(error).__name__}: {error}", explained=isinstance(error, Exception))
            if isinstance(error, Exception) and self._store is not None:
                error.told_first = first  # type: ignore[attr-defined]  # any exception takes a note of its own
        else:
            # Rank 0 serves the store: nobody may still look there when it leaves.
            share_from_first(None)
        self._ended.set()
        self._thread.join()
        faulthandler.unregister(DUMP_SIGNAL)

    def fail(self, reason: str, *, explained: bool = False) -> bool:
        """Tells all ranks to end; comes back when they have written their stacks or had the time to.

        Args:
            reason: for status.json and the files of stacks.
            explained: the reason says all there is to say: no rank shows its stacks, the caller shows the reason after this.

        Returns:
            True where no other rank failed before.
        """
        reason = f"rank {self.rank}: {reason}"
        with self._lock:
            self._ended.set()
            # The error has a traceback of its own.
            first = self._tell_and_dump(reason, screen=False, explained=explained)
        self._await_stacks()
        return first

    def _tell_and_dump(self, reason: str, *, screen: bool, explained: bool = False) -> bool:
        reason += self._where_all_are()
        first = self._tell(reason, explained=explained)
        if first:
            self.on_failure(reason)
        if screen or self._store is not None:
            self._dump(reason, screen=screen, quiet=explained)
        return first

    def _watch(self) -> None:
        while not self._ended.wait(POLL_S):
            with self._lock:
                if self._ended.is_set():
                    return
                if self._parent is not None and os.getppid() != self._parent:
                    self._end("the launcher (torchrun) is gone; this rank must not continue alone")
                if self.hang_timeout_s and HEARTBEAT.seconds() > self.hang_timeout_s:
                    self._end(f"no sign of life for {HEARTBEAT.seconds():.0f} s (training.hang_timeout_s): {HEARTBEAT.describe()}")
                self._listen()

    def _listen(self) -> None:
        """Publishes this rank's state, and ends if another has failed."""
        if self._store is None:
            return
        try:
            self._store.set(f"{BEAT}{self.rank}", json.dumps([time.time(), HEARTBEAT.describe()]))
            told = self._store.get(FAILURE).decode() if self._store.check([FAILURE]) else ""
            explained = bool(told) and self._store.check([EXPLAINED])
        except (DistStoreError, RuntimeError, ConnectionError):
            told, explained = "rank 0 is gone", False
        if told and not self._ended.is_set():
            self._dump(told, screen=not explained, quiet=explained)
            self._confirm()
            # It may be about to end by itself, with a traceback of its own.
            self._ended.wait(GRACE_S)
            _end_process()

    def _end(self, reason: str) -> None:
        self._tell_and_dump(f"rank {self.rank}: {reason}", screen=True)
        self._await_stacks()
        _end_process()

    def _tell(self, reason: str, *, explained: bool) -> bool:
        """True on the first rank to fail, whose reason is the run's."""
        if self._store is None:
            return True
        try:
            if explained and not self._store.check([FAILURE]):
                self._store.set(EXPLAINED, "")
            return self._store.compare_set(FAILURE, "", reason).decode() == reason
        except (DistStoreError, RuntimeError, ConnectionError):
            return True

    def _where_all_are(self) -> str:
        """What each rank said last; one that says nothing more is silent. Empty where another rank has failed before."""
        before = self._beats()
        if self._store is None or not before:
            return ""
        time.sleep(3 * POLL_S)
        lines = []
        for rank, (told, now) in enumerate(zip(before, self._beats() or before, strict=True)):
            state = HEARTBEAT.describe() if rank == self.rank else json.loads(now)[1]
            silent = rank != self.rank and told == now
            lines.append(f"rank {rank}: {state}" + ("; SILENT since, its process is gone" if silent else ""))
        return "\nWhere the ranks were:\n  " + "\n  ".join(lines)

    def _beats(self) -> list[str]:
        """What every rank published last; nothing where rank 0 is gone or a failure was told before."""
        if self._store is None:
            return []
        try:
            if self._store.check([FAILURE]):
                return []
            keys = [f"{BEAT}{rank}" for rank in range(num_ranks())]
            return [self._store.get(key).decode() if self._store.check([key]) else '[0, "nothing yet"]' for key in keys]
        except (DistStoreError, RuntimeError, ConnectionError):
            return []

    def _dump(self, reason: str, *, screen: bool, quiet: bool = False) -> None:
        if not quiet:
            get_logger().error("rank %d ends (%s). Its own state: %s. Stacks: %s", self.rank, reason, HEARTBEAT.describe(), self._file())
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with self._file().open("a") as file:
                file.write(f"{datetime.datetime.now(datetime.UTC).isoformat()} {reason}\n{HEARTBEAT.describe()}\n")
                file.flush()
                faulthandler.dump_traceback(file=file, all_threads=True)
        except OSError as error:
            get_logger().error("stacks could not be written (%s)", error)
        if screen:
            faulthandler.dump_traceback(file=STDERR, all_threads=True)

    def _file(self) -> Path:
        return self.path / f"rank_{self.rank:05d}.txt"

    def _confirm(self) -> None:
        if self._store is not None:
            try:
                self._store.add(DONE, 1)
            except (DistStoreError, RuntimeError, ConnectionError):
                return

    def _await_stacks(self) -> None:
        """Rank 0 serves the store, and torchrun ends all ranks once one has ended: the others write first."""
        self._confirm()
        deadline = time.monotonic() + GRACE_S
        while self._store is not None and time.monotonic() < deadline:
            try:
                if self._store.add(DONE, 0) >= num_ranks():
                    return
            except (DistStoreError, RuntimeError, ConnectionError):
                return
            time.sleep(POLL_S / 5)


def _connect(rank: int) -> TCPStore:
    """A store that rank 0 serves, for this purpose alone: a thread may use it while another waits in a collective."""
    address, timeout = os.environ["MASTER_ADDR"], datetime.timedelta(seconds=STORE_TIMEOUT_S)
    server = TCPStore(address, 0, is_master=True, wait_for_workers=False, timeout=timeout) if rank == 0 else None
    port = share_from_first(server.port if server else 0)
    return server or TCPStore(address, port, is_master=False, wait_for_workers=False, timeout=timeout)


def _end_process() -> None:
    sys.stderr.flush()
    os._exit(1)
