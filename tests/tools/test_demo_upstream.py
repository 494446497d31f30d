"""tools/demo_upstream.py as upstream's demo is called, on a tiny converted model; overlays are those of mmengine, as upstream's."""

import os
import runpy
import sys
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import forked
import numpy as np
import pytest
from mmengine.visualization import Visualizer
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "demo_upstream.py"


@pytest.fixture(scope="module")
def tool() -> dict[str, Any]:
    return runpy.run_path(str(TOOL))


def demo(*arguments: str | Path, folder: Path) -> CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "projects"), "OMP_NUM_THREADS": "1"}
    return forked.run([TOOL, *map(str, arguments)], cwd=folder, environment=environment)


def test_all_images_are_frames_and_overlays_keep_their_names(seg_model: Path, pictures: Path, tmp_path: Path) -> None:
    result = demo("--model_path", seg_model, folder=pictures.parent)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[:4] == ["The input is:", "<image>Please segment the left chimney.", "The output is:", "[SEG]"]
    assert sorted(path.name for path in (pictures.parent / "result").iterdir()) == ["a.png", "b.jpg", "c.bmp"]
    before, after = (np.asarray(Image.open(folder / "a.png")).astype(int) for folder in (pictures, pictures.parent / "result"))
    changed = (before != after).any(-1)
    assert 0 < changed.sum() < changed.size
    assert np.array_equal(after[changed], np.rint(0.6 * before[changed] + 0.4 * np.array([0, 127, 0])).astype(int))


def call(tool: dict[str, Any], monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """The exit status of the tool in this process."""
    monkeypatch.setattr(sys, "argv", [str(TOOL), *map(str, arguments)])
    return int(tool["main"]())


def test_one_image(
    tool: dict[str, Any],
    seg_model: Path,
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = ("--image_folder", pictures, "--work-dir", tmp_path / "one")
    assert call(tool, monkeypatch, "--model_path", seg_model, *places, "--select", "2", "--text", "<image>What?") == 0
    assert capsys.readouterr().out.startswith("Selected frame 2\nThe input is:\n<image>What?\nThe output is:\n[SEG]\n")
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["b.jpg"]


def test_a_pair(tool: dict[str, Any], seg_model: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = ("--image_path", pictures / "a.png", "--sar_image_path", pictures / "c.bmp", "--work-dir", tmp_path / "pair")
    assert call(tool, monkeypatch, "--model_path", seg_model, *pair) == 0
    assert [path.name for path in (tmp_path / "pair").iterdir()] == ["a.png"]


def test_an_overlay_is_what_mmengine_draws(tool: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    pixels, mask = rng.integers(0, 256, (20, 30, 3), np.uint8), rng.random((20, 30)) > 0.5
    visualizer = Visualizer()
    visualizer.set_image(pixels)
    visualizer.draw_binary_masks(mask, colors="g", alphas=0.4)
    assert np.array_equal(np.asarray(tool["draw_mask"](Image.fromarray(pixels), mask)), visualizer.get_image())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--image_folder", "nowhere"], "DataError: --image_folder nowhere is no folder. Name one with images."),
        (["--image_folder", "empty"], "DataError: --image_folder empty holds no image; their names end in .jpg, "),
        (["--select", "4"], "ConfigError: --select 4: demo_images holds 3 images. Select one of them."),
        (["--image_path", "demo_images/a.png"], "ConfigError: --image_path and --sar_image_path name the two images of one location"),
        ([], "DataError: --model_path MODEL is no folder, and nothing is downloaded."),
    ],
)
def test_what_cannot_be_done_is_said(
    tool: dict[str, Any],
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(pictures.parent)
    Path("empty").mkdir()
    assert call(tool, monkeypatch, "--model_path", "MODEL", *arguments) == 1
    assert message in capsys.readouterr().err


def test_overlays_never_replace_the_images(tool: dict[str, Any], pictures: Path) -> None:
    source = pictures / "a.png"
    with pytest.raises(Exception, match="is the folder of the images, which overlays would replace"):
        tool["write_overlay"](source, Image.open(source), source=source)


def test_a_broken_image_is_named(tool: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(Exception, match=r"a\.png cannot be read as an image"):
        tool["open_image"](tmp_path / "a.png")
