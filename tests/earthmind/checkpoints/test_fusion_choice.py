"""Weights of the second upstream release are told apart by the caller alone, and go out again as what they are."""

import importlib.util
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from earthmind.building.models import build_model
from earthmind.checkpoints.export_upstream import plan_export
from earthmind.checkpoints.import_plan import plan_import
from earthmind.model.hca_fusion import UPSTREAM, HcaFusion, HcaSettings
from earthmind.model.processing_earthmind import EarthMindProcessor
from eocore.checkpoints.exchange import ImportRequest, LoraScale
from eocore.command import Command
from eocore.commands.import_weights import COMMAND
from eocore.errors import ConfigError


def _helpers() -> ModuleType:
    spec = importlib.util.spec_from_file_location("upstream_models", Path(__file__).with_name("upstream_models.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


external = _helpers()
RELEASED = asdict(HcaSettings(**UPSTREAM))


@pytest.fixture(scope="module")
def second_release(published_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same names as the first release's, without its queries; nothing else tells them apart."""
    tensors = external.read(published_folder)
    del tensors["local_query"]
    folder = tmp_path_factory.mktemp("second") / "EarthMind4B_multi"
    return Path(external.write(folder, tensors, external.config_of(published_folder), tokenizer=published_folder))


def test_it_is_imported_as_it_was_released(second_release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command: Command = COMMAND
    assert command([str(second_release), "--fusion", "hca", "--out", str(tmp_path / "ours")]) == 0
    assert "--fusion hca" not in capsys.readouterr().out
    config = json.loads((tmp_path / "ours" / "config.json").read_text())
    assert config["fusion"] == "hca" and config["hca"] == RELEASED
    processor = EarthMindProcessor.from_pretrained(tmp_path / "ours")
    assert (processor.options.fuse_sensors, processor.options.fusion_text, processor.options.average_views) == (True, "upstream", False)
    model = build_model({"pretrained": str(tmp_path / "ours")}, processor.tokenizer)
    assert isinstance(model.fusion, HcaFusion) and not list(model.fusion.parameters())
    corrected = build_model({"pretrained": str(tmp_path / "ours"), "fusion": "hca", "hca": {}}, processor.tokenizer)
    assert corrected.config.hca == asdict(HcaSettings())


def test_it_goes_out_bit_by_bit_and_comes_back_without_being_told_again(second_release: Path, tmp_path: Path) -> None:
    plan_import(ImportRequest(sources=[second_release], fusion="hca")).write(tmp_path / "ours")
    going = plan_export(tmp_path / "ours")
    going.write(tmp_path / "back")
    found, expected = load_file(tmp_path / "back" / "model.safetensors"), external.read(second_release)
    assert found.keys() == expected.keys()
    assert all(found[name].dtype == expected[name].dtype and torch.equal(found[name], expected[name]) for name in expected)
    config = external.config_of(tmp_path / "back")
    assert config == {**external.config_of(second_release), "fusion": "hca", "hca": RELEASED}
    told = going.describe(tmp_path / "back")
    assert "take the code of the second release" in told and "will differ" not in told
    again = plan_import(ImportRequest(sources=[tmp_path / "back"]))
    assert (again.config.fusion, again.config.hca) == ("hca", RELEASED) and "--fusion" not in again.describe()
    other = plan_import(ImportRequest(sources=[tmp_path / "back"], fusion="concat")).config
    assert (other.fusion, other.hca) == ("concat", None)


def test_what_the_upstream_code_does_otherwise_is_told(make_tiny: Callable[..., Any], tmp_path: Path) -> None:
    made = make_tiny(fusion="hca", hca={"text_weight": 0.5})
    made.model.save_pretrained(tmp_path / "own")
    told = plan_export(tmp_path / "own", without_video=True).describe(tmp_path)
    assert "fuses with text_span='question' (upstream 'upstream'), average_views=True (upstream False), text_weight=0.5" in told
    assert "will differ" in told


def test_a_missing_query_is_a_hint_and_no_more(second_release: Path, published_folder: Path) -> None:
    unsure = plan_import(ImportRequest(sources=[second_release]))
    assert unsure.config.fusion == "concat" and unsure.config.hca is None
    assert any(
        "No local_query: " in note and "import them with --fusion hca; now pairs are joined by concat" in note for note in unsure.notes
    )
    first = plan_import(ImportRequest(sources=[published_folder]))
    assert first.config.fusion == "mutual_attention" and not any("--fusion" in note for note in first.notes)
    for named in ("concat", "mutual_attention"):
        plan = plan_import(ImportRequest(sources=[second_release], fusion=named))
        assert plan.config.fusion == named and not any("--fusion" in note for note in plan.notes)
        assert ("fusion.queries" in plan.composition.new) == (named == "mutual_attention")


@pytest.mark.parametrize("fusion", ["hca", "concat"])
def test_queries_of_the_first_release_are_set_aside_and_said(published_folder: Path, fusion: str) -> None:
    plan = plan_import(ImportRequest(sources=[published_folder], fusion=fusion))
    assert plan.config.fusion == fusion and "fusion.queries" not in plan.tensors
    assert "queries of the first release's fusion" in {part for _, part in plan.composition.unused}
    assert any("has never seen tokens fused by hca" in note for note in plan.notes) == (fusion == "hca")


def test_a_model_that_is_new_here_reads_the_question_alone(published_folder: Path, tiny: Any, tmp_path: Path) -> None:
    source = external.write_internvl(tmp_path / "InternVL", published_folder, tokenizer=published_folder)
    sam2 = external.write_sam2(tmp_path / "sam2", tiny.model)
    plan = plan_import(ImportRequest(sources=[source], sam2=sam2, fusion="hca"))
    assert plan.config.hca == asdict(HcaSettings())
    assert not any(name.startswith("fusion") for name in plan.composition.new)


def test_queries_that_the_second_release_never_reads_are_not_used(published_folder: Path, tmp_path: Path) -> None:
    """Its training saves them, because they are trainable."""
    published = external.read(published_folder)
    trained = {**external.training_state(published, rank=4), "mllm.hca_queries": torch.zeros(256, 8)}
    torch.save(trained, tmp_path / "iter_1000.pth")
    request = {"sources": [published_folder, tmp_path / "iter_1000.pth"], "lora": LoraScale(8.0, 4)}
    told = plan_import(ImportRequest(**request, fusion="hca"))
    assert told.config.hca == RELEASED
    assert "queries of the second release, which it never reads" in {part for _, part in told.composition.unused}
    unsure = plan_import(ImportRequest(**request))
    assert any("mllm.hca_queries hints at the second release" in note for note in unsure.notes)


def test_an_unknown_fusion_is_named(second_release: Path) -> None:
    with pytest.raises(ConfigError, match=r"--fusion hcca is unknown\. Did you mean 'hca'\? Choices: concat, mutual_attention, hca"):
        plan_import(ImportRequest(sources=[second_release], fusion="hcca"))
