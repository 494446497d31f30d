"""Writes snapshots to disk, at once or in the background, one at a time, and removes old checkpoints once the new one is verified."""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from eocore.log import get_logger
from eocore.train.checkpoint.files import prune, settle_best
from eocore.train.checkpoint.snapshot import Snapshot, write


class CheckpointWriter:
    """For the first rank alone."""

    def __init__(self, work_dir: Path, *, keep: int, background: bool) -> None:
        """
        Args:
            work_dir: checkpoints go here.
            keep: number of newest checkpoints that stay.
            background: `save` comes back at once and the training continues meanwhile.
        """
        self.work_dir, self.keep, self.background = work_dir, keep, background
        self.newest: Path | None = None
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._pending: Future[None] | None = None

    def save(self, snapshot: Snapshot) -> None:
        """Writes `snapshot`, after the one before.

        Raises:
            CheckpointError: this one, or in the background the one before, could not be written.
        """
        self.wait()
        self._pending = self._pool.submit(self._write, snapshot)
        if not self.background:
            self.wait()

    def wait(self) -> None:
        """Comes back when nothing is being written.

        Raises:
            CheckpointError: the last one could not be written.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def _write(self, snapshot: Snapshot) -> None:
        self.newest = write(snapshot, self.work_dir)
        if snapshot.is_best:
            settle_best(self.work_dir, snapshot.step)
        prune(self.work_dir, self.keep)
        get_logger().info("saved %s", self.newest)
