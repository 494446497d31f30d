"""tools/earthfm/inference.py as it is called: an answer to a GeoTIFF and to a picture, and what is refused."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("olmoearth_pretrain_minimal")
from eocore.errors import CheckpointError, ConfigError, DataError


@pytest.fixture
def tool(repo_root: Path) -> dict[str, Any]:
    return runpy.run_path(str(repo_root / "tools" / "earthfm" / "inference.py"))


def ask(tool: dict[str, Any], *words: Any) -> None:
    tool["run"](tool["build_parser"]().parse_args([*map(str, words), "--max_length", "6", "--device", "cpu"]))


def test_an_answer_to_a_geotiff(tool: dict[str, Any], model_folder: Path, world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = next((world / "test" / "multispectral").glob("*.tif"))
    shown = []
    for _ in range(2):
        ask(tool, "--model_path", model_folder, "--image_path", image, "--temperature", 0)
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    ask(tool, "--model_path", model_folder, "--image_path", image, "--temperature", 0.7)


def test_a_picture_is_taken_on_demand(tool: dict[str, Any], model_folder: Path, tmp_path: Path) -> None:
    Image.fromarray(np.full((16, 16, 3), 90, np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="--fill-missing"):
        ask(tool, "--model_path", model_folder, "--image_path", tmp_path / "a.png")
    ask(tool, "--model_path", model_folder, "--image_path", tmp_path / "a.png", "--fill-missing")


def test_what_does_not_fit_is_refused(tool: dict[str, Any], model_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--temperature is 0 or more"):
        ask(tool, "--model_path", model_folder, "--image_path", "a.tif", "--temperature", -1)
    with pytest.raises(CheckpointError, match=r"it has no config\.json"):
        ask(tool, "--model_path", tmp_path, "--image_path", "a.tif")
