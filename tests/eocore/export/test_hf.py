"""What a checkpoint folder holds, and that it appears whole or not at all."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from eocore.errors import CheckpointError, OutputError
from eocore.export.hf import Shipment, write_checkpoint

FILES = {
    "README.md",
    "chat_template.jinja",
    "config.json",
    "configuration_doubler.py",
    "model.safetensors",
    "modeling_doubler.py",
    "parts.py",
    "processing_doubler.py",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
}


def test_folder_holds_weights_configs_code_and_card(make_shipment: Callable[..., Shipment], tmp_path: Path) -> None:
    shipment = make_shipment()
    out = tmp_path / "deep" / "out"
    write_checkpoint(shipment, out, card="# Doubler\n")
    assert {path.name for path in out.iterdir()} == FILES
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    config = json.loads((out / "config.json").read_text())
    assert config["auto_map"] == {"AutoConfig": "configuration_doubler.DoublerConfig", "AutoModel": "modeling_doubler.Doubler"}
    assert config["architectures"] == ["Doubler"] and config["dtype"] == "float32"
    for name in ("processor_config.json", "tokenizer_config.json"):
        content = json.loads((out / name).read_text())
        assert content["auto_map"] == {"AutoProcessor": "processing_doubler.DoublerProcessor"}
        assert content["processor_class"] == "DoublerProcessor"
    assert (out / "parts.py").read_text() == (shipment.model_package / "parts.py").read_text()
    assert (out / "README.md").read_text() == "# Doubler\n"
    weights = load_file(out / "model.safetensors")
    assert set(weights) == {"layer.weight", "layer.bias", "gain"}
    assert torch.equal(weights["gain"], shipment.model.gain)


def test_weights_are_as_readable_as_the_files_beside_them(
    make_shipment: Callable[..., Shipment], tmp_path: Path, default_mode: int
) -> None:
    shipment = make_shipment()
    wide = type(shipment.model)(type(shipment.model.config)(width=20))
    write_checkpoint(replace(shipment, model=wide), tmp_path / "out", card="", max_shard_size="1KB")
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()}
    assert set(modes.values()) == {default_mode} and sum(name.endswith(".safetensors") for name in modes) == 2
    assert (tmp_path / "out").stat().st_mode & 0o777 == default_mode | (default_mode >> 2 & 0o111)


def test_large_weights_are_split(make_shipment: Callable[..., Shipment], tmp_path: Path) -> None:
    shipment = make_shipment()
    wide = type(shipment.model)(type(shipment.model.config)(width=20))
    write_checkpoint(replace(shipment, model=wide), tmp_path / "out", card="", max_shard_size="1KB")
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())["weight_map"]
    assert set(index) == {"layer.weight", "layer.bias", "gain"} and len(set(index.values())) == 2
    for name, file in index.items():
        with safe_open(tmp_path / "out" / file, framework="pt") as opened:
            assert name in opened.keys()  # noqa: SIM118 (no container)


def test_size_of_a_weight_file_must_be_one(make_shipment: Callable[..., Shipment], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"largest weight file '5 gigs' is no size. Write a number and KB, MB, GB or TB"):
        write_checkpoint(make_shipment(), tmp_path / "out", card="", max_shard_size="5 gigs")


def test_other_folders_are_never_touched(make_shipment: Callable[..., Shipment], tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").write_text("dear")
    for overwrite in (False, True):
        with pytest.raises(CheckpointError, match=r"photos exists and is no checkpoint \(it has no config.json\); it is left alone"):
            write_checkpoint(make_shipment(), tmp_path / "photos", card="", overwrite=overwrite)
    assert (tmp_path / "photos" / "me.jpg").read_text() == "dear"


def test_checkpoint_is_replaced_only_on_demand(make_shipment: Callable[..., Shipment], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    write_checkpoint(make_shipment(), out, card="first")
    (out / "stray.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"out holds a checkpoint, which would be lost.*--overwrite"):
        write_checkpoint(make_shipment(), out, card="second")
    assert (out / "README.md").read_text() == "first"
    write_checkpoint(make_shipment(), out, card="second", overwrite=True)
    assert {path.name for path in out.iterdir()} == FILES and (out / "README.md").read_text() == "second"


def test_failed_check_leaves_the_old_checkpoint(make_shipment: Callable[..., Shipment], tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_checkpoint(make_shipment(), out, card="first")
    seen = []

    def refuse(folder: Path) -> None:
        seen.append({path.name for path in folder.iterdir()})
        raise CheckpointError("not equal")

    with pytest.raises(CheckpointError, match="not equal"):
        write_checkpoint(make_shipment(), out, card="second", overwrite=True, check=refuse)
    assert seen == [FILES]
    assert (out / "README.md").read_text() == "first"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_files_that_can_execute_code_are_refused(
    make_shipment: Callable[..., Shipment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipment = make_shipment()
    monkeypatch.setattr(type(shipment.processor), "save_pretrained", lambda self, folder: torch.save({}, Path(folder) / "scaler.bin"))
    monkeypatch.setattr(shipment.model, "save_pretrained", _with_empty_configs(shipment.model.save_pretrained))
    with pytest.raises(CheckpointError, match=r"the checkpoint would hold scaler.bin; allowed: .*\.safetensors"):
        write_checkpoint(shipment, tmp_path / "out", card="")
    assert not (tmp_path / "out").exists()


def _with_empty_configs(save: Callable[..., None]) -> Callable[..., None]:
    def save_all(folder: Path, **settings: str) -> None:
        save(folder, **settings)
        for name in ("processor_config.json", "tokenizer_config.json"):
            (Path(folder) / name).write_text("{}")

    return save_all


@pytest.mark.parametrize("there", [True, False], ids=["replaces", "new"])
def test_a_full_disk_leaves_what_was_there_and_nothing_half_written(
    make_shipment: Callable[..., Shipment], tmp_path: Path, limit_file_size: Callable[[int | None], None], there: bool
) -> None:
    out = tmp_path / "out"
    if there:
        write_checkpoint(make_shipment(), out, card="old")
    before = {path.name: path.read_bytes() for path in out.iterdir()} if there else {}
    limit_file_size(100)
    with pytest.raises(
        OutputError,
        match=r"out: the checkpoint cannot be written: the file would exceed .* Nothing half-written is left, and what was there before",
    ):
        write_checkpoint(make_shipment(), out, card="new", overwrite=True)
    limit_file_size(None)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith((".", "out"))] == (["out"] if there else [])
    assert not there or {path.name: path.read_bytes() for path in out.iterdir()} == before
    write_checkpoint(make_shipment(), out, card="new", overwrite=True)
    assert (out / "README.md").read_text() == "new"


def test_too_little_space_is_told_before_the_first_byte(make_shipment: Callable[..., Shipment], tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"out: the checkpoint cannot be written: the disk is full \(.* free, 1000.0 TB needed\)"):
        write_checkpoint(replace(make_shipment(), num_bytes=10**15), tmp_path / "out", card="")
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_place_of_the_parent_is_told(make_shipment: Callable[..., Shipment], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match=r"file/out: the checkpoint cannot be written: a file is in the place of a folder"):
        write_checkpoint(make_shipment(), tmp_path / "file" / "out", card="")
