"""One run shared among ranks: what all of them have predicted already, and predicting what is left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from eocore.distributed import Ranks, together
from eocore.errors import DataError
from eocore.evaluate.engine.predicting import SampleShare, predict_share, write_lost
from eocore.evaluate.engine.shards import PredictionWriter, find_shards
from eocore.evaluate.predictions import Prediction, PredictionKey, read_predictions
from eocore.evaluate.protocols import Answerer
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


def predicted(folder: Path, run_id: str, ranks: Ranks) -> set[PredictionKey]:
    """The samples that stand in any shard of the run, on whatever number of ranks they were predicted."""
    found: list[set[PredictionKey]] = ranks.gather(together(ranks, lambda: _in_shards(folder, run_id)))
    return set().union(*found)


def _in_shards(folder: Path, run_id: str) -> set[PredictionKey]:
    return {prediction.key for path in find_shards(folder, run_id=run_id) for prediction in _whole_lines(path)}


def _whole_lines(path: Path) -> list[Prediction]:
    """The samples of a shard; a last line that was cut short is taken off first."""
    with PredictionWriter(path):
        return read_predictions(path)


def predict_together(
    share: SampleShare, answerer: Answerer, writer: PredictionWriter, ranks: Ranks, *, any_done: bool, on_samples: Callable[[int], None]
) -> None:
    """Predicts this rank's share of a data set under one setting.

    Args:
        share: what is left for this rank.
        answerer: of the model.
        writer: of this rank's shard.
        ranks: all call this at once.
        any_done: whether any sample of the setting was predicted by an earlier start.
        on_samples: called with the number of samples done.

    Raises:
        DataError: on every rank, where none could be predicted on any.
        OutputError: the shard cannot be written.
    """
    lost = together(ranks, lambda: predict_share(share, answerer, writer, on_samples=on_samples))
    answered = any_done or any(ranks.gather(len(share.indices) > len(lost)))
    together(ranks, lambda: write_lost(lost, writer, anything=answered))
