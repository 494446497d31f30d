"""What a model card says."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from eocore.errors import ConfigError, DataError
from eocore.export.model_card import CardFacts, Dataset, find_datasets, read_scores, write_card

MIXTURE = {
    "type": "Mixture",
    "parts": [
        {"name": "rrsisd", "weight": 3.0, "data": {"type": "ReferDataset", "annotations": "data/rrsisd/instances.json"}},
        {
            "weight": 0.5,
            "data": {
                "type": "Mixture",
                "parts": [{"weight": 2.0, "data": {"type": "LlavaDataset", "annotations": "/home/me/data/geochat.json"}}],
            },
        },
    ],
}
VALUE = {"value": 0.5, "low": 0.4, "high": 0.6}
GROUP = {"n": 10, "n_missing": 1, "n_unparsed": 0, "n_extra": 0, "metrics": {"accuracy": VALUE}}
SCORES = {
    "settings": {
        "fused": {"mcq": {"headline": "accuracy", "overall": GROUP, "by_type": {"counting": GROUP}, "by_cloud": {"cloudy": GROUP}}}
    },
    "differences": [],
    "unscored": {},
}


def card(**changes: Any) -> str:
    facts: dict[str, Any] = {
        "title": "EarthMind",
        "usage": "Call `predict`.",
        "num_parameters": 4_250_000,
        "dtype": "float32",
        "config": {
            "task": {"data": MIXTURE, "model": {"pretrained": "pretrained/InternVL2_5-4B", "sam": {"pretrained": "pretrained/sam2"}}}
        },
        "config_name": "stage2.py",
        "config_text": "seed = 0\n",
        "checkpoint": "iter_001200",
        "num_merged": 0,
        "scores": None,
    }
    return write_card(CardFacts(**{**facts, **changes}))


def test_metadata_is_what_a_hub_reads() -> None:
    _, metadata, body = card().split("---\n", 2)
    assert yaml.safe_load(metadata) == {
        "library_name": "transformers",
        "pipeline_tag": "image-text-to-text",
        "tags": ["remote-sensing", "earth-observation", "custom_code"],
    }
    assert body.strip().startswith("# EarthMind\n")


def test_card_names_data_base_weights_and_config() -> None:
    text = card(num_merged=28)
    assert "| rrsisd | ReferDataset | 3 |\n| geochat.json | LlavaDataset | 1 |" in text
    assert "## Base weights\n\n- pretrained/InternVL2_5-4B\n- pretrained/sam2\n" in text
    assert "4.2 million parameters, float32, from the training checkpoint `iter_001200`. LoRA updates of 28 layers are merged" in text
    assert "`stage2.py`, resolved:\n\n~~~python\nseed = 0\n~~~" in text
    assert "was not scored" in text and "Call `predict`." in text


def test_card_of_a_model_from_scratch_without_data() -> None:
    text = card(config={"task": {}})
    assert "None: trained from scratch." in text and "names no data" in text and "LoRA" not in text


def test_scores_are_shown(tmp_path: Path) -> None:
    (tmp_path / "scores.json").write_text(json.dumps(SCORES))
    text = card(scores=read_scores(tmp_path / "scores.json"))
    assert "was not scored" not in text
    assert "50.0 [40.0, 60.0]" in text and "counting" in text


def test_datasets_of_nested_mixtures_have_their_weights_multiplied() -> None:
    assert list(find_datasets(MIXTURE)) == [Dataset("rrsisd", "ReferDataset", 3.0), Dataset("geochat.json", "LlavaDataset", 1.0)]
    assert list(find_datasets(None)) == []


def test_scores_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"scores.json does not exist, so the card cannot show its scores"):
        read_scores(tmp_path / "scores.json")
    (tmp_path / "scores.json").write_text("{")
    with pytest.raises(DataError, match=r"scores.json: not JSON .* line 1"):
        read_scores(tmp_path / "scores.json")
    (tmp_path / "scores.json").write_text("[]")
    with pytest.raises(DataError, match=r"scores.json: expected an object, found \[\]. Give the scores.json of an evaluation"):
        read_scores(tmp_path / "scores.json")
