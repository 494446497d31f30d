"""Every config: it resolves, says what it is for, names only what exists, and where its data can be made, trains one step."""

import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from earthmind.model.hca_fusion import UPSTREAM, HcaSettings
from eocore.config import load_config
from eocore.converters.class_schemes import REFERENCE_TILES
from eocore.converters.landcover import TileSet, prepare_landcover
from eocore.evaluate.engine.sources import build_sources, read_evaluation
from eocore.synthetic.chips import write_chips
from eocore.synthetic.needles import write_needles
from eocore.synthetic.series_files import write_series
from eocore.synthetic.world import write_world
from eocore.system import systems_of_config
from eocore.train.device import set_deepspeed_accelerator

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = sorted(path for path in (ROOT / "configs").rglob("*.py") if "_base_" not in path.parts)
TINY = [path for path in CONFIGS if "_tiny_" in path.name]
SIZE = 96
LOSSES = {
    "EarthMindTask": {"loss", "loss_text", "loss_mask", "loss_dice", "loss_attention", "loss_alignment"},
    "MsClipTask": {"loss", "loss_pairs"},
    "AerithTowerTask": {"loss", "loss_patches", "loss_location"},
    "AerithAlignmentTask": {"loss", "loss_cosine"},
    "AerithTask": {"loss", "loss_text"},
    "EarthFmTask": {"loss", "loss_text"},
}
"""Task -> losses of a first step."""
ASKED = {
    "earthmind": {"referring", "mcq"},
    "ms_clip": {"classification", "retrieval"},
    "aerith": {"classification", "vqa", "caption", "grounding"},
    "earthfm": {"land_cover"},
}
"""System -> tasks that its tiny configs evaluate."""
ASKED_ALONE = {
    "earthmind_tiny_augmented": {"referring"},
    "earthmind_tiny_long": {"vqa"},
    "earthmind_tiny_long_frozen": {"vqa"},
    "earthmind_tiny_needles": {"vqa"},
    "earthmind_tiny_needles_frozen": {"vqa"},
    "earthmind_tiny_series": {"vqa", "region", "referring"},
}
"""Config -> tasks, of one that learns these alone."""
NUMBER = re.compile(r"^  (loss\w*): (-?[\d.]+)$", re.MULTILINE)

every_config = pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
tiny_config = pytest.mark.parametrize("path", TINY, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def synthetic_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synthetic")
    write_world(root, {"train": 6, "val": 1, "test": 2}, size=SIZE)
    write_needles(root / "needles", {"train": 2, "test": 1}, num_scenes=2)
    write_chips(root / "chips", {"train": 32, "val": 10, "test": 10})
    return root


@pytest.fixture(scope="module")
def series_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("series")
    write_series(root, {"train": 8, "val": 2, "test": 16})
    return root


@pytest.fixture(scope="module")
def landcover_root(tmp_path_factory: pytest.TempPathFactory, shared_dir: Path) -> Path:
    root = tmp_path_factory.mktemp("landcover")
    folders = {"rgb": "S2RGB", "multispectral": "S2L2A", "sar": "S1RTC"}
    tiles = TileSet(
        shared_dir / "tiles" / "LULC", {modality: shared_dir / "tiles" / folder for modality, folder in folders.items()}, REFERENCE_TILES
    )
    prepare_landcover(tiles, root, split="train")
    return root


@pytest.fixture(scope="module")
def trained_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the stage before leaves: an encoder of the size that the config states."""
    pytest.importorskip("olmoearth_pretrain_minimal")
    from earthfm.model.olmoearth import EncoderSizes, OlmoEarthEncoder

    sizes = load_config(ROOT / "configs" / "earthfm" / "earthfm_tiny_synthetic.py").tiny_encoder
    file = tmp_path_factory.mktemp("encoder") / "model.safetensors"
    encoder = OlmoEarthEncoder(EncoderSizes(**sizes))
    save_file({f"model.encoder.{name}": value.contiguous() for name, value in encoder.state_dict().items()}, file)
    return file


def _whole_text(path: Path) -> str:
    """Of a config and of all that it is based on."""
    text = path.read_text()
    return text + "".join(_whole_text(path.parent / base) for base in re.findall(r'"(\.{1,2}/[^"]+\.py)"', text))


@pytest.fixture
def data(path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the config reads, made or prepared; the test skips where its source is not there."""
    text = _whole_text(path)
    for name, fixture in (("SYNTHETIC_ROOT", "synthetic_root"), ("LANDCOVER_ROOT", "landcover_root"), ("SERIES_ROOT", "series_root")):
        if name in text:
            monkeypatch.setenv(name, str(request.getfixturevalue(fixture)))
    if "EARTHFM_ENCODER" in text:
        monkeypatch.setenv("EARTHFM_ENCODER", str(request.getfixturevalue("trained_encoder")))
    if "TILES_ROOT" in text:
        monkeypatch.setenv("TILES_ROOT", str(request.getfixturevalue("shared_dir") / "tiles"))


@pytest.fixture
def alone() -> Iterator[None]:
    """A process that trains alone; what it sets in the environment does not outlive the test, though its group of one does."""
    set_deepspeed_accelerator()
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def test_there_are_configs() -> None:
    assert {path.stem for path in TINY} >= {"earthmind_tiny_synthetic", "earthmind_tiny_tiles"}


@every_config
def test_it_begins_with_what_it_is_and_how_it_is_run(path: Path) -> None:
    comment = "\n".join(line for line in path.read_text().splitlines()[:4] if line.startswith("#"))
    assert f"{path.relative_to(ROOT)}" in comment, "the command names the file"
    assert re.search(r"tools/dist\.sh train|tools/slurm\.sh", comment)


@every_config
def test_print_config_shows_it_whole(path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    spec = importlib.util.spec_from_file_location("tools_print_config", ROOT / "tools" / "print_config.py")
    assert spec is not None and spec.loader is not None
    command = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(command)
    monkeypatch.setattr(sys, "argv", ["print_config", str(path), "--cfg-options", "seed=11"])
    assert command.COMMAND() == 0
    shown: dict[str, Any] = {}
    exec(capsys.readouterr().out, shown)
    assert shown["seed"] == 11
    assert shown["task"]["type"] and shown["training"]["max_iters"] >= 1 and shown["hooks"]


@every_config
def test_its_sections_have_no_unknown_option(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from eocore.train.runner import check_config

    monkeypatch.setattr("eocore.train.device.computes_fp16", lambda: True)  # a config for a GPU without bf16, whatever CPU this is
    config = load_config(path)
    check_config(config)
    systems_of_config(config)


@tiny_config
@pytest.mark.usefixtures("data", "alone")
def test_it_trains_a_step(path: Path) -> None:
    from eocore.predict.validation import ScoredAnswers
    from eocore.train.launch import dry_run

    config = load_config(path, {"task.num_workers": 0})
    systems_of_config(config)
    for part in config.task.model.get("parts", {}):
        config.task.model.parts[part] = "new"  # what an earlier stage trains is not there
    if config.task.model.pop("pretrained", None):
        config.task.tokenizer = load_config(ROOT / "configs" / "earthmind" / "earthmind_tiny_needles.py").task.tokenizer
    told = dry_run(config, answers=ScoredAnswers)
    losses = {name: float(value) for name, value in NUMBER.findall(told)}
    assert LOSSES[config.task.type] <= set(losses)
    assert all(0 <= value < 100 for value in losses.values()) and losses["loss"] > 0.5
    assert re.search(r"total +[\d,]+ +[\d,]+\n", told) and re.search(r"(tiles|pixel_values|sentinel2_l2a|pixels|clip): \(", told)


@tiny_config
@pytest.mark.usefixtures("data")
def test_its_evaluation_has_something_to_ask(path: Path) -> None:
    config = load_config(path)
    systems_of_config(config)
    options = read_evaluation(config.evaluation)
    asked = {(setting, record.task) for setting, source in build_sources(options) for record in source.records}
    assert {setting for setting, _ in asked} == set(options.settings)
    assert ASKED_ALONE.get(path.stem, ASKED[config.systems[0]]) <= {task for _, task in asked}


def test_the_second_stage_of_pairs_is_upstream_s_and_one_with_replay_is_beside_it() -> None:
    stages = {name: load_config(ROOT / "configs" / "earthmind" / f"earthmind_4b_{name}.py") for name in ("pairs", "pairs_replay", "sft")}
    pairs, replay = stages["pairs"], stages["pairs_replay"]
    parts = {name: {part.name: part.weight for part in config.task.data.parts} for name, config in stages.items()}
    assert parts["pairs"] == {"sar_seg": 1.0, "pair_vqa": 1.0}
    assert {name: 10 * weight for name, weight in parts["pairs_replay"].items() if name not in parts["pairs"]} == pytest.approx(
        {name: weight for name, weight in parts["sft"].items() if name not in parts["pairs"]}
    )
    assert parts["pairs"].items() <= parts["pairs_replay"].items()
    for config in (pairs, replay):
        systems_of_config(config)
        assert config.task.model.fusion == "hca" and "fusion" not in config.task.trainable
        assert config.task.model.pretrained.endswith("/earthmind-4b") and config.task.tokenizer.path == config.task.model.pretrained
        assert config.training.accumulation == 4 and config.optimizer.lr == stages["sft"].optimizer.lr
    assert asdict(HcaSettings(**pairs.task.model.hca)) == asdict(HcaSettings(**UPSTREAM))
    assert HcaSettings(**replay.task.model.hca).text_span == HcaSettings().text_span == "question"


@pytest.mark.parametrize("name", ["pairs", "pairs_replay"])
def test_the_second_stage_builds_at_full_size(name: str) -> None:
    """On the meta device; its parts that train are those that the base model's config names."""
    from earthmind.planning.meta_task import outline

    config = load_config(ROOT / "configs" / "earthmind" / f"earthmind_4b_{name}.py")
    systems_of_config(config)
    task = outline(config.task)
    trained = {part.split(".")[0] for part, value in task.model.named_parameters() if value.requires_grad}
    assert trained == {"projector", "language_model", "seg_head"}
    assert (task.loss_settings.alignment, task.loss_settings.attention) == (0, 0), "the second release drops both"
    assert (task.processor.options.fuse_sensors, task.processor.options.fusion_text) == (True, config.task.model.hca.text_span)
