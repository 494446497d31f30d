"""A model of ours in upstream layouts: what is written, and what a layout has no place for."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from eocore.checkpoints.exchange import ExportRequest
from eocore.errors import CheckpointError, ConfigError
from eocore.models.folders import load_model
from ms_clip.checkpoints.export_upstream import UPSTREAM_FILE, plan_export
from ms_clip.checkpoints.layouts import COPIES
from ms_clip.model.modeling_ms_clip import MsClipModel


@pytest.fixture(scope="module")
def model(make_fields: Callable[..., dict[str, Any]], save_model: Callable[..., Path]) -> Path:
    """One of ten bands that computes with GELU."""
    fields = make_fields()["model"]
    return save_model(model={**fields, **{name: {**fields[name], "hidden_act": "gelu"} for name in ("vision_config", "text_config")}})


def test_the_upstream_file_holds_three_copies_and_the_temperature(model: Path, tmp_path: Path) -> None:
    plan = plan_export(model, ExportRequest(layout="ms-clip"))
    plan.write(tmp_path / "out")
    state = torch.load(tmp_path / "out" / UPSTREAM_FILE)
    assert set(state) == {prefix + name for prefix in COPIES for name in plan.tensors} | {"temperature"}
    ours = load_model(MsClipModel, model)
    for prefix in COPIES:
        assert torch.equal(state[f"{prefix}visual.conv1.weight"], ours.vision_model.embeddings.patch_embedding.weight)
    assert state["temperature"].item() == pytest.approx(0.07, rel=1e-3)
    values = ours.num_parameters()
    assert plan.describe(tmp_path / "out") == f"{tmp_path / 'out'}: layout 'ms-clip', {len(plan.tensors)} tensors, {values:,} values."


def test_openclip_s_config_says_the_sizes_and_the_statistics_of_every_band(model: Path, tmp_path: Path) -> None:
    plan_export(model, ExportRequest(layout="open_clip")).write(tmp_path / "out")
    content = json.loads((tmp_path / "out" / "open_clip_config.json").read_text())
    vision = {"image_size": 48, "layers": 2, "width": 32, "head_width": 16, "mlp_ratio": 2.0, "patch_size": 8}
    assert content["model_cfg"]["vision_cfg"] == vision and content["model_cfg"]["embed_dim"] == 16
    assert "quick_gelu" not in content["model_cfg"] and content["model_cfg"]["text_cfg"]["context_length"] == 32
    assert len(content["preprocess_cfg"]["mean"]) == 10
    assert (tmp_path / "out" / "tokenizer.json").is_file()


def test_quick_gelu_is_said(save_model: Callable[..., Path], tmp_path: Path) -> None:
    plan_export(save_model(), ExportRequest(layout="open_clip")).write(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "open_clip_config.json").read_text())["model_cfg"]["quick_gelu"] is True


@pytest.mark.parametrize(
    ("towers", "layout", "message"),
    [
        (("gelu", "gelu"), "clip", "reads 10 channels; transformers' CLIP"),
        (("quick_gelu", "quick_gelu"), "ms-clip", "quick GELU, which a state alone does not say"),
        (("gelu", "quick_gelu"), "open_clip", "the towers compute with gelu, quick_gelu; OpenCLIP knows one"),
    ],
)
def test_what_a_layout_cannot_say_is_refused(
    towers: tuple[str, str], layout: str, message: str, make_fields: Callable[..., dict[str, Any]], save_model: Callable[..., Path]
) -> None:
    fields = make_fields()["model"]
    acts = dict(zip(("vision_config", "text_config"), towers, strict=True))
    folder = save_model(model={**fields, **{name: {**fields[name], "hidden_act": act} for name, act in acts.items()}})
    with pytest.raises(CheckpointError, match=message):
        plan_export(folder, ExportRequest(layout=layout))


def test_a_bias_of_the_sigmoid_loss_has_a_place_in_openclip_s_layout_alone(
    make_fields: Callable[..., dict[str, Any]], save_model: Callable[..., Path]
) -> None:
    fields = make_fields()["model"]
    folder = save_model(model={**fields, "logit_bias_init_value": -10.0, "logit_scale_init_value": 2.3026}, losses={"kind": "sigmoid"})
    assert "logit_bias" in plan_export(folder, ExportRequest(layout="open_clip")).tensors
    with pytest.raises(CheckpointError, match="a bias of the sigmoid loss, which the layout 'ms-clip' does not know"):
        plan_export(folder, ExportRequest(layout="ms-clip"))


def test_options_of_other_systems_and_a_folder_that_is_taken_are_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--rest and --without-video belong to other systems"):
        plan_export(model, ExportRequest(layout="ms-clip", without_video=True))
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(CheckpointError):
        plan_export(model, ExportRequest(layout="ms-clip")).write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
