"""Runs through Scores and Embeds with a model of colour statistics: end to end, stopped and resumed, on two processes, refused."""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_runs import RulePredictor, on_ranks
from mmengine.config import Config
from PIL import Image

from eocore.distributed import Ranks, join_ranks, leave_ranks
from eocore.errors import ConfigError, DataError
from eocore.evaluate.benchmarks.custom import custom_benchmark
from eocore.evaluate.engine.benchmark_run import run_benchmarks
from eocore.evaluate.engine.config_run import run_config
from eocore.evaluate.engine.job import collect
from eocore.evaluate.engine.run_options import Outcome, RunOptions
from eocore.evaluate.predictions import read_predictions
from eocore.evaluate.protocols import ClassPrompts
from eocore.evaluate.vectors import VECTORS

COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (40, 60, 210), "yellow": (200, 200, 40)}
NUM_IMAGES = 12


class ColourPredictor:
    """One space for images and texts: the mean colour of an image, and the colours a text names; stops before it sees more than `most`."""

    def __init__(self, most: int = 10**9) -> None:
        self.most, self.num_seen, self.num_loads = most, 0, 0

    def load(self) -> None:
        self.num_loads += 1

    def prepare_image(self, sample: Any) -> np.ndarray:
        record, scenes = sample
        if record.sample_id == "refused":
            raise DataError("this image is too small")
        return scenes[0].pixels.reshape(3, -1).mean(axis=1) - 120.0 + 0.01

    def embed_images(self, images: Sequence[Any]) -> np.ndarray:
        if self.num_seen + len(images) > self.most:
            raise KeyboardInterrupt
        self.num_seen += len(images)
        return np.stack(images)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        named = [
            [np.array(value) for name, value in COLOURS.items() if name in re.findall(r"\w+", text)] or [np.zeros(3)] for text in texts
        ]
        return np.stack([np.mean(part, axis=0) - 120.0 + 0.01 for part in named])


class LinearScorer:
    """A fixed list of classes, one row of weights each."""

    WEIGHTS = np.array(list(COLOURS.values()), dtype=np.float32) - 120.0

    def class_scores(self, images: Sequence[Any], prompts: ClassPrompts) -> np.ndarray:
        known = [list(COLOURS).index(name) for name in prompts.classes]
        means = np.stack([scenes[0].pixels.reshape(3, -1).mean(axis=1) - 120.0 for _, scenes in images])
        return means @ self.WEIGHTS[known].T


def write_entries(folder: Path, name: str, entries: list[dict[str, Any]]) -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Task -> name of a user's own benchmark of coloured images."""
    rng = np.random.default_rng(0)
    labels, retrieval, several = [], [], []
    for number in range(NUM_IMAGES):
        name = list(COLOURS)[number % len(COLOURS)]
        second = list(COLOURS)[(number + 1) % 3]
        mixed = (0.7 * np.array(COLOURS[name]) + 0.3 * np.array(COLOURS[second])) if number >= 8 else np.array(COLOURS[name])
        pixels = np.clip(mixed + rng.normal(0, 6, size=(16, 16, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        base = {"sample_id": f"s{number}", "image": f"{number}.png", "candidates": list(COLOURS)}
        labels.append({**base, "label": name})
        several.append({**base, "labels": sorted({name, second}) if number >= 8 else [name]})
        retrieval.append({**base, "references": [f"a {name} field {number}", f"something {name}"]})
    paths = {"classification": labels, "multilabel": several, "retrieval": retrieval}
    return {task: f"custom:{task}:{write_entries(tmp_path, f'{task}.jsonl', entries)}" for task, entries in paths.items()}


@pytest.fixture
def options(tmp_path: Path) -> RunOptions:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    return RunOptions(model=model, system="colours", out=tmp_path / "out", batch_size=3)


def run(options: RunOptions, names: Sequence[str], *, predictor: Any, ranks: Ranks | None = None) -> list[Outcome]:
    return run_benchmarks([custom_benchmark(name) for name in names], options, predictor=predictor, ranks=ranks or Ranks())


def figures(options: RunOptions, task: str) -> dict[str, float]:
    found = json.loads((options.out / f"custom_{task}_{task}" / "scores.json").read_text())
    return {name: value["value"] for name, value in found["settings"]["optical"][task]["overall"]["metrics"].items()}


def test_classes_labels_and_retrieval_are_scored_by_embeddings(options: RunOptions, files: dict[str, str]) -> None:
    predictor = ColourPredictor()
    assert [item.state for item in run(options, list(files.values()), predictor=predictor)] == ["done"] * 3
    assert predictor.num_loads == 1
    classes, labels, retrieval = (figures(options, task) for task in files)
    assert classes["accuracy"] == 1.0 and classes["balanced_accuracy"] == 1.0
    assert labels["map_macro"] > 0.8 and labels["map_sample"] > 0.8
    assert retrieval["text_to_image_recall@5"] == 1.0 and retrieval["image_to_text_recall@5"] == 1.0
    assert 0 < retrieval["text_to_image_recall@1"] < 1  # three images of each colour


def test_a_prompt_that_would_change_nothing_is_refused(options: RunOptions, files: dict[str, str]) -> None:
    prompts = {f"custom_{task}_{task}": "{question}" for task in ("classification", "retrieval")}
    outcomes = run(replace(options, prompts=prompts), list(files.values()), predictor=ColourPredictor())
    assert [item.state for item in outcomes] == ["failed", "done", "failed"]
    assert "not asked in words (it scores), so the prompt would change nothing. Its texts are made by --templates" in outcomes[0].reason
    assert "it embeds" in outcomes[2].reason and "those of the annotations" in outcomes[2].reason


def test_the_first_samples_make_a_gallery_of_their_own(options: RunOptions, files: dict[str, str]) -> None:
    run(replace(options, limit=4), [files["retrieval"]], predictor=ColourPredictor())
    scores = json.loads((options.out / "custom_retrieval_retrieval" / "scores.json").read_text())
    task = scores["settings"]["optical"]["retrieval"]
    assert (task["overall"]["n"], task["details"]["gallery"]) == (4, {"images": 4, "texts": 8})
    assert figures(options, "retrieval")["text_to_image_recall@1"] == 1.0  # one image of each colour


def test_a_model_of_fixed_classes_scores_them(options: RunOptions, files: dict[str, str]) -> None:
    outcomes = run(options, list(files.values()), predictor=LinearScorer())
    assert [item.state for item in outcomes] == ["done", "done", "skipped"]
    assert "task 'retrieval' needs a model that embeds; this one scores (LinearScorer)" in outcomes[2].reason
    assert figures(options, "classification")["accuracy"] > 0.6
    line = read_predictions(options.out / "custom_classification_classification" / "predictions.jsonl")[0]
    assert line.prediction == "red" and line.vectors is not None and line.vectors.load().shape == (4,)


def test_a_model_that_only_answers_in_text_is_refused_retrieval_and_answers_classes(options: RunOptions, files: dict[str, str]) -> None:
    outcomes = run(options, [files["retrieval"], files["classification"]], predictor=RulePredictor())
    assert [item.state for item in outcomes] == ["skipped", "done"]
    assert "needs a model that embeds; this one generates (RulePredictor)" in outcomes[0].reason
    assert not (options.out / "custom_classification_classification" / VECTORS).exists()


SHOWN = {"rgb": {"pattern": "{name}", "sensor": "rgb_uint8"}}
TEXTS = {"red": ["a red field", "all of it red"], "green": ["green", "a green place"], "blue": ["blue water", "red"]}
"""What is said of three images; the last text of the blue one is wrong."""


def retrieval_of(kind: str, folder: Path) -> dict[str, Any]:
    """A data set of TEXTS in one of the forms that captions come in."""
    for name in TEXTS:
        Image.new("RGB", (16, 16), COLOURS[name]).save(folder / f"{name}.png")
    images = {role: {**source, "root": str(folder)} for role, source in SHOWN.items()}
    if kind == "KarpathyCaptionDataset":
        listed = [
            {
                "filename": f"{name}.png",
                "split": "test",
                "imgid": number,
                "sentences": [{"raw": text, "tokens": text.split()} for text in texts],
            }
            for number, (name, texts) in enumerate(TEXTS.items())
        ]
        path = folder / "dataset.json"
        path.write_text(json.dumps({"dataset": "made up", "images": listed}))
    else:
        path = folder / "captions.csv"
        path.write_text("image,caption\n" + "".join(f"{name}.png,{text}\n" for name, texts in TEXTS.items() for text in texts))
    return {"type": kind, "annotations": str(path), "images": images, "task": "retrieval"}


@pytest.mark.parametrize("kind", ["KarpathyCaptionDataset", "ImageCaptionDataset"])
def test_captions_of_a_config_are_a_gallery_of_images_and_of_several_texts_each(options: RunOptions, tmp_path: Path, kind: str) -> None:
    config = Config({"evaluation": {"datasets": [retrieval_of(kind, tmp_path)], "settings": {"optical": ["rgb"]}}})
    scores = run_config(config, ColourPredictor(), model=options.model, out=tmp_path / "config")
    assert scores is not None
    found = scores["settings"]["optical"]["retrieval"]
    assert found["details"]["gallery"] == {"images": 3, "texts": 6}
    metrics = {name: value["value"] for name, value in found["overall"]["metrics"].items()}
    # five of six texts are nearest to their image; "red" of the blue image is nearest to the red one, and the blue one is within five
    recalls = [metrics[f"text_to_image_recall@{k}"] for k in (1, 5, 10)]
    assert recalls == pytest.approx([5 / 6, 1.0, 1.0])
    # the red image's texts tie with "red" of the blue one, which then comes first
    other = [metrics[f"image_to_text_recall@{k}"] for k in (1, 5, 10)]
    assert other == pytest.approx([2 / 3, 1.0, 1.0])
    assert metrics["mean_recall"] == pytest.approx((sum(recalls) + sum(other)) / 6)


def test_other_templates_are_another_run(options: RunOptions, files: dict[str, str]) -> None:
    run(options, [files["classification"]], predictor=ColourPredictor())
    (outcome,) = run(replace(options, templates=("{label}",)), [files["classification"]], predictor=ColourPredictor())
    assert outcome.state == "failed" and "templates" in outcome.reason


def _rank(rank: int, world_size: int, port: int, options: RunOptions, names: Sequence[str], most: int) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(world_size), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    outcomes = run(options, names, predictor=ColourPredictor(most), ranks=join_ranks())
    assert [item.state for item in outcomes] == ["done"] * len(names), outcomes
    leave_ranks()


def test_a_stopped_run_resumes_on_two_processes_and_merges_without_the_model(options: RunOptions, files: dict[str, str]) -> None:
    names = [files["retrieval"], files["classification"]]
    straight = replace(options, out=options.out / "straight")
    run(straight, names, predictor=ColourPredictor())
    with pytest.raises(KeyboardInterrupt):
        run(options, names, predictor=ColourPredictor(most=5))
    assert on_ranks(2, _rank, options, names, 10**9) == [0, 0]
    for task in ("retrieval", "classification"):
        folder, other = (place / f"custom_{task}_{task}" for place in (options.out, straight.out))
        assert (folder / "predictions.jsonl").read_bytes() == (other / "predictions.jsonl").read_bytes()
        assert (folder / VECTORS).read_bytes() == (other / VECTORS).read_bytes()
        before = figures(options, task)
        (folder / VECTORS).unlink()
        collect(folder)
        assert figures(options, task) == before == figures(straight, task)
    assert len(list((options.out / "custom_retrieval_retrieval").glob("*.f32"))) == 3


def test_a_refused_image_counts_as_missing_and_costs_no_other(options: RunOptions, tmp_path: Path) -> None:
    Image.new("RGB", (16, 16), COLOURS["red"]).save(tmp_path / "red.png")
    entries = [{"sample_id": name, "image": "red.png", "candidates": list(COLOURS), "label": "red"} for name in ("a", "refused", "b")]
    own = f"custom:classification:{write_entries(tmp_path, 'classification.jsonl', entries)}"
    assert run(options, [own], predictor=ColourPredictor())[0].state == "done"
    assert figures(options, "classification")["accuracy"] == pytest.approx(2 / 3)


def test_class_folders_of_a_config_are_scored(options: RunOptions, tmp_path: Path) -> None:
    for name, colour in COLOURS.items():
        (tmp_path / "folders" / name).mkdir(parents=True)
        Image.new("RGB", (16, 16), colour).save(tmp_path / "folders" / name / "0.png")
    section = {
        "datasets": [{"type": "ClassFolderDataset", "annotations": str(tmp_path / "folders"), "images": {}}],
        "settings": {"optical": ["rgb"]},
        "templates": ["a {label} place", "{label}"],
    }
    config = Config({"evaluation": section})
    scores = run_config(config, ColourPredictor(), model=options.model, out=tmp_path / "config")
    assert scores is not None
    assert scores["settings"]["optical"]["classification"]["overall"]["metrics"]["accuracy"]["value"] == 1.0
    with pytest.raises(ConfigError, match="data set 'folders': task 'classification' needs a model that generates or scores"):
        run_config(config, object(), model=options.model, out=tmp_path / "none")
