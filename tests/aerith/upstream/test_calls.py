"""The calls of AerithVLM's README."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import aerith
from aerith.predictor import AerithPredictor
from aerithvlm import AerithVLM
from eocore.errors import AlignmentError, CheckpointError, ConfigError
from eocore.system import PredictorOptions


@pytest.fixture(scope="module")
def folder(make_task: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A converted model."""
    torch.manual_seed(2)
    made = make_task(lora=None)
    path = tmp_path_factory.mktemp("model") / "aerith"
    made.model.save_pretrained(path)
    made.processor.save_pretrained(path)
    return path


def test_the_readme_runs_on_both_kinds_of_folders(folder: Path, picture: np.ndarray, tmp_path: Path) -> None:
    shown = Image.fromarray(picture)
    model = AerithVLM.from_pretrained(str(folder))
    model.eval()
    answer = model.generate(shown, "[VQA] How many buildings are visible in this image?", max_new_tokens=6)
    asked = [({"rgb": shown}, "[VQA] How many buildings are visible in this image?")]
    assert [answer] == AerithPredictor(folder, PredictorOptions()).chat(asked, max_new_tokens=6)
    model.save_pretrained(tmp_path / "aerithvlm_finetuned")
    again = AerithVLM.from_pretrained(tmp_path / "aerithvlm_finetuned").eval()
    assert again.generate(shown, "[VQA] How many buildings are visible in this image?", max_new_tokens=6) == answer
    assert not again.predictor.parts[0].training


def test_several_are_answered_in_one_batch(folder: Path, picture: np.ndarray) -> None:
    model = AerithVLM.from_pretrained(folder)
    pictures, prompts = [picture, 255 - picture, None], ["[CLS] What?", "[VQA] Is there water?", "What is SAR?"]
    answers = model.generate(pictures, prompts, max_new_tokens=6)
    assert answers == [model.generate(shown, text, max_new_tokens=6) for shown, text in zip(pictures, prompts, strict=True)]
    assert model.generate(picture, prompts, max_new_tokens=6)[0] == answers[0]
    assert model.generate(pictures[:2], "[CLS] What?", max_new_tokens=6)[0] == answers[0]
    assert model.generate([], []) == []
    with pytest.raises(AlignmentError, match="3 pictures and 2 prompts"):
        model.generate(pictures, prompts[:2])


def test_what_is_no_model_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(CheckpointError, match="is not a converted model"):
        AerithVLM.from_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="temperatur"):
        AerithVLM.from_pretrained(folder, generation={"temperatur": 1})


def test_the_system_gives_the_class_on_demand() -> None:
    assert aerith.AerithVLM is AerithVLM
    with pytest.raises(AttributeError, match="module 'aerith' has no attribute 'AerithVML'"):
        _ = aerith.AerithVML
