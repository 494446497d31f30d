"""Upstream's checkpoints: what its own class would compute from them, LoRA merged, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

pytest.importorskip("olmoearth_pretrain_minimal")
from earthfm.checkpoints.bridge import load_bridge, read_bridge, write_bridge
from eocore.errors import CheckpointError

WIDTH = 32


class UpstreamNames(nn.Module):
    """Modules under the names of fusion.pt; heads as in `make_task`."""

    def __init__(self) -> None:
        super().__init__()
        self.geo_queries = nn.Parameter(torch.randn(4, WIDTH))
        self.olmo_proj = nn.Linear(WIDTH, WIDTH)
        self.ln_olmo, self.ln_queries, self.ln_ffn = (nn.LayerNorm(WIDTH) for _ in range(3))
        self.attn = nn.MultiheadAttention(WIDTH, 2, batch_first=True)
        self.ffn = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Dropout(0.1), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, tokens: Tensor) -> Tensor:
        read = self.ln_olmo(self.olmo_proj(tokens))
        queries = self.ln_queries(self.geo_queries.expand(len(tokens), -1, -1))
        queries = queries + self.attn(queries, read, read)[0]
        result: Tensor = self.ln_ffn(queries + self.ffn(queries))
        return result


def write_upstream(folder: Path) -> tuple[UpstreamNames, dict[str, Tensor]]:
    """A checkpoint as upstream saves it: its LoRA reached fc1 and fc2 of the text model, and of the vision tower."""
    torch.manual_seed(1)
    fusion = UpstreamNames().eval()
    (folder / "vlm").mkdir(parents=True)
    torch.save(fusion.state_dict(), folder / "fusion.pt")
    (folder / "config.json").write_text(json.dumps({"olmoearth_dim": WIDTH, "vlm_vision_dim": 1152}))
    layer = "base_model.model.text_model.transformer.h.1.mlp.fc1."
    adapter = {
        f"{layer}lora_A.weight": torch.randn(2, WIDTH),
        f"{layer}lora_B.weight": torch.randn(64, 2),
        "base_model.model.vision_encoder.encoder.model.visual.blocks.0.mlp.fc1.lora_A.weight": torch.randn(2, 8),
        "base_model.model.vision_encoder.encoder.model.visual.blocks.0.mlp.fc1.lora_B.weight": torch.randn(8, 2),
    }
    save_file(adapter, folder / "vlm" / "adapter_model.safetensors")
    (folder / "vlm" / "adapter_config.json").write_text(json.dumps({"r": 2, "lora_alpha": 4}))
    return fusion, adapter


def test_the_connector_computes_what_upstreams_does_and_lora_is_merged(make_task: Callable[..., Any], tmp_path: Path) -> None:
    fusion, adapter = write_upstream(tmp_path / "best_model")
    model = make_task().model.eval()
    before = model.language_model.model.layers[1].mlp.fc1.weight.detach().clone()
    bridge = read_bridge(tmp_path / "best_model")
    assert bridge.num_vision == 2
    load_bridge(model, bridge)
    tokens = torch.randn(2, 9, WIDTH)
    torch.testing.assert_close(model.connector(tokens), fusion(tokens))
    first, second = list(adapter.values())[:2]
    torch.testing.assert_close(model.language_model.model.layers[1].mlp.fc1.weight.detach(), before + 2.0 * second @ first)


def test_what_is_written_is_read_by_upstreams_names(make_task: Callable[..., Any], tmp_path: Path) -> None:
    model = make_task().model.eval()
    write_bridge(model, tmp_path)
    fusion = UpstreamNames().eval()
    fusion.load_state_dict(torch.load(tmp_path / "fusion.pt"))
    tokens = torch.randn(2, 9, WIDTH)
    torch.testing.assert_close(fusion(tokens), model.connector(tokens))
    assert json.loads((tmp_path / "config.json").read_text()) == {"olmoearth_dim": WIDTH, "vlm_vision_dim": 1152}
    text = torch.load(tmp_path / "vlm" / "text_model.pt")
    assert text["text_model.transformer.h.0.mixer.Wqkv.weight"].shape == (3 * WIDTH, WIDTH)
    other = make_task().model
    load_bridge(other, read_bridge(tmp_path))
    assert all(torch.equal(value, other.connector.state_dict()[name]) for name, value in model.connector.state_dict().items())


def test_checkpoints_that_are_none_are_refused(make_task: Callable[..., Any], make_fields: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "best_model"
    write_upstream(folder)
    fields = {**make_fields()["model"], "num_queries": 5}
    with pytest.raises(CheckpointError, match="the connector has other sizes, or lacks queries"):
        load_bridge(make_task(model=fields).model, read_bridge(folder))
    (folder / "config.json").write_text(json.dumps({"olmoearth_dim": 128}))
    with pytest.raises(CheckpointError, match=r"says olmoearth_dim=128, fusion\.pt reads tokens of width 32"):
        read_bridge(folder)
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"is no checkpoint of EarthFM-VLM-Bridge: it needs fusion\.pt and config\.json"):
        read_bridge(folder)
