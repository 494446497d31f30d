"""Parts of a model come from folders of models and from checkpoints of earlier stages, and a wrong one is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from aerith_models import MODEL, PARTS
from safetensors.torch import save_file
from transformers.models.clip.configuration_clip import CLIPConfig
from transformers.models.clip.modeling_clip import CLIPModel, CLIPVisionModelWithProjection
from transformers.models.dinov3_vit.modeling_dinov3_vit import DINOv3ViTModel

from aerith.building.models import build_config
from aerith.model.vision_aerith import FusedTowers
from aerith.pretrained import load_parts
from aerith.stages.alignment import PARTS as TOWER_PARTS
from eocore.errors import CheckpointError, ConfigError


@pytest.fixture
def towers() -> FusedTowers:
    return FusedTowers(build_config(MODEL).vision_sizes)


def saved(path: Path, tensors: dict[str, torch.Tensor]) -> str:
    save_file(tensors, path)
    return str(path)


def state_of(module: torch.nn.Module, prefix: str) -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": torch.randn_like(value) for name, value in module.named_parameters()}


def test_towers_come_from_folders_of_transformers(towers: FusedTowers, tmp_path: Path) -> None:
    config = build_config(MODEL)
    clip, dinov3 = CLIPVisionModelWithProjection(config.clip_config), DINOv3ViTModel(config.dinov3_config)
    clip.save_pretrained(tmp_path / "clip")
    dinov3.save_pretrained(tmp_path / "dinov3")
    load_parts(towers, {"clip": str(tmp_path / "clip"), "dinov3": str(tmp_path / "dinov3")}, inside=TOWER_PARTS)
    towers.eval()
    pixels = torch.randn(1, 3, 28, 28)
    torch.testing.assert_close(towers.clip(pixel_values=pixels).image_embeds, clip.eval()(pixel_values=pixels).image_embeds)
    images = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(towers.dinov3(pixel_values=images)[0], dinov3.eval()(pixel_values=images)[0])


def test_of_a_whole_clip_the_vision_tower_is_taken(towers: FusedTowers, tmp_path: Path) -> None:
    vision = build_config(MODEL).clip_config
    text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 9}
    clip = CLIPModel(CLIPConfig(text_config=text, vision_config=vision.to_dict(), projection_dim=24))
    clip.save_pretrained(tmp_path / "clip")
    load_parts(towers, {"clip": str(tmp_path / "clip")}, inside=TOWER_PARTS)
    assert torch.equal(towers.clip.visual_projection.weight, clip.visual_projection.weight)
    assert torch.equal(towers.clip.vision_model.post_layernorm.weight, clip.vision_model.post_layernorm.weight)


def test_parts_come_from_checkpoints_of_stages(make_task: Callable[..., Any], towers: FusedTowers, tmp_path: Path) -> None:
    head = saved(tmp_path / "head.safetensors", state_of(towers.head, "model.head."))
    pooler_of = make_task().model.vision.pooler
    pooler = saved(tmp_path / "pooler.safetensors", state_of(pooler_of, "model.vision.pooler."))
    task = make_task(model={**MODEL, "parts": {**PARTS, "head": head, "pooler": pooler}})
    again = make_task(model={**MODEL, "parts": {**PARTS, "head": head, "pooler": pooler}})
    for name, value in task.model.vision.pooler.named_parameters():
        assert torch.equal(value, dict(again.model.vision.pooler.named_parameters())[name])
    assert torch.equal(task.model.vision.towers.head.weight, again.model.vision.towers.head.weight)


def test_a_checkpoint_of_another_stage_is_refused(make_task: Callable[..., Any], towers: FusedTowers, tmp_path: Path) -> None:
    head = saved(tmp_path / "head.safetensors", state_of(towers.head, "model.head."))
    with pytest.raises(
        CheckpointError, match=r"is the checkpoint of another stage: it holds head, no 'pooler'. Name one of stage 1 \(captions\)"
    ):
        make_task(model={**MODEL, "parts": {**PARTS, "pooler": head}})


def test_other_sizes_missing_weights_and_missing_files_are_refused(towers: FusedTowers, tmp_path: Path) -> None:
    short = saved(tmp_path / "short.safetensors", {"model.head.weight": towers.head.weight.detach().clone()})
    with pytest.raises(CheckpointError, match=r"does not fit; nothing was loaded\. Missing: bias"):
        load_parts(towers, {"head": short}, inside=TOWER_PARTS)
    wide = saved(tmp_path / "wide.safetensors", {"model.head.weight": torch.zeros(2, 2), "model.head.bias": torch.zeros(24)})
    with pytest.raises(CheckpointError, match=r"weight: \(2, 2\) in the file, \(24, 32\) in the model"):
        load_parts(towers, {"head": wide}, inside=TOWER_PARTS)
    with pytest.raises(ConfigError, match=r"does not exist; nothing is downloaded. Run stage 0 \(alignment\) first"):
        load_parts(towers, {"head": str(tmp_path / "none")}, inside=TOWER_PARTS)
    DINOv3ViTModel(build_config(MODEL).dinov3_config).save_pretrained(tmp_path / "dinov3")
    with pytest.raises(CheckpointError, match="is the folder of a model, which holds no 'head'"):
        load_parts(towers, {"head": str(tmp_path / "dinov3")}, inside=TOWER_PARTS)
