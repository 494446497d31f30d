"""Upstream's checkpoints: what its own class would compute from them, LoRA merged, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from earthfm_bridge import WIDTH, UpstreamNames, write_upstream

pytest.importorskip("olmoearth_pretrain_minimal")
from earthfm.checkpoints.bridge import load_bridge, read_bridge, write_bridge
from eocore.errors import CheckpointError


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
    fusion = UpstreamNames(2).eval()
    fusion.load_state_dict(torch.load(tmp_path / "fusion.pt"))
    tokens = torch.randn(2, 9, WIDTH)
    torch.testing.assert_close(fusion(tokens), model.connector(tokens))
    assert json.loads((tmp_path / "config.json").read_text()) == {"olmoearth_dim": WIDTH, "vlm_vision_dim": 1152}
    text = torch.load(tmp_path / "vlm" / "text_model.pt")
    assert text["text_model.transformer.h.0.mixer.Wqkv.weight"].shape == (3 * WIDTH, WIDTH)
    other = make_task().model
    for parameter in other.parameters():
        torch.nn.init.zeros_(parameter)
    load_bridge(other, read_bridge(tmp_path))
    for part in ("connector", "language_model"):
        found, wanted = other.get_submodule(part).state_dict(), model.get_submodule(part).state_dict()
        assert all(torch.equal(found[name], value) for name, value in wanted.items())


def test_checkpoints_that_are_none_are_refused(make_task: Callable[..., Any], make_fields: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "best_model"
    write_upstream(folder)
    fields = {**make_fields()["model"], "num_queries": 5}
    with pytest.raises(CheckpointError, match="the connector has other sizes, or lacks queries"):
        load_bridge(make_task(model=fields).model, read_bridge(folder))
    (folder / "vlm" / "adapter_model.safetensors").rename(folder / "adapter_elsewhere")
    with pytest.raises(CheckpointError, match=r"vlm holds neither an adapter .* nor a text model"):
        read_bridge(folder)
    torch.save({"text_model.lm_head.ln.weight": torch.ones(WIDTH)}, folder / "vlm" / "text_model.pt")
    with pytest.raises(CheckpointError, match=r"weights of the text model that are missing"):
        load_bridge(make_task().model, read_bridge(folder))
    (folder / "config.json").write_text(json.dumps({"olmoearth_dim": 128}))
    with pytest.raises(CheckpointError, match=r"says olmoearth_dim=128, fusion\.pt reads tokens of width 32"):
        read_bridge(folder)
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"is no checkpoint of EarthFM-VLM-Bridge: it needs fusion\.pt and config\.json"):
        read_bridge(folder)
