"""From a trained checkpoint of MS-CLIP to a folder that answers: every weight, the processor, the card."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from eocore.config import load_config
from eocore.errors import CheckpointError
from eocore.export.convert import Choices, convert
from eocore.export.hf import write_checkpoint
from eocore.models.freeze import trainable_names
from eocore.registry import TASKS
from eocore.system import PredictorOptions
from ms_clip.checkpoints.parity_check import parity_outputs
from ms_clip.export import AUTO_MAP, pack
from ms_clip.predictor import ModelPredictor, MsClipPredictor

CHANNELS = ("multispectral:B08", "multispectral:B02", "sar:VV")
PROCESSOR = {
    "channels": CHANNELS,
    "mean": (0.3, 0.1, -12.0),
    "std": (0.1, 0.05, 5.0),
    "image_size": 48,
    "context_length": 32,
    "absent": "mean",
}


@pytest.fixture(scope="module")
def config_file(make_fields: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config of two sensors, of which the vision side trains."""
    task = {"type": "MsClipTask", **make_fields(processor=PROCESSOR, trainable=["vision_model", "visual_projection", "logit_scale"])}
    path = tmp_path_factory.mktemp("config") / "tiny_clip.py"
    path.write_text(f"seed = 0\nsystems = ['ms_clip']\ntask = {task!r}\n")
    return path


@pytest.fixture(scope="module")
def trained(config_file: Path) -> Any:
    torch.manual_seed(3)
    task = TASKS.build(dict(load_config(config_file, trust=True).task))
    with torch.no_grad():
        for name in trainable_names(task):
            task.get_parameter(name).add_(torch.randn_like(task.get_parameter(name)), alpha=0.05)
    return task


@pytest.fixture(scope="module")
def converted(config_file: Path, trained: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    run, out = tmp_path_factory.mktemp("run") / "trainable.safetensors", tmp_path_factory.mktemp("converted") / "model"
    save_file({name: trained.get_parameter(name).detach().contiguous() for name in trainable_names(trained)}, run)
    torch.manual_seed(3)
    return out, convert(load_config(config_file, trust=True), run, out_dir=out, choices=Choices())


def test_conversion_is_verified_and_summed_up(converted: tuple[Path, Any]) -> None:
    out, summary = converted
    assert set(summary.differences) == {"input_ids", "pixel_values", "image_embeds", "text_embeds", "logits", "patches"}
    assert max(summary.differences.values()) <= 1e-4
    assert summary.files == {path.name: path.stat().st_size for path in out.iterdir()}


def test_the_folder_holds_every_weight_of_the_training(converted: tuple[Path, Any], trained: Any) -> None:
    weights, state = load_file(converted[0] / "model.safetensors"), trained.model.state_dict()
    assert set(weights) == set(state)
    for name, weight in weights.items():
        assert torch.equal(weight, state[name]), name


def test_its_processor_is_the_training_s(converted: tuple[Path, Any], trained: Any) -> None:
    saved = json.loads((converted[0] / "processor_config.json").read_text())
    assert {name: tuple(saved[name]) if isinstance(value, tuple) else saved[name] for name, value in PROCESSOR.items()} == PROCESSOR
    predictor = MsClipPredictor(converted[0], PredictorOptions(device="cpu"))
    assert predictor.processor.options == trained.processor.options
    texts = ["water in the north", "a forest"]
    expected = ModelPredictor(trained.model.eval(), trained.processor).embed_texts(texts)
    assert predictor.embed_texts(texts) == pytest.approx(expected, abs=1e-5)


def test_classes_and_card_tell_how_it_is_loaded(converted: tuple[Path, Any]) -> None:
    config = json.loads((converted[0] / "config.json").read_text())
    assert config["auto_map"] == {name: target for name, target in AUTO_MAP.items() if name != "AutoProcessor"}
    card = (converted[0] / "README.md").read_text()
    assert "AutoModel.from_pretrained(folder, trust_remote_code=True)" in card and "`tiny_clip.py`, resolved:" in card
    assert {"modeling_ms_clip.py", "processing_ms_clip.py", "configuration_ms_clip.py", "channels.py"} <= set(converted[1].files)


@pytest.mark.parametrize(
    "part",
    ["vision_model.encoder.layers.1", "text_model.encoder.layers.0", "visual_projection", "text_projection", "vision_model.post_layernorm"],
)
def test_the_parity_check_sees_every_part(make_task: Callable[..., Any], part: str) -> None:
    """A change of any weight the answers depend on shows; else verification could miss a broken part."""
    task = make_task(processor=PROCESSOR)
    task.model.eval()
    with torch.no_grad():
        before = parity_outputs(task.model, task.processor)
        for parameter in task.model.get_submodule(part).parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.5)
        after = parity_outputs(task.model, task.processor)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and not changed & {"input_ids", "pixel_values"}
    assert before["pixel_values"].shape == (2, 3, 48, 48) and before["pixel_values"].std() > 0.1


def test_a_folder_that_is_taken_is_left_alone(make_task: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.txt").write_text("mine")
    with pytest.raises(CheckpointError, match="model"):
        write_checkpoint(pack(make_task()), tmp_path / "model", card="")
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["mine.txt"]
