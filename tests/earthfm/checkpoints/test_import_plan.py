"""Upstream's checkpoints through the commands: in, out, and in again."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from earthfm_bridge import WIDTH, UpstreamNames, write_upstream

pytest.importorskip("olmoearth_pretrain_minimal")
from earthfm.model.modeling_earthfm import EarthFmForConditionalGeneration
from eocore.models.folders import load_model
from eocore.system import find_systems

HEADS = 8
"""Of upstream's connector."""
Command = Callable[..., tuple[int, str]]


@pytest.fixture
def parts(small_parts: Callable[[], dict[str, Path]]) -> dict[str, Path]:
    return small_parts()


def test_in_out_and_in_again(command: Command, parts: dict[str, Path], tmp_path: Path) -> None:
    fusion, adapter = write_upstream(tmp_path / "best_model", heads=HEADS, layer=0)
    beside = (parts["encoder"], "--language", parts["language"])
    status, told = command("import_weights", tmp_path / "best_model", *beside, "--out", tmp_path / "ours")
    assert status == 0 and "LoRA of 1 weights merged" in told and "Not used: 2 tensors of the vision tower." in told
    made = load_model(EarthFmForConditionalGeneration, tmp_path / "ours").eval()
    tokens = torch.randn(2, 9, WIDTH)
    torch.testing.assert_close(made.connector(tokens), fusion(tokens))
    before = load_model(type(made.language_model), parts["language"]).model.layers[0].mlp.fc1.weight
    first, second = list(adapter.values())[:2]
    torch.testing.assert_close(made.language_model.model.layers[0].mlp.fc1.weight, before + 2.0 * second @ first)
    encoder = load_model(EarthFmForConditionalGeneration, parts["encoder"]).encoder.state_dict()
    assert all(torch.equal(value, encoder[name]) for name, value in made.encoder.state_dict().items())

    status, told = command("export_weights", tmp_path / "ours", "--out", tmp_path / "back")
    assert status == 0 and "layout 'earthfm-bridge'" in told and "use_lora=False" in told
    again = UpstreamNames(HEADS).eval()
    again.load_state_dict(torch.load(tmp_path / "back" / "fusion.pt"))
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in fusion.state_dict().items())
    assert json.loads((tmp_path / "back" / "config.json").read_text()) == {"olmoearth_dim": WIDTH, "vlm_vision_dim": 1152}

    status, told = command("import_weights", tmp_path / "back", *beside, "--out", tmp_path / "twice")
    assert status == 0 and "its text model from back" in told
    twice = load_model(EarthFmForConditionalGeneration, tmp_path / "twice").state_dict()
    assert all(torch.equal(value, twice[name]) for name, value in made.state_dict().items())


def test_an_import_answers(command: Command, parts: dict[str, Path], tmp_path: Path, world: Path) -> None:
    write_upstream(tmp_path / "best_model", heads=HEADS, layer=0)
    source = (tmp_path / "best_model", parts["encoder"], "--language", parts["language"])
    assert command("import_weights", *source, "--out", tmp_path / "ours")[0] == 0
    image = min((world / "test" / "multispectral").iterdir())
    words = ("--text", "What is there?", "--out", tmp_path / "answers", "--device", "cpu", "--max-new-tokens", "4")
    status, told = command("predict", tmp_path / "ours", "--inputs", image, *words)
    assert status == 0, told
    assert list((tmp_path / "answers").rglob("*.json*"))


def test_weights_of_other_systems_are_recognised_without_the_encoders_package() -> None:
    code = "import sys; from earthfm.system import SYSTEM; SYSTEM.exchange(); sys.exit('olmoearth_pretrain_minimal' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_is_missing_or_does_not_fit_is_said(
    command: Command, parts: dict[str, Path], model_folder: Path, make_task: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "best_model"
    write_upstream(folder, heads=HEADS, layer=0)
    status, told = command("import_weights", folder, "--dry-run")
    assert status == 1 and "holds neither OlmoEarth nor Moondream 2" in told and "--language MOONDREAM" in told
    beside = (parts["encoder"], "--language", parts["language"])
    status, told = command("import_weights", folder, *beside, "--lora-alpha", "4", "--dry-run")
    assert status == 1 and "--lora-alpha and --lora-rank: of other systems" in told
    (folder / "config.json").unlink()
    status, told = command("import_weights", folder, *beside, "--out", tmp_path / "out")
    assert status == 1 and "is no checkpoint of EarthFM-VLM-Bridge: it needs fusion.pt and config.json" in told
    assert not (tmp_path / "out").exists()
    status, told = command("export_weights", model_folder, "--out", tmp_path / "out")
    assert status == 1 and "num_heads=2 (upstream: 8)" in told


def test_one_system_knows_the_layout(tmp_path: Path) -> None:
    write_upstream(tmp_path / "best_model")
    knowing = [system.name for system in find_systems() if system.exchange and system.exchange().recognises(tmp_path / "best_model")]
    assert knowing == ["earthfm"]
