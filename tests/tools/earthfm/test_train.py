"""tools/earthfm/train.py as it is called: what its flags come to, a step with small weights, and what is refused."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("olmoearth_pretrain_minimal")
from earthfm.datasets.chatearthnet import FOLDERS
from eocore.errors import ConfigError


@pytest.fixture
def tool(repo_root: Path) -> dict[str, Any]:
    return runpy.run_path(str(repo_root / "tools" / "earthfm" / "train.py"))


@pytest.fixture
def chatearthnet(tmp_path: Path) -> Path:
    """Four images of 16 px, in every split."""
    root = tmp_path / "chatearthnet_data"
    names = [f"t_t_patch{number:02d}.png" for number in range(4)]
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True)
        for number, name in enumerate(names):
            pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / folder / name)
    (root / "json_files").mkdir()
    for split in ("train", "val", "test"):
        entries = [{"image": name, "caption": "Some water and a field."} for name in names]
        (root / "json_files" / f"ChatEarthNet_caps_35_{split}.json").write_text(json.dumps(entries))
    return root


def test_flags_become_options(tool: dict[str, Any], model_folder: Path) -> None:
    words = ["--olmoearth_model", str(model_folder), "--vlm_model", str(model_folder), "--num_epochs", "2", "--warmup_steps", "100"]
    found = tool["overrides"](tool["build_parser"]().parse_args([*words, "--use_lora", "--freeze_olmoearth", "false"]))
    assert found["training.max_iters"] == 2 * 98_092 // 16
    assert found["schedule.warmup_ratio"] * found["training.max_iters"] == pytest.approx(100)
    assert found["task.lora.rank"] == 16 and "encoder.model.blocks" in found["task.trainable"]
    bare = tool["overrides"](tool["build_parser"]().parse_args([*words, "--use_lora", "false"]))
    assert bare["task.lora"] is None and "language_model" in bare["task.trainable"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--fusion_type", "cross_attention"], "accepts no other than geospatial_queries"),
        (["--freeze_vlm_vision"], "never uses"),
        (["--batch_size", "0"], "are positive numbers"),
        (["--olmoearth_model", "OLMOEARTH_V1_NANO"], "Fetch it"),
    ],
)
def test_what_there_is_not_is_refused(tool: dict[str, Any], model_folder: Path, words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tool["overrides"](tool["build_parser"]().parse_args(["--vlm_model", str(model_folder), *words]))


def test_a_step_with_small_weights(
    tool: dict[str, Any],
    chatearthnet: Path,
    small_parts: Callable[[], dict[str, Path]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    parts = small_parts()
    monkeypatch.setenv("CHATEARTHNET_ROOT", "")
    words = ["--data_dir", str(chatearthnet), "--output_dir", str(tmp_path / "run"), "--olmoearth_model", str(parts["encoder"])]
    words += ["--vlm_model", str(parts["language"]), "--num_geo_queries", "4", "--batch_size", "2", "--accumulation_steps", "1"]
    assert tool["run"](tool["build_parser"]().parse_args([*words, "--images_per_epoch", "4", "--device", "cpu", "--dry-run"])) == 0
    assert "loss_text" in capfd.readouterr().out
