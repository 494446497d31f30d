"""The folder of a run: held by one run at a time, never written over, with a record of every start and the state of the run.

work_dir/.lock         held while a run is active
work_dir/runs.jsonl    one line for each start: time, versions, git state, ranks, checkpoint resumed from
work_dir/config.py     config text of the first start; config.2.py, ... of later ones that differ
work_dir/status.json   running, finished, preempted, interrupted or failed; why, at which step, and the newest checkpoint
"""

import datetime
import json
import os
import socket
from pathlib import Path
from typing import Any, Literal

from typing_extensions import TypedDict

from eocore.checkout import ask_git
from eocore.dependencies import library_versions
from eocore.errors import CheckpointError, ConfigError
from eocore.files import keeping, refusal, write_file
from eocore.folder_lock import WAIT_S, FolderLock
from eocore.json_fields import CLOSED, parse_fields
from eocore.log import get_logger
from eocore.scalars import SCALARS
from eocore.train.checkpoint.files import BEST, LATEST, TEMPORARY, list_checkpoints, remove_unfinished, write_json

RUNS = "runs.jsonl"
STATUS = "status.json"
OUTPUTS = (STATUS, RUNS, LATEST, BEST, SCALARS)


RunState = Literal["running", "finished", "preempted", "interrupted", "failed"]


class RunStatus(TypedDict):
    """status.json.

    Attributes:
        state: of the run.
        reason: why it ended so; "" while it runs or where it finished, unless it ended early.
        step: updates made.
        max_iters: updates it is to make.
        checkpoint: name of the newest, None where there is none.
        process, host: of the first rank.
        written: when, UTC.
    """

    __pydantic_config__ = CLOSED  # type: ignore[misc]
    state: RunState
    reason: str
    step: int
    max_iters: int
    checkpoint: str | None
    process: int
    host: str
    written: str


class WorkDir:
    """Held by the first rank of a run.

    Attributes:
        path: of the folder.
    """

    def __init__(self, path: Path, *, max_iters: int) -> None:
        self.path, self.max_iters = path, max_iters
        self._lock = FolderLock(path)

    def acquire(self, *, wait_s: float = WAIT_S) -> None:
        """Makes the folder, takes its lock and clears away what a killed run left half written.

        Args:
            wait_s: how long another run may take to let go [s].

        Raises:
            ConfigError: the folder cannot be written, or another run holds it.
        """
        try:
            holder = self._lock.take(wait_s=wait_s)
        except OSError as error:
            raise ConfigError(
                f"{self.path} cannot be written ({refusal(error, self.path)}), so nothing of the run could be kept. Choose another "
                "--work-dir."
            ) from error
        if holder is not None:
            raise ConfigError(
                f"{self.path} is in use by {holder}; two runs in one folder would destroy each other's checkpoints. Wait for it, stop "
                "it, or choose another --work-dir."
            )
        left = remove_unfinished(self.path)
        if left:
            get_logger().warning("%s: removed what a killed run left unfinished: %s", self.path, ", ".join(left))

    @property
    def held(self) -> bool:
        """True where this process holds the folder."""
        return self._lock.held

    def newest_checkpoint(self) -> str | None:
        """Name of the newest checkpoint, None where there is none yet."""
        found = list_checkpoints(self.path)
        return found[-1].name if found else None

    def release(self) -> None:
        """Lets go of the folder."""
        self._lock.release()

    def require_unused(self) -> None:
        """Nothing, if no run has written here.

        Raises:
            ConfigError: one has.
        """
        found = [name for name in OUTPUTS if (self.path / name).exists()] + [path.name for path in list_checkpoints(self.path)]
        if found:
            raise ConfigError(
                f"{self.path} holds another run's files ({', '.join(found)}), which a new run would write over. Continue that run with "
                "--resume, or choose another --work-dir."
            )

    def record_start(self, *, config_text: str, world_size: int, checkpoint: Path | None) -> None:
        """Adds this start to runs.jsonl, and its config."""
        record = {
            "started": _now(),
            "process": os.getpid(),
            "host": socket.gethostname(),
            "world_size": world_size,
            "resumed_from": checkpoint.name if checkpoint else None,
            "config": self._keep_config(config_text),
            "git": git_state(),
            "versions": library_versions(),
        }
        with keeping(self.path, "the record of the run", follows="The training has not begun."), (self.path / RUNS).open("a") as file:
            file.write(json.dumps(record) + "\n")
        self.write_status("running", step=_step_of(checkpoint))

    def _keep_config(self, text: str) -> str:
        number = 1
        while True:
            path = self.path / ("config.py" if number == 1 else f"config.{number}.py")
            if not path.exists():
                write_file(path, text)
            if path.read_text() == text:
                return path.name
            number += 1

    def write_status(self, state: RunState, *, step: int, reason: str = "") -> None:
        """Replaces status.json: exit codes do not tell a scheduler how a run ended (torchrun exits 1 after SIGTERM too)."""
        content: dict[str, Any] = {
            "state": state,
            "reason": reason,
            "step": step,
            "max_iters": self.max_iters,
            "checkpoint": self.newest_checkpoint(),
            "process": os.getpid(),
            "host": socket.gethostname(),
            "written": _now(),
        }
        aside = self.path / f"{TEMPORARY}{STATUS}-{os.getpid()}"
        try:
            write_json(aside, content)
            os.replace(aside, self.path / STATUS)
        except OSError as error:  # a full disk must not hide the reason the run ends for
            get_logger().warning("%s could not be written: %s", self.path / STATUS, error)
            aside.unlink(missing_ok=True)


def read_status(work_dir: Path) -> RunStatus:
    """What status.json says.

    Raises:
        CheckpointError: it is missing or broken.
    """
    path = work_dir / STATUS
    follows = f"The state of the run is unknown. Is {work_dir} a run's folder?"
    try:
        text = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error}). {follows}") from error
    return parse_fields(text, RunStatus, source=str(path), remedy=follows, error=CheckpointError)


def git_state() -> dict[str, Any]:
    """Commit of the code and number of files that differ from it; empty where the code is in no repository."""
    commit, changed = ask_git("rev-parse", "HEAD"), ask_git("status", "--porcelain")
    if commit is None or changed is None:
        return {}
    return {"commit": commit.strip(), "changed_files": len(changed.splitlines())}


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _step_of(checkpoint: Path | None) -> int:
    return int(checkpoint.name.removeprefix("iter_")) if checkpoint else 0
