"""From a trained checkpoint to a folder that loads and answers where nothing of this repository is."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from aerith_models import MODEL
from mmengine.config import Config
from safetensors.torch import save_file

from aerith.export import pack
from aerith.predictor import AerithPredictor
from aerith.stages.alignment import AerithAlignmentTask
from eocore.errors import ConfigError
from eocore.export.convert import Choices, convert
from eocore.models.freeze import trainable_names
from eocore.system import PredictorOptions


@pytest.fixture(scope="module")
def converted(make_fields: Callable[..., dict[str, Any]], make_task: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(summary, folder, task) of a task that trains whole but for what LoRA stands beside."""
    folder = tmp_path_factory.mktemp("export")
    fields = make_fields(trainable=["*"], lora={"rank": 2, "alpha": 4, "dropout": 0.0})
    torch.manual_seed(0)
    task = make_task(**{name: fields[name] for name in ("trainable", "lora")})
    with torch.no_grad():
        for name in trainable_names(task):
            task.get_parameter(name).normal_(std=0.2)
    weights = {name: task.get_parameter(name).detach().clone() for name in trainable_names(task)}
    save_file(weights, folder / "trainable.safetensors")
    config = Config({"seed": 0, "systems": ["aerith"], "task": {"type": "AerithTask", **fields}, "training": {"max_iters": 1}})
    return convert(config, folder / "trainable.safetensors", out_dir=folder / "model", choices=Choices()), folder / "model", task


def test_a_process_without_this_repository_computes_the_same(converted: Any) -> None:
    summary, _, _ = converted
    assert set(summary.differences) == {"input_ids", "clip_pixels", "dinov3_pixels", "image_tokens", "logits"}
    assert max(summary.differences.values()) < 1e-4
    assert summary.num_merged == 14  # seven linear layers of each of two


def test_the_folder_holds_its_code_and_no_pickle(converted: Any) -> None:
    _, folder, _ = converted
    names = {path.name for path in folder.iterdir()}
    assert {"modeling_aerith.py", "vision_aerith.py", "image_language_model.py", "attention_pooler.py", "chat_template.jinja"} <= names
    assert not any(name.endswith((".bin", ".pt", ".pth", ".pkl")) for name in names)


def test_it_answers(converted: Any, picture: np.ndarray) -> None:
    _, folder, task = converted
    predictor = AerithPredictor(folder, PredictorOptions(device="cpu"))
    (answer,) = predictor.chat([({"rgb": picture}, "[CLS] What type of scene is this?")], max_new_tokens=5)
    assert isinstance(answer, str)
    model, processor = predictor.parts
    assert torch.equal(model.vision.pooler.queries, task.model.vision.pooler.queries)
    assert model.generation_config.eos_token_id == sorted(
        {processor.tokenizer.eos_token_id, processor.tokenizer.convert_tokens_to_ids("<|im_end|>")}
    )


def test_a_stage_without_a_language_model_is_no_model() -> None:
    task = AerithAlignmentTask(model={**MODEL, "parts": {"clip": "new", "dinov3": "new"}}, data=None)
    with pytest.raises(ConfigError, match=r"AerithAlignmentTask trains a part of the model, which is no model by itself"):
        pack(task)  # type: ignore[arg-type]
