"""What the answers of a run depend on, and the rule of re-use: a folder's answers are kept with equal inputs, or not at all."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from eocore.data.dataset import RecordDataset
from eocore.data.io.file_digests import ABSENT, file_digest, stamp
from eocore.distributed import Ranks
from eocore.errors import DataError
from eocore.evaluate.engine.digests import annotation_files, image_digests
from eocore.evaluate.vectors import SHARD_SUFFIX, VECTORS
from eocore.json_fields import parse_fields
from eocore.text import some_of

PREDICTIONS, SCORES, RUN_FILE = "predictions.jsonl", "scores.json", "run.json"
REPORTS = ("report.html", "report.md")
SHARDS = "predictions.*.*of*.jsonl"
VECTOR_SHARDS = f"predictions.*.*of*{SHARD_SUFFIX}"
RUN_ID_LENGTH = 12
"""Differences that a message lists; there may be one for each file of a model."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What answers depend on.

    Attributes:
        model: file name -> digest.
        data: what of which data set -> digest.
        choices: everything chosen that changes answers, plain values.
        paths: the annotation files among `data` -> where they lie; not part of the identity.
    """

    model: Mapping[str, str]
    data: Mapping[str, str]
    choices: Mapping[str, Any]
    paths: Mapping[str, str] = field(default_factory=dict)

    @property
    def run_id(self) -> str:
        """Names all of it; goes into the names of the shards."""
        return stamp([self.model, self.data, _plain(self.choices)])[:RUN_ID_LENGTH]

    def differences(self, recorded: Mapping[str, Any]) -> list[str]:
        """What differs from the inputs that a run.json holds, in words; empty = the same run."""
        found = []
        for kind, label in (("model", "model file"), ("data", "data")):
            now, then = getattr(self, kind), recorded.get(kind, {})
            found += [f"{label} '{name}' {_how(then.get(name), now.get(name))}" for name in _unequal(then, now)]
        then, now = dict(_flat(recorded.get("choices", {}))), dict(_flat(_plain(self.choices)))
        found += [f"{name} was {_show(then, name)}, now {_show(now, name)}" for name in _unequal(then, now)]
        return found


def read_data(
    source: RecordDataset, config: Mapping[str, Any], *, modalities: Sequence[str], ranks: Ranks, name: str = ""
) -> tuple[dict[str, str], dict[str, str]]:
    """Digests of a data set's annotations and images, by names that start with the data set's; and where the annotations lie.

    Args:
        source: the data set.
        config: what it was built from.
        modalities: those that any setting feeds.
        ranks: share the images.
        name: of the data set in the names; "" = its own.
    """
    name = name or source.name
    paths: dict[str, Path] = {}
    for path in annotation_files(source, config):
        plain = f"{name}: {path.name}"
        paths[plain if plain not in paths else f"{name}: {path.parent.name}/{path.name}"] = path
    files = {name: file_digest(path) if ranks.is_first else "" for name, path in paths.items()}
    images = {f"{name}: {modality} images": digest for modality, digest in image_digests(source, modalities, ranks=ranks).items()}
    return {**ranks.gather(files)[0], **images}, {name: str(path.absolute()) for name, path in paths.items()}


def image_order(datasets: Sequence[Mapping[str, Any]]) -> dict[str, list[list[str]]]:
    """The roles of each data set of several in the order of its config, which decides on whose grid masks are: the first image's. Mappings
    are compared without their order. Empty where no data set has several."""
    orders = [list(config.get("images") or ()) for config in datasets]
    return {"image_order": orders} if any(len(order) > 1 for order in orders) else {}


def claim_folder(folder: Path, inputs: Inputs, *, overwrite: bool, reports: Sequence[Path] = ()) -> None:
    """Raise DataError unless the folder is free for this run, holds its answers, or may be cleared.

    Args:
        folder: of the run's results.
        inputs: of the run.
        overwrite: throw away all answers, scores and reports that are there.
        reports: pages of scores elsewhere, to be removed with the scores they show.

    Raises:
        DataError: answers or scores in it are of other inputs, or nothing says of which.
    """
    if overwrite:
        clear_results(folder, reports=reports)
        for path in [*folder.glob(SHARDS), *folder.glob(VECTOR_SHARDS), folder / RUN_FILE]:
            path.unlink(missing_ok=True)
        return
    held = [path for path in (*sorted(folder.glob(SHARDS)), folder / PREDICTIONS, folder / SCORES) if path.exists()]
    if not held:
        return
    recorded = read_inputs(folder)
    if recorded is None and all(path.name.startswith(f"predictions.{inputs.run_id}.") for path in held):
        return
    differences = ["nothing there says of which model, data and choices"] if recorded is None else inputs.differences(recorded)
    if differences:
        raise DataError(
            f"{folder} holds predictions of another run ({held[0].name}): {some_of(differences)}. Scores of both "
            "together would be of neither, so nothing was predicted and nothing changed. Give another folder with --out, or throw the old "
            "predictions and scores away with --overwrite."
        )


def clear_results(folder: Path, *, reports: Sequence[Path] = ()) -> None:
    """Removes merged predictions, scores and reports: while samples are still to be predicted, they tell of something else."""
    for path in (folder / PREDICTIONS, folder / VECTORS, folder / SCORES, *(folder / name for name in REPORTS), *reports):
        path.unlink(missing_ok=True)


class RecordedInputs(TypedDict, total=False):
    """`Inputs` as run.json holds them; empty in files of older versions."""

    model: dict[str, str]
    data: dict[str, str]
    choices: dict[str, Any]
    paths: dict[str, str]


class _Run(TypedDict, total=False):
    inputs: RecordedInputs


def read_inputs(folder: Path) -> RecordedInputs | None:
    """The inputs that a folder's run.json records; None where there is none, or one of a version that recorded no inputs.

    Raises:
        DataError: it cannot be read.
    """
    path = folder / RUN_FILE
    if not path.is_file():
        return None
    remedy = "Run again with --overwrite, or name another folder."
    return parse_fields(path.read_bytes(), _Run, source=str(path), remedy=remedy).get("inputs") or None


def require_scores_of(scores: Mapping[str, Any], folder: Path) -> None:
    """Raise DataError if the predictions file in a folder is another one than that which its scores were made of."""
    recorded, path = (scores.get("predictions") or {}).get("sha256"), folder / PREDICTIONS
    if recorded and path.is_file() and file_digest(path) != recorded:
        raise DataError(
            f"{folder / SCORES} is not of {path}, which has changed since it was scored; a report would show the scores of one beside the "
            "samples of the other. Run the evaluation again (what is predicted is not predicted again), or merge its shards."
        )


def require_same_truths(predictions: Path) -> None:
    """Raise DataError if an annotation file that the predictions' run.json names has changed since; absent ones are passed over."""
    recorded = read_inputs(predictions.parent) or {}
    for name, path in recorded.get("paths", {}).items():
        digest = file_digest(Path(path))
        if digest not in (ABSENT, recorded["data"].get(name)):
            raise DataError(
                f"{predictions}: its truths are those of {path} as it was, and that has changed since; the scores would be of the old "
                "truths. Predict again into another folder, or score the truths that the predictions hold with --recorded-truths."
            )


def _how(then: str | None, now: str | None) -> str:
    if then in (None, ABSENT) or now in (None, ABSENT):
        return "was absent" if then in (None, ABSENT) else "is absent now"
    return "has another content"


def _unequal(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return [name for name in dict.fromkeys([*then, *now]) if name not in then or name not in now or then[name] != now[name]]


def _show(values: Mapping[str, Any], name: str) -> str:
    return f"{values[name]!r:.60}" if name in values else "not set"


def _plain(value: Any) -> Any:
    """As JSON gives it back."""
    return json.loads(json.dumps(value, default=str))


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, plain value) of everything inside."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from _flat(item, f"{prefix}.{key}" if prefix else str(key))
    if not isinstance(value, dict | list) or (prefix and not value):
        yield prefix, value
