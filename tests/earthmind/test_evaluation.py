"""Evaluation of a saved model, from its folder to scores: resumed, never mixed with another model's, shared among ranks."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from safetensors.torch import load_file, save_file

from earthmind.predictor import RecordAnswerer
from eocore.errors import ConfigError, DataError
from eocore.evaluate.engine.config_run import evaluate_config as evaluate
from eocore.evaluate.engine.inputs import PREDICTIONS, SCORES
from eocore.evaluate.predictions import read_predictions
from eocore.folder_lock import LOCK
from eocore.synthetic.world import write_world

SIZE = 48


@pytest.fixture(scope="module")
def model_dir(make_tiny: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    made = make_tiny()
    made.model.save_pretrained(folder)
    made.processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    root = tmp_path_factory.mktemp("world")
    write_world(root, {"test": 2}, size=SIZE)
    images = {
        "multispectral": {"root": str(root / "test" / "multispectral"), "sensor": "sentinel2_l2a"},
        "sar": {"root": str(root / "test" / "sar"), "sensor": "sentinel1_grd"},
    }
    phrase = {"type": "ComposeReferring", "num_expressions": 1}
    return Config(
        {
            "systems": ["earthmind"],
            "evaluation": {
                "batch_size": 4,
                "max_new_tokens": 4,
                "settings": {"sar": ["sar"], "fused": ["multispectral", "sar"]},
                "datasets": [
                    {"type": "EarthMindBenchDataset", "annotations": str(root / "test" / "mcq.json"), "images": images, "limit": 5},
                    {
                        "type": "ReferringJsonlDataset",
                        "annotations": str(root / "test" / "referring.jsonl"),
                        "images": images,
                        "transforms": [phrase],
                        "limit": 3,
                    },
                ],
            },
        }
    )


@pytest.fixture(scope="module")
def finished(config: Config, model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run. Leave it as it is: `copied`."""
    folder = tmp_path_factory.mktemp("finished") / "out"
    evaluate(config, model_dir, out=folder)
    return folder


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(finished, tmp_path / "out"))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the samples that reach the model."""
    seen: list[str] = []
    answer = RecordAnswerer.answer

    def listening(self: RecordAnswerer, prepared: Any) -> Any:
        seen.extend(record.sample_id for record in prepared)
        return answer(self, prepared)

    monkeypatch.setattr(RecordAnswerer, "answer", listening)
    monkeypatch.delenv("RANK", raising=False)
    return seen


def test_every_sample_is_answered_and_scored_under_every_setting(config: Config, model_dir: Path, tmp_path: Path, asked: list[str]) -> None:
    scores = evaluate(config, model_dir, out=tmp_path)
    assert scores is not None
    predictions = read_predictions(tmp_path / PREDICTIONS)
    assert len(predictions) == len(asked) == 2 * (5 + 3)
    assert all(item.prediction is not None for item in predictions)
    assert set(scores["settings"]) == {"sar", "fused"}
    for setting in scores["settings"].values():
        assert setting["mcq"]["overall"]["n"] == 5 and setting["referring"]["overall"]["n"] == 3
    assert {item["setting"] for item in scores["differences"]} == {"fused"}
    json.dumps(scores)


def test_a_second_run_asks_nothing_and_scores_the_same(config: Config, model_dir: Path, copied: Path, asked: list[str]) -> None:
    first = json.loads((copied / SCORES).read_text())
    content = (copied / PREDICTIONS).read_bytes()
    assert evaluate(config, model_dir, out=copied) == first
    assert not asked and (copied / PREDICTIONS).read_bytes() == content


def test_a_stopped_run_resumes_where_it_was(config: Config, model_dir: Path, finished: Path, tmp_path: Path, asked: list[str]) -> None:
    (shard,) = finished.glob("predictions.*.0of1.jsonl")
    (tmp_path / "parts").mkdir()
    lines = shard.read_text().splitlines(keepends=True)
    (tmp_path / "parts" / shard.name).write_text("".join(lines[:6]) + lines[6][:20])
    evaluate(config, model_dir, out=tmp_path / "parts")
    assert len(asked) == 16 - 6
    assert (tmp_path / "parts" / PREDICTIONS).read_bytes() == (finished / PREDICTIONS).read_bytes()


def test_another_model_into_the_same_folder_is_refused_by_name(
    config: Config, model_dir: Path, copied: Path, tmp_path: Path, asked: list[str]
) -> None:
    before = {path.name: path.read_bytes() for path in copied.iterdir() if path.name != LOCK}
    other = tmp_path / "other"
    shutil.copytree(model_dir, other)
    state = load_file(other / "model.safetensors")
    save_file({**state, "fusion.queries": state["fusion.queries"] + 1}, other / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match=r"another run .*: model file 'model.safetensors' has another content\. .*--overwrite"):
        evaluate(config, other, out=copied)
    assert not asked and {path.name: path.read_bytes() for path in copied.iterdir() if path.name != LOCK} == before
    evaluate(config, other, out=copied, overwrite=True)
    assert len(asked) == 16 and len(list(copied.glob("predictions.*.0of1.jsonl"))) == 1


def test_a_model_in_bfloat16_is_another_model(config: Config, model_dir: Path, copied: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    shutil.copytree(model_dir, half)
    state = load_file(half / "model.safetensors")
    save_file({name: value.to(torch.bfloat16) for name, value in state.items()}, half / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match=r"model file 'model.safetensors' has another content"):
        evaluate(config, half, out=copied)


def test_a_copy_of_the_model_elsewhere_is_the_same_model(
    config: Config, model_dir: Path, copied: Path, tmp_path: Path, asked: list[str]
) -> None:
    first = json.loads((copied / SCORES).read_text())
    shutil.copytree(model_dir, tmp_path / "copy", copy_function=shutil.copyfile)
    again = evaluate(config, tmp_path / "copy", out=copied)
    assert not asked and again is not None and again["settings"] == first["settings"]
    assert json.loads((copied / SCORES).read_text())["run"]["model"] == str(tmp_path / "copy")


def test_other_images_shown_by_the_processor_are_another_model(config: Config, model_dir: Path, copied: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(model_dir, other)
    settings = json.loads((other / "processor_config.json").read_text())
    settings["presentation"]["sar"]["stretch"]["low"] = -20.0
    (other / "processor_config.json").write_text(json.dumps(settings))
    with pytest.raises(DataError, match=r"model file 'processor_config.json' has another content"):
        evaluate(config, other, out=copied)


def test_generation_options_of_the_config_reach_the_model(config: Config, model_dir: Path, finished: Path, tmp_path: Path) -> None:
    other = copy.deepcopy(config)
    other.evaluation.generation = {"suppress_tokens": list(range(200)), "cache_implementation": "static"}
    evaluate(other, model_dir, out=tmp_path / "other")
    assert (tmp_path / "other" / PREDICTIONS).read_bytes() != (finished / PREDICTIONS).read_bytes()


class TestMistakes:
    def test_an_unknown_generation_option_is_named(self, config: Config, model_dir: Path, tmp_path: Path) -> None:
        other = copy.deepcopy(config)
        other.evaluation.generation = {"cache": "static"}
        with pytest.raises(ConfigError, match=r"generation option cache='static': there is no such option"):
            evaluate(other, model_dir, out=tmp_path)

    def test_a_folder_that_is_no_model_is_named(self, config: Config, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"no folder of a converted model \(no config.json\). Convert a checkpoint"):
            evaluate(config, tmp_path, out=tmp_path / "out")

    def test_a_config_without_evaluation_is_named(self, model_dir: Path, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="has no 'evaluation', which is needed"):
            evaluate(Config({"systems": ["earthmind"]}), model_dir, out=tmp_path)
