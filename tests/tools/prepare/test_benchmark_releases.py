"""The commands of tools/prepare on generated folders in the shape of the releases."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from eocore.synthetic.test_sets.grounding import write_voc
from eocore.synthetic.test_sets.images import MadeScenes, make_scenes
from eocore.synthetic.test_sets.pictures import write_rsvqa
from eocore.synthetic.test_sets.releases import write_refsegrs, write_risbench, write_rrsisd
from eocore.synthetic.test_sets.sensors import write_bigearthnet_folders

TOOLS = Path(__file__).resolve().parents[3] / "tools" / "prepare"


@pytest.fixture(scope="module")
def scenes() -> MadeScenes:
    return make_scenes(2, size=60, seed=3)


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"prepare_{name}", TOOLS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs a tool of the folder with these words; returns its exit status."""

    def run(name: str, *words: object) -> int:
        monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
        return int(load(name).main())

    return run


@pytest.mark.parametrize(("name", "write"), [("rrsisd", write_rrsisd), ("refsegrs", write_refsegrs), ("risbench", write_risbench)])
def test_referring_sets(
    name: str,
    write: Callable[..., None],
    scenes: MadeScenes,
    tmp_path: Path,
    command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(tmp_path / "release", scenes)
    assert command(name, "--source", tmp_path / "release", "--out", tmp_path / "out") == 0
    assert "test " in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"refs(unc).p", "instances.json", "images"}


def test_dior_rsvg_and_rsvqa(scenes: MadeScenes, tmp_path: Path, command: Callable[..., int]) -> None:
    write_voc(tmp_path / "voc", scenes, split_by="object")
    assert command("dior_rsvg", "--source", tmp_path / "voc", "--out", tmp_path / "boxes") == 0
    assert (tmp_path / "boxes/test.jsonl").read_text().startswith('{"sample_id": "00001-0", "image": "images/00001.jpg"')
    write_rsvqa(tmp_path / "vqa", tmp_path / "vqa/Images_LR", scenes=scenes, prefix="LR_split_test")
    assert command("rsvqa", "--source", tmp_path / "vqa", "--images", tmp_path / "vqa/Images_LR", "--out", tmp_path / "lines") == 0
    assert (tmp_path / "lines/images/0.tif").is_file()


def test_bigearthnet(scenes: MadeScenes, tmp_path: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    write_bigearthnet_folders(tmp_path / "s2", tmp_path / "s1", split=tmp_path / "test.csv", scenes=scenes)
    words = ("--s2", tmp_path / "s2", "--s1", tmp_path / "s1", "--split", tmp_path / "test.csv", "--out", tmp_path / "out")
    assert command("bigearthnet", *words) == 0
    assert "patches 2" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["rrsisd", "refsegrs", "risbench", "dior_rsvg", "so2sat"])
def test_a_folder_that_is_no_release_ends_with_a_message(
    name: str, tmp_path: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(name, "--source", tmp_path / "none", "--out", tmp_path / "out") == 1
    assert str(tmp_path / "none") in capsys.readouterr().err
