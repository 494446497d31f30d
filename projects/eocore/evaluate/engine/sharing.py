"""One run shared among ranks: what all of them have predicted already, and predicting what is left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from eocore.distributed import Ranks, together
from eocore.errors import DataError
from eocore.evaluate.engine.predicting import RankSamples, predict_samples, write_lost
from eocore.evaluate.engine.responders import Responder
from eocore.evaluate.engine.shards import PredictionWriter, find_shards
from eocore.evaluate.predictions import Prediction, PredictionKey, read_predictions
from eocore.files import writing
from eocore.folder_lock import WAIT_S, FolderLock


@contextmanager
def held(folder: Path, ranks: Ranks, *, wait_s: float = WAIT_S) -> Iterator[None]:
    """Keeps other runs out of a folder of results inside the block.

    Args:
        folder: of the results, made where absent.
        ranks: of this run; the first one holds it for all.
        wait_s: how long another run may take to end [s].

    Raises:
        DataError: on every rank, another run holds it.
        OutputError: on every rank, it cannot be written.
    """
    lock = FolderLock(folder)
    together(ranks, lambda: _take(lock, wait_s) if ranks.is_first else None)
    try:
        yield
    finally:
        lock.release()


def _take(lock: FolderLock, wait_s: float) -> None:
    with writing(lock.folder, "results"):
        holder = lock.take(wait_s=wait_s)
    if holder is not None:
        raise DataError(
            f"{lock.folder} is in use by {holder}; two runs in one folder would each predict every sample and mix their lines. Wait for "
            "it, stop it, or give another folder with --out."
        )


def predicted(folder: Path, run_id: str, *, ranks: Ranks) -> set[PredictionKey]:
    """The samples that stand in any shard of the run, on whatever number of ranks they were predicted."""
    found: list[set[PredictionKey]] = ranks.gather(together(ranks, lambda: _in_shards(folder, run_id)))
    return set().union(*found)


def _in_shards(folder: Path, run_id: str) -> set[PredictionKey]:
    return {prediction.key for path in find_shards(folder, run_id=run_id) for prediction in _whole_lines(path)}


def _whole_lines(path: Path) -> list[Prediction]:
    """The samples of a shard; a last line that was cut short is taken off first."""
    with PredictionWriter(path):
        return read_predictions(path)


@dataclass(frozen=True)
class Lines:
    """Where the lines of a rank's samples go.

    Attributes:
        writer: of this rank's shard.
        any_done: whether any sample of the data set under the setting was predicted by an earlier start.
        on_samples: called with the number of samples done.
    """

    writer: PredictionWriter
    any_done: bool
    on_samples: Callable[[int], None]


def predict_together(own: RankSamples, responder: Responder, *, lines: Lines, ranks: Ranks) -> None:
    """Predicts this rank's samples of a data set under one setting.

    Args:
        own: what is left for this rank.
        responder: of the model.
        lines: where they go.
        ranks: all call this at once.

    Raises:
        DataError: on every rank, where none could be predicted on any.
        OutputError: the shard cannot be written.
    """
    lost = together(ranks, lambda: predict_samples(own, responder, writer=lines.writer, on_samples=lines.on_samples))
    answered = lines.any_done or any(ranks.gather(len(own.indices) > len(lost)))
    together(ranks, lambda: write_lost(lost, lines.writer, anything=answered))
