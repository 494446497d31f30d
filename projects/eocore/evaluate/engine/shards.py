"""Predicting on several ranks: one file per rank, appended and resumed, merged when all are done."""

import hashlib
import io
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from eocore.errors import DataError
from eocore.evaluate.engine.inputs import PREDICTIONS
from eocore.evaluate.predictions import Prediction, PredictionKey, format_prediction, read_predictions, some_ids
from eocore.evaluate.vectors import SHARD_SUFFIX, VECTORS, VectorFile, merge_vectors
from eocore.files import write_file, writing
from eocore.log import get_logger


class PredictionWriter:
    """Appends samples to a file, each on disk before the next is predicted, and knows those that are there already.

    Args:
        path: file to append to; made, with its folder, where absent.

    Raises:
        DataError: what stands in the file breaks the format.
        OutputError: the file cannot be opened for writing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._writing():
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                _drop_torn_line(path)
            found = read_predictions(path) if path.exists() else []
            self._done = {prediction.key for prediction in found}
            kept = max((prediction.vectors.end for prediction in found if prediction.vectors), default=0)
            self._vectors = VectorFile(path.with_suffix(SHARD_SUFFIX), num_kept=kept)
            self._file = path.open("a", encoding="utf-8", newline="\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        with suppress(OSError) if error is not None else self._writing():  # a failed write was told of already
            self._file.close()
            self._vectors.close()

    def _writing(self) -> AbstractContextManager[None]:
        return writing(self._path, "predictions", follows="All samples written before are kept, and are not predicted again.")

    def __contains__(self, key: PredictionKey) -> bool:
        return key in self._done

    def write(self, prediction: Prediction, *, vectors: np.ndarray | None = None) -> None:
        """Appends one sample.

        Args:
            prediction: the sample.
            vectors: its class scores or embeddings, which go into a file beside this one, before the line that refers to them.

        Raises:
            DataError: it is in the file already, or cannot be written as JSON.
            OutputError: the disk is full, or the file may not be written to.
        """
        if prediction.key in self._done:
            raise DataError(f"{self._path}: sample '{prediction.sample_id}' is there already; ask `key in writer` before predicting it.")
        with self._writing():
            if vectors is not None:
                prediction = replace(prediction, vectors=self._vectors.append(vectors))
            line = format_prediction(prediction) + "\n"
            self._file.write(line)
            self._file.flush()
        self._done.add(prediction.key)


def _drop_torn_line(path: Path) -> None:
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        get_logger().warning("%s: the last line was cut short when the earlier run stopped; its sample is predicted again.", path)
        with path.open("r+b") as file:
            file.truncate(whole)


def shard_path(folder: Path, *, run_id: str, rank: int, world_size: int) -> Path:
    """Where one rank writes.

    Args:
        folder: of the run's results.
        run_id: names model, data and settings; another model must get another one, or resuming would mix the two.
        rank: 0 .. world_size - 1.
        world_size: number of ranks that share the samples.

    Raises:
        DataError: the run id has characters other than letters, digits, `_` and `-`.
    """
    if not re.fullmatch(r"[\w-]+", run_id, flags=re.ASCII):
        raise DataError(f"run id '{run_id}' goes into a file name: use letters, digits, '_' and '-' only.")
    return folder / f"predictions.{run_id}.{rank}of{world_size}.jsonl"


def find_shards(folder: Path, *, run_id: str) -> list[Path]:
    """The shards of a run, whatever the number of ranks that wrote them, in the order of their names.

    Raises:
        DataError: the folder holds shards of another run.
    """
    found = sorted(folder.glob("predictions.*.*of*.jsonl"))
    stale = [path.name for path in found if not path.name.startswith(f"predictions.{run_id}.")]
    if stale:
        raise DataError(
            f"{folder} holds predictions of another run ({', '.join(stale)}): its model, data or settings were others than those of run "
            f"'{run_id}', and merging the two would mix them. Name another folder, or throw the old ones away (--overwrite)."
        )
    return found


def merge_shards(folder: Path, expected: Sequence[PredictionKey], *, run_id: str) -> list[Prediction]:
    """The samples of all ranks of one run, in the order of `expected` whatever the number of ranks, also where it changed on the way.

    Args:
        folder: holds the shards.
        expected: what must have been predicted.
        run_id: as given to `shard_path`.

    Raises:
        DataError: there is a shard of another run, or the shards together do not hold exactly the expected samples, each once.
    """
    merged: dict[PredictionKey, tuple[Prediction, Path]] = {}
    for path in find_shards(folder, run_id=run_id):
        for prediction in read_predictions(path):
            if prediction.key in merged:
                raise DataError(f"{path}: sample '{prediction.sample_id}' stands also in {merged[prediction.key][1].name}. Predict anew.")
            merged[prediction.key] = (prediction, path)
    absent = [key.sample_id for key in expected if key not in merged]
    if absent:
        raise DataError(
            f"{folder}: {len(absent)} of {len(expected)} samples are in no shard of run '{run_id}' ({some_ids(absent)}). Resume it, or "
            "copy the shards of the other machines here and merge again."
        )
    unexpected = sorted(set(merged) - set(expected))
    if unexpected:
        raise DataError(
            f"{folder}: {len(unexpected)} samples are not among those of run '{run_id}' "
            f"({some_ids([key.sample_id for key in unexpected])}). The shards were changed by hand, "
            "or belong to other data; predict anew (--overwrite)."
        )
    return [merged[key][0] for key in expected]


def write_predictions(folder: Path, samples: Sequence[Prediction]) -> dict[str, Any]:
    """Writes the predictions file of a run's folder, and VECTORS where lines have any; returns what scores.json says of it: `path`,
    `sha256` and `num_samples`."""
    if any(item.vectors for item in samples):
        numbers, refs = merge_vectors([item.vectors for item in samples], folder)
        packed = io.BytesIO()
        np.save(packed, numbers, allow_pickle=False)
        write_file(folder / VECTORS, packed.getvalue())
        samples = [replace(item, vectors=ref) for item, ref in zip(samples, refs, strict=True)]
    content = "".join(format_prediction(item) + "\n" for item in samples).encode("utf-8")
    write_file(folder / PREDICTIONS, content)
    return {"path": PREDICTIONS, "sha256": hashlib.sha256(content).hexdigest(), "num_samples": len(samples)}
