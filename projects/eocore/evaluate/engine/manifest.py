"""What a run of one benchmark is: `run.json`, written before the first sample, from which shards are merged without data or model."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, Self

from eocore.checkout import ask_git
from eocore.errors import DataError
from eocore.evaluate.engine.inputs import RUN_FILE
from eocore.evaluate.predictions import PredictionKey
from eocore.evaluate.scoring.scores import Scores
from eocore.files import write_file
from eocore.json_fields import CLOSED, parse_fields


class RunManifest(Protocol):
    """What run.json says of one folder of results, whether of a benchmark or of a config."""

    @property
    def run_id(self) -> str:
        """Names everything that answers depend on; goes into the names of the shards."""

    @property
    def keys(self) -> list[PredictionKey]:
        """Every line a complete predictions file has, in order."""

    @property
    def metrics(self) -> Mapping[str, Mapping[str, Any]] | None:
        """Task -> entry of METRICS, where it is not the task's own."""

    def write(self, folder: Path) -> None:
        """Writes run.json."""

    def without(self, keys: Collection[PredictionKey], *, notes: Sequence[str]) -> Self:
        """The manifest without some lines, and with the reasons."""

    def result(self, scores: Scores, *, predictions: Mapping[str, Any], time_s: float | None) -> dict[str, Any]:
        """What scores.json holds."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One benchmark, one model, one set of choices.

    Attributes:
        run_id: names all of it; goes into the names of the shards.
        benchmark, title, task: of the benchmark.
        named: what it was called on the command line (a user's own file is not in the registry).
        metric: entry of METRICS; empty = the task's own.
        settings: sensor settings, in order.
        sample_ids: of every setting, in order.
        system: package that knows the model.
        model: folder as given.
        model_stamp: of its configs, tokenizer and weights.
        config_sha256: of the benchmark's definition and the choices of the run that change answers.
        data_sha256: of annotations and images.
        data_root: folder as given.
        expected: number of samples of the published set; None where none is published.
        commit: of this code; "" where it is not known.
        notes: what a reader of the scores must know.
        inputs: what answers depend on, one by one (`eocore.evaluate.engine.inputs.Inputs`); empty in files of older versions.
        lacking: setting -> ids of samples that are not asked under it, since they have not all of its images.
    """

    __pydantic_config__ = CLOSED

    run_id: str
    benchmark: str
    named: str
    title: str
    task: str
    metric: Mapping[str, Any]
    settings: Sequence[str]
    sample_ids: Sequence[str]
    system: str
    model: str
    model_stamp: str
    config_sha256: str
    data_sha256: str
    data_root: str
    expected: int | None = None
    commit: str = ""
    notes: Sequence[str] = field(default_factory=tuple)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    lacking: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def keys(self) -> list[PredictionKey]:
        """Every line a complete predictions file has, in order."""
        return [key for setting in self.settings for key in self._keys_of(setting)]

    def _keys_of(self, setting: str) -> list[PredictionKey]:
        lacking = set(self.lacking.get(setting, ()))
        return [PredictionKey(self.task, setting, sample) for sample in self.sample_ids if sample not in lacking]

    def write(self, folder: Path) -> None:
        """Writes run.json."""
        write_file(folder / RUN_FILE, json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")

    @property
    def metrics(self) -> Mapping[str, Mapping[str, Any]] | None:
        """See `RunManifest`."""
        return {self.task: self.metric} if self.metric else None

    def without(self, keys: Collection[PredictionKey], *, notes: Sequence[str]) -> "Manifest":
        """See `RunManifest`; settings are left out as a whole."""
        settings = [setting for setting in self.settings if not set(self._keys_of(setting)) <= set(keys)]
        return replace(self, settings=settings, notes=[*self.notes, *notes])

    def result(self, scores: Scores, *, predictions: Mapping[str, Any], time_s: float | None) -> dict[str, Any]:
        """See `RunManifest`."""
        groups = [item["overall"] for by_task in scores["settings"].values() for item in by_task.values()]
        return {
            **self.describe(),
            "predictions": predictions,
            "n_missing": sum(group["n_missing"] for group in groups),
            "n_unparsed": sum(group["n_unparsed"] for group in groups),
            "time_s": None if time_s is None else round(time_s, 3),
            **scores,
        }

    def describe(self) -> dict[str, Any]:
        """What goes into scores.json: all but the lists of samples and inputs."""
        values = asdict(self)
        values.pop("inputs")
        values["count"] = len(values.pop("sample_ids"))
        values["lacking"] = {setting: len(ids) for setting, ids in self.lacking.items()}
        return values


@dataclass(frozen=True, kw_only=True)
class ConfigManifest:
    """The data sets of a config, one model, one set of choices.

    Attributes:
        run_id, model, model_stamp, data_sha256, config_sha256, commit, notes, inputs: as of `Manifest`.
        config: file name.
        samples: (task, setting, sample id) of every line, in order.
        system: package that knows the model; "" in files of older versions.
    """

    __pydantic_config__ = CLOSED

    run_id: str
    config: str
    model: str
    model_stamp: str
    data_sha256: str
    config_sha256: str
    commit: str
    samples: Sequence[Sequence[str]]
    notes: Sequence[str] = field(default_factory=tuple)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    system: str = ""

    @property
    def keys(self) -> list[PredictionKey]:
        """See `RunManifest`."""
        return [PredictionKey(*item) for item in self.samples]

    @property
    def metrics(self) -> None:
        """See `RunManifest`: each task's own."""
        return None

    def write(self, folder: Path) -> None:
        """See `RunManifest`."""
        write_file(folder / RUN_FILE, json.dumps(asdict(self), indent=1, ensure_ascii=False, default=str) + "\n")

    def without(self, keys: Collection[PredictionKey], *, notes: Sequence[str]) -> "ConfigManifest":
        """See `RunManifest`."""
        return replace(self, samples=[item for item in self.samples if PredictionKey(*item) not in keys], notes=[*self.notes, *notes])

    def result(self, scores: Scores, *, predictions: Mapping[str, Any], time_s: float | None) -> dict[str, Any]:
        """See `RunManifest`; the same for every run of it, however long it took."""
        described = {name: value for name, value in asdict(self).items() if name not in ("samples", "inputs") and value != ()}
        return {**scores, "predictions": predictions, "run": described}


def read_manifest(folder: Path) -> Manifest | ConfigManifest:
    """The manifest of a folder of results.

    Raises:
        DataError: there is none, or it cannot be read.
    """
    path = folder / RUN_FILE
    if not path.is_file():
        raise DataError(f"{folder} has no {RUN_FILE}: it is no folder of a benchmark's run. Name the --out folder of `run`, or one inside.")
    text, remedy = path.read_bytes(), "Run the benchmark again with --overwrite."
    content = parse_fields(text, dict[str, Any], source=str(path), remedy=remedy)
    if "config" in content:
        return parse_fields(text, ConfigManifest, source=str(path), remedy=remedy)
    return parse_fields(text, Manifest, source=str(path), remedy=remedy)


def code_commit() -> str:
    """The commit this code is at, with "+changes" where files differ from it; "" outside of a repository."""
    commit, changed = ask_git("rev-parse", "HEAD"), ask_git("status", "--porcelain", "--untracked-files=no", "--", "projects")
    if commit is None or changed is None:
        return ""
    return commit.strip() + ("+changes" if changed.strip() else "")
