"""Runs a job: what is not done yet goes to an executor, and what comes back is written at once, while the executor goes on."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from eocore.errors import ConfigError
from eocore.jobs.job_folder import JobFolder
from eocore.jobs.processes import InThisProcess, WorkerProcesses
from eocore.jobs.ranks import TorchRanks
from eocore.jobs.ray_actors import RayActors
from eocore.jobs.work import Executor, Item, Work
from eocore.log import get_logger
from eocore.progress import Progress
from eocore.text import some_of

MOST_TOLD = 5
"""Failed items that the log names; all are in the job's results."""


@dataclass(frozen=True)
class JobReport:
    """What became of a job.

    Attributes:
        num_items: of the job.
        num_before: had a result before this call.
        failed: key -> error of every item that has none now.
    """

    num_items: int
    num_before: int
    failed: dict[str, str]

    @property
    def num_done(self) -> int:
        """Items with a result."""
        return self.num_items - len(self.failed)


def run_job(work: Work, items: Sequence[Item], *, folder: JobFolder, executor: Executor, overwrite: bool = False) -> JobReport:
    """Does what is not done yet; the folder is held afterwards, until its `close`, so that results can be read.

    Args:
        work: see `eocore.jobs.work`.
        items: all of the job, with those that are done.
        folder: where results go.
        executor: where the work is done.
        overwrite: throw away what another job has left in the folder; the same one is resumed.

    Raises:
        DataError, OutputError: as `JobFolder.open` and `JobFolder.write`.
        UnforeseenError: the work cannot be done for any item.
    """
    folder.open(items, overwrite=overwrite)
    chunks = folder.pending()
    num_left = sum(len(chunk.items) for chunk in chunks)
    if num_left < len(items):
        get_logger().info("%d of %d items are done already", len(items) - num_left, len(items))
    failed: dict[str, str] = {}
    written: Future[None] | None = None
    with Progress("working", num_left) as progress, ThreadPoolExecutor(1) as writer:
        for index, outcomes in executor.run(work, chunks) if chunks else ():
            if written is not None:
                written.result()  # no more results wait in memory than one chunk's
            written = writer.submit(folder.write, index, outcomes)
            failed.update((outcome.key, outcome.error) for outcome in outcomes if outcome.result is None)
            progress.advance(len(outcomes))
        if written is not None:
            written.result()
    if failed:
        named = some_of([f"{key}: {error}" for key, error in failed.items()], MOST_TOLD)
        get_logger().warning("%d of %d items failed (%s)", len(failed), len(items), named)
    return JobReport(len(items), len(items) - num_left, failed)


def local_executor(num_workers: int, *, timeout_s: float | None = None) -> Executor:
    """Processes of this machine; 0 = this process alone.

    Args:
        num_workers: processes.
        timeout_s: see `WorkerProcesses`.
    """
    return WorkerProcesses(num_workers, timeout_s=timeout_s) if num_workers else InThisProcess()


ENGINES = ("processes", "torchrun", "ray")


def choose_executor(engine: str, num_workers: int, *, address: str | None = None, num_gpus: float = 0.0) -> Executor:
    """The executor that a command line names.

    Args:
        engine: of ENGINES.
        num_workers: processes of this machine, 0 = this one alone; or actors of a cluster.
        address: of a Ray cluster, see `RayActors`.
        num_gpus: that each actor needs.

    Raises:
        ConfigError: an unknown engine, an engine of a cluster without workers, or options of a cluster for processes.
    """
    if engine not in ENGINES:
        raise ConfigError(f"engine '{engine}' is unknown; choices: {', '.join(ENGINES)}.")
    if engine != "ray" and (address is not None or num_gpus):
        raise ConfigError("--address and --gpus-per-worker are of a Ray cluster. Add --engine ray, or leave them out.")
    if engine == "processes":
        return local_executor(num_workers)
    if engine == "torchrun":
        if num_workers:
            raise ConfigError("--engine torchrun takes one process a GPU as torchrun starts them. Leave --workers out.")
        return TorchRanks.connect()
    if num_workers < 1:
        raise ConfigError("--engine ray needs --workers: how many actors work at a time, each with the model.")
    return RayActors(num_workers, address=address, num_gpus=num_gpus)
