"""Upstream's evaluation command: benchmarks without training, a CSV file of scores for each, several models in one figure."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from eocore.data.image_sources import IMAGE_SUFFIXES
from eocore.distributed import Ranks
from eocore.errors import ConfigError, DataError
from eocore.evaluate.benchmarks.catalogue import Benchmark
from eocore.evaluate.engine.benchmark_run import run_benchmarks
from eocore.evaluate.engine.run_options import Outcome, RunOptions
from eocore.evaluate.reporting.radar import LEAST_AXES, draw_radar
from eocore.evaluate.reporting.summary import Result, read_result
from eocore.files import write_file
from eocore.log import get_logger
from eocore.models.folders import CONFIG, read_json
from eocore.predict.image_files import tell_sensor
from eocore.registry import BENCHMARKS
from eocore.system import PredictorOptions
from eocore.text import did_you_mean
from ms_clip.benchmarks import MULTISPECTRAL, OF_BANDS, OPTICAL, OTHER_FEATURES, SUITE
from ms_clip.model.configuration_ms_clip import MsClipConfig
from ms_clip.predictor import MsClipPredictor
from ms_clip.upstream.models import build_model, weights_of
from ms_clip.upstream.templates import find_templates

PRECISIONS = {"amp": None, "fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Name -> type that the model computes in; "amp" is float16 on a GPU and float32 elsewhere, as upstream's autocast."""
UPSTREAM_NAMES = {
    "accuracy": "acc1",
    "accuracy_top5": "acc5",
    "balanced_accuracy": "mean_per_class_recall",
    "map_macro@100_of_hits": "mAP",
    "above_mean_accuracy": "mean_accuracy",
    "above_mean_f1_macro": "macro_f1",
}
"""Our name of a measure -> the one that upstream's files have."""
RADAR_MEASURES = ("acc1", "mean_accuracy", "mAP")


@dataclass(frozen=True, kw_only=True)
class EvaluatedModel:
    """A model to evaluate.

    Attributes:
        name: see `build_model`.
        save_name: what its files are called.
        ckpt_path: folder of a model instead of the one that the name stands for.
        pretrained: False = random weights, a control.
    """

    name: str
    save_name: str
    ckpt_path: Path | None = None
    pretrained: bool = True

    def __post_init__(self) -> None:
        if not self.save_name or Path(self.save_name).name != self.save_name:
            raise ConfigError(f"the save name '{self.save_name}' is no name of a file. Give another with --save-name.")


@dataclass(frozen=True, kw_only=True)
class EvaluationChoices:
    """How models are evaluated.

    Attributes:
        datasets: names of the suite, or folders with a folder a class; () = the whole suite.
        dataset_dir: where the sets of the suite lie.
        templates: clip, msclip or rs5m.
        other_features: decide BigEarthNet's classes by a further class "Other features" instead of the mean of an image's scores.
        batch_size: images at a time.
        precision: of `PRECISIONS`.
        save_path: folder of results.
        device: as torch names it; None = the GPU if there is one.
        limit: only the first so many images of each set; None = all.
        overwrite: throw away what another model or other data left in `save_path`.
    """

    datasets: Sequence[str] = ()
    dataset_dir: Path = Path("benchmark_datasets")
    templates: str = "msclip"
    other_features: bool = False
    batch_size: int = 64
    precision: str = "amp"
    save_path: Path = Path("results")
    device: str | None = None
    limit: int | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ConfigError(f"precision '{self.precision}' is unknown; choices: {', '.join(PRECISIONS)}.")
        if self.batch_size < 1:
            raise ConfigError(f"batch size is {self.batch_size}, expected at least 1.")


@dataclass(frozen=True)
class Evaluation:
    """What came of it.

    Attributes:
        files: CSV files, and the figure where there is one.
        outcomes: (save name, outcome) of each model and set.
        measures: save name -> "<set> <measure>" -> value, of the measures of the figure.
        failed: whether a set that is there could not be evaluated.
    """

    files: tuple[Path, ...]
    outcomes: tuple[tuple[str, Outcome], ...]
    measures: Mapping[str, Mapping[str, float]]

    @property
    def failed(self) -> bool:
        """Whether a set that is there could not be evaluated, or none was."""
        states = {outcome.state for _, outcome in self.outcomes}
        return "failed" in states or "done" not in states


def evaluate_models(models: Sequence[EvaluatedModel], choices: EvaluationChoices, *, ranks: Ranks) -> Evaluation:
    """Predicts, scores, and writes `<save name>_<set>_<time>.csv` of each set and model, and `radar_<time>.png` of several models.

    Args:
        models: at least one.
        choices: for all of them.
        ranks: the processes that share the work.

    Raises:
        ConfigError: two models have one save name, or a set or model is unknown or not there.
        OutputError: results cannot be written.
    """
    names = [model.save_name for model in models]
    if not models or len(set(names)) < len(names):
        raise ConfigError(f"models to evaluate: expected at least one, and a --save-name of its own for each, found {', '.join(names)}.")
    benchmarks = choose_sets(choices)
    find_templates(choices.templates)
    folders = {model.save_name: _folder_of(model, choices) for model in models}
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    files, outcomes, measures = [], [], {}
    for name, folder in folders.items():
        out = choices.save_path / name
        done = _predict(folder, benchmarks, out=out, choices=choices, ranks=ranks)
        outcomes += [(name, outcome) for outcome in done]
        results = {outcome.benchmark: read_result(out / outcome.benchmark) for outcome in done if outcome.state == "done"}
        measures[name] = {f"{item} {measure}": value for item, result in results.items() for measure, value in _radar_values(result)}
        if ranks.is_first:
            files += [write_scores(choices.save_path / f"{name}_{item}_{stamp}.csv", result) for item, result in results.items()]
    if ranks.is_first:
        files += _write_radar(choices.save_path / f"radar_{stamp}.png", measures)
    return Evaluation(tuple(files), tuple(outcomes), measures)


def choose_sets(choices: EvaluationChoices) -> list[Benchmark]:
    """The benchmarks of the choices.

    Raises:
        ConfigError: a name is unknown, or named twice.
        DataError: a folder holds no class.
    """
    known: dict[str, Benchmark] = {item.name: item for item in BENCHMARKS.module_dict.values() if item.suite == SUITE}
    chosen = []
    for name in choices.datasets or known:
        if name not in known and not Path(name).is_dir():
            raise ConfigError(
                f"no data set '{name}'.{did_you_mean(name, known)} Name {', '.join(known)}, or a folder that holds a folder of images for "
                "each class."
            )
        chosen.append(known[name] if name in known else folder_benchmark(Path(name)))
    names = [item.name for item in chosen]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"data sets named twice: {', '.join(twice)}. Name each once; two folders need different names.")
    return [_with_other(item) if choices.other_features and item.task == "multilabel" else item for item in chosen]


def _with_other(benchmark: Benchmark) -> Benchmark:
    dataset = {**benchmark.dataset, "other": OTHER_FEATURES}
    return replace(benchmark, dataset=dataset, vector_metric={"type": "LabelScores", "other": OTHER_FEATURES})


def folder_benchmark(folder: Path) -> Benchmark:
    """A set of one's own, a folder of images a class; what sensor took them is told from the first image.

    Raises:
        DataError: there is no class folder, or no image in any of them; or the sensor cannot be told.
    """
    images = (path for path in sorted(folder.glob("*/*")) if path.suffix.lower() in IMAGE_SUFFIXES)
    first = next(images, None)
    if first is None:
        raise DataError(f"{folder} holds no folder of images for each class. Put the images of each class into a folder of its name.")
    sensor = tell_sensor("multispectral", (str(first),))
    role = "rgb" if sensor == "rgb_uint8" else "multispectral"
    get_logger().info("%s: images read as %s, told from %s", folder, sensor, first)
    return Benchmark(
        name=folder.resolve().name,
        title=folder.name,
        task="classification",
        settings=OPTICAL if role == "rgb" else MULTISPECTRAL,
        dataset={
            "type": "ClassFolderDataset",
            "annotations": str(folder),
            "images": {role: {"root": str(folder), "pattern": "{name}", "sensor": sensor}},
        },
    )


def _folder_of(model: EvaluatedModel, choices: EvaluationChoices) -> Path:
    """The folder of a model in our layout, since what was predicted is known by its digests.

    Raises ConfigError if it is of another layout: it is imported first.
    """
    if not model.pretrained:
        folder = choices.save_path / "random" / model.save_name
        made = build_model(model.name, pretrained=False, device="cpu")
        made.model.save_pretrained(folder)
        made.tokenizer.processor.save_pretrained(folder)
        return folder
    folder = weights_of(model.name, model.ckpt_path)
    if not (folder / CONFIG).is_file() or read_json(folder / CONFIG).get("model_type") != MsClipConfig.model_type:
        raise ConfigError(
            f"{folder} is no imported model. Evaluation knows what was predicted by the files of a folder; make one first: "
            f"python tools/import_weights.py {folder} --out pretrained/NAME, then give pretrained/NAME."
        )
    return folder


def _predict(folder: Path, benchmarks: Sequence[Benchmark], *, out: Path, choices: EvaluationChoices, ranks: Ranks) -> list[Outcome]:
    kind = torch.device(choices.device).type if choices.device else ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.float16 if choices.precision == "amp" and kind == "cuda" else PRECISIONS[choices.precision]
    predictor = MsClipPredictor(folder, PredictorOptions(device=choices.device, float32_on_cpu=True))
    options = RunOptions(
        model=folder,
        system="ms_clip",
        out=out,
        data_root=str(choices.dataset_dir),
        batch_size=choices.batch_size,
        limit=choices.limit,
        overwrite=choices.overwrite,
        templates=find_templates(choices.templates),
        generation={} if dtype is None else {"computed in": str(dtype).removeprefix("torch.")},
    )
    unread = [] if choices.datasets else [item for item in benchmarks if _shows_colours_to(item, predictor)]
    with nullcontext() if dtype is None else torch.autocast(kind, dtype=dtype):
        done = run_benchmarks([item for item in benchmarks if item not in unread], options, predictor=predictor, ranks=ranks)
    return [*done, *(Outcome(item.name, "skipped", "it holds colours alone, and the model reads bands.") for item in unread)]


def _shows_colours_to(benchmark: Benchmark, predictor: MsClipPredictor) -> bool:
    """Whether a set of the suite is of colours and the model of bands; a set that is asked for by name is tried."""
    return benchmark.name not in OF_BANDS and predictor.processor.options.unit != "display"


def write_scores(path: Path, result: Result) -> Path:
    """Lines of metric, value, and the limits of the 95 % interval where there is one; upstream's measures first, by its names."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["metric", "value", "low", "high"])
    table.writerows((name, *("" if limit is None else f"{limit:.6f}" for limit in value)) for name, value in score_lines(result))
    write_file(path, text.getvalue())
    return path


Limits = tuple[float | None, float | None, float | None]


def score_lines(result: Result) -> Iterator[tuple[str, Limits]]:
    """(name, (value, low, high)) of all measures of a result, and of the accuracy of each class."""
    for scored in _scored(result):
        all_of_them = {**scored["overall"]["metrics"], **scored["reference_compat"]}
        for ours, theirs in UPSTREAM_NAMES.items():
            if ours in all_of_them:
                yield theirs, _limits(all_of_them[ours])
        for name, value in all_of_them.items():
            if name not in UPSTREAM_NAMES:
                yield name, _limits(value)
        for label, group in scored["by_type"].items():
            yield f"accuracy of {label}", _limits(group["metrics"][scored["headline"]])
        yield "images", (float(scored["overall"]["n"]), None, None)


def _scored(result: Result) -> list[Mapping[str, Any]]:
    return [scored for tasks in result["settings"].values() for scored in tasks.values()]


def _limits(value: Mapping[str, Any]) -> Limits:
    return value["value"], value["low"], value["high"]


def _radar_values(result: Result) -> list[tuple[str, float]]:
    return [(name, limits[0]) for name, limits in score_lines(result) if name in RADAR_MEASURES and limits[0] is not None]


def _write_radar(path: Path, measures: Mapping[str, Mapping[str, float]]) -> list[Path]:
    """The figure, where there are several models with enough measures in common."""
    common = set.intersection(*(set(values) for values in measures.values()))
    if len(measures) < 2 or len(common) < LEAST_AXES:
        return []
    write_file(path, draw_radar(measures, title="Zero-shot accuracy and mAP@100, each axis from the lowest to the highest"))
    return [path]
