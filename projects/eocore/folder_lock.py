"""A folder held by one process at a time; the system lets go of it when that process ends, however it ends."""

import datetime
import fcntl
import os
import socket
import time
from pathlib import Path
from typing import TextIO

LOCK = ".lock"
WAIT_S = 20.0
"""A process that was killed needs moments to let go."""
POLL_S = 0.5


class FolderLock:
    """Holds a folder by a locked file in it.

    Args:
        folder: to be held.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file: TextIO | None = None

    def take(self, *, wait_s: float = WAIT_S) -> str | None:
        """None where the folder, made where absent, is held now; otherwise who holds it, after waiting in vain.

        Args:
            wait_s: how long another process may take to let go [s].

        Raises:
            OSError: the folder cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        while True:
            file = (self.folder / LOCK).open("a+")
            holder = _wait_for(file, wait_s)
            if holder is not None:
                file.close()
                return holder
            if _is_at(file, self.folder / LOCK):
                break
            file.close()  # the holder before has deleted the folder: what is locked lies nowhere any more
            self.folder.mkdir(parents=True, exist_ok=True)
        file.truncate(0)
        since = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {since}\n")
        file.flush()
        self._file = file
        return None

    @property
    def held(self) -> bool:
        """True where this process holds the folder."""
        return self._file is not None

    def release(self) -> None:
        """Lets go of the folder."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _is_at(file: TextIO, path: Path) -> bool:
    """Whether an open file is the one at a path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _wait_for(file: TextIO, wait_s: float) -> str | None:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return None
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another run"
        if time.monotonic() > deadline:
            return holder
        time.sleep(POLL_S)
