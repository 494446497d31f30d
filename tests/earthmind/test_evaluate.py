"""Evaluation of a saved model, from its folder to scores: resumed, never mixed with another model's, shared among ranks."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from safetensors.torch import load_file, save_file

from earthmind import evaluate as evaluation
from earthmind.answer import RecordAnswerer
from earthmind.evaluate import PREDICTIONS, evaluate
from eocore.data.synthetic import write_world
from eocore.errors import CheckpointError, ConfigError
from eocore.evaluate.predictions import read_predictions
from eocore.evaluate.run import read_evaluation
from eocore.evaluate.shards import shard_path

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
            }
        }
    )


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
    scores = evaluate(config, model_dir, tmp_path)
    assert scores is not None
    predictions = read_predictions(tmp_path / PREDICTIONS)
    assert len(predictions) == len(asked) == 2 * (5 + 3)
    assert all(item.prediction is not None for item in predictions)
    assert set(scores["settings"]) == {"sar", "fused"}
    for setting in scores["settings"].values():
        assert setting["mcq"]["overall"]["n"] == 5 and setting["referring"]["overall"]["n"] == 3
    assert {item["setting"] for item in scores["differences"]} == {"fused"}
    json.dumps(scores)


def test_a_second_run_asks_nothing_and_scores_the_same(config: Config, model_dir: Path, tmp_path: Path, asked: list[str]) -> None:
    first = evaluate(config, model_dir, tmp_path)
    content = (tmp_path / PREDICTIONS).read_bytes()
    asked.clear()
    assert evaluate(config, model_dir, tmp_path) == first
    assert not asked and (tmp_path / PREDICTIONS).read_bytes() == content


def test_a_stopped_run_goes_on_where_it_was(config: Config, model_dir: Path, tmp_path: Path, asked: list[str]) -> None:
    evaluate(config, model_dir, tmp_path / "straight")
    (shard,) = (tmp_path / "straight").glob("predictions.*.0of1.jsonl")
    (tmp_path / "parts").mkdir()
    lines = shard.read_text().splitlines(keepends=True)
    (tmp_path / "parts" / shard.name).write_text("".join(lines[:6]) + lines[6][:20])
    asked.clear()
    evaluate(config, model_dir, tmp_path / "parts")
    assert len(asked) == 16 - 6
    assert (tmp_path / "parts" / PREDICTIONS).read_bytes() == (tmp_path / "straight" / PREDICTIONS).read_bytes()


def test_another_model_or_config_is_asked_anew(config: Config, model_dir: Path, tmp_path: Path, asked: list[str]) -> None:
    evaluate(config, model_dir, tmp_path)
    other = config.copy()
    other.evaluation.max_new_tokens = 5
    asked.clear()
    evaluate(other, model_dir, tmp_path)
    assert len(asked) == 16
    weights = model_dir / "model.safetensors"
    before = weights.read_bytes()
    state = load_file(weights)
    try:
        save_file({**state, "fusion.queries": torch.zeros_like(state["fusion.queries"])}, weights, metadata={"format": "pt"})
        asked.clear()
        evaluate(config, model_dir, tmp_path)
        assert len(asked) == 16
    finally:
        weights.write_bytes(before)
    assert len(list(tmp_path.glob("predictions.*.0of1.jsonl"))) == 3


def test_ranks_share_the_samples_and_merge_to_the_same_file(config: Config, model_dir: Path, tmp_path: Path, asked: list[str]) -> None:
    expected = evaluate(config, model_dir, tmp_path / "alone")
    options = read_evaluation(config.evaluation)
    made = evaluation.EarthMindForConditionalGeneration.from_pretrained(model_dir).eval()
    answerer = RecordAnswerer(made, made.processor, max_new_tokens=options.max_new_tokens)
    shares = []
    for rank in (0, 1):
        asked.clear()
        path = shard_path(tmp_path / "two", run_id="run", rank=rank, world_size=2)
        evaluation._predict_all(options, answerer, path, rank, 2)
        shares.append(len(asked))
    assert shares == [10, 6]
    assert evaluation._collect(tmp_path / "two", "run", 2) == expected
    assert (tmp_path / "two" / PREDICTIONS).read_bytes() == (tmp_path / "alone" / PREDICTIONS).read_bytes()


def test_only_the_first_rank_scores(
    config: Config, model_dir: Path, tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(evaluation, "start_process_group", lambda: (1, 2))
    waited: list[bool] = []
    monkeypatch.setattr(torch.distributed, "barrier", lambda: waited.append(True))
    assert evaluate(config, model_dir, tmp_path) is None
    assert waited and not (tmp_path / PREDICTIONS).exists() and len(asked) == 6


def test_generation_options_of_the_config_reach_the_model(config: Config, model_dir: Path, tmp_path: Path) -> None:
    evaluate(config, model_dir, tmp_path / "usual")
    other = copy.deepcopy(config)
    other.evaluation.generation = {"suppress_tokens": list(range(200)), "cache_implementation": "static"}
    evaluate(other, model_dir, tmp_path / "other")
    assert (tmp_path / "other" / PREDICTIONS).read_bytes() != (tmp_path / "usual" / PREDICTIONS).read_bytes()


class TestMistakes:
    def test_an_unknown_generation_option_is_named(self, config: Config, model_dir: Path, tmp_path: Path) -> None:
        other = copy.deepcopy(config)
        other.evaluation.generation = {"cache": "static"}
        with pytest.raises(ConfigError, match="no generation option 'cache'"):
            evaluate(other, model_dir, tmp_path)

    def test_a_folder_that_is_no_model_is_named(self, config: Config, tmp_path: Path) -> None:
        with pytest.raises(
            CheckpointError, match=r"is not a converted model \(it has no config.json\); nothing is downloaded. Convert a checkpoint"
        ):
            evaluate(config, tmp_path, tmp_path / "out")

    def test_a_config_without_evaluation_is_named(self, model_dir: Path, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="has no 'evaluation', which is needed"):
            evaluate(Config({"seed": 0}), model_dir, tmp_path)
