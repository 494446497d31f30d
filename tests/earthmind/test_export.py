"""From a trained checkpoint to a folder that answers: every weight, LoRA merged, settings and card."""

import importlib.util
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.config import Config
from safetensors.torch import load_file, save_file
from torch import nn

from earthmind.checkpoints.parity_check import parity_outputs
from earthmind.export import AUTO_MAP, pack
from eocore.commands.convert import describe
from eocore.config import load_config
from eocore.errors import CheckpointError, ConfigError
from eocore.export.adapter import adapter_config as peft_config
from eocore.export.adapter import saved_modules
from eocore.export.convert import Choices, convert
from eocore.export.hf import write_checkpoint
from eocore.export.verify import compare, examine
from eocore.models.freeze import trainable_names
from eocore.registry import TASKS

SAM_CHOICES = {"fusion": "mutual_attention", "grounding_fusion": "gated"}


@pytest.fixture(scope="module")
def config_file(make_config: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config of a tiny model with LoRA in its language model, of which fusion and heads are trained too."""
    folder = tmp_path_factory.mktemp("config")
    sizes = make_config(vocab_size=8, **SAM_CHOICES)
    model = {name: getattr(sizes, name).to_dict() for name in ("vision_config", "text_config", "sam_config")}
    corpus = folder / "vqa.json"
    corpus.write_text(json.dumps([{"conversations": [{"from": "human", "value": "<image>\nWhere is the water?"}]}]))
    task = {
        "type": "EarthMindTask",
        "model": {**model, **SAM_CHOICES},
        "tokenizer": {"type": "TrainedTokenizer", "path": str(folder / "tokenizer"), "corpus": [str(corpus)], "vocab_size": 300},
        "processor": {"max_tiles": 2},
        "data": {
            "type": "Mixture",
            "parts": [{"name": "vqa", "weight": 2.0, "data": {"type": "LlavaDataset", "annotations": str(corpus)}}],
        },
        "trainable": ["fusion", "seg_head.projector", "seg_head.gate"],
        "lora": {"rank": 2, "alpha": 8, "dropout": 0.1, "target_modules": ["q_proj", "down_proj"]},
    }
    path = folder / "tiny_lora.py"
    path.write_text(f"seed = 0\nsystems = ['earthmind']\ntask = {task!r}\n")
    return path


@pytest.fixture(scope="module")
def trained(config_file: Path) -> Any:
    """The task as training leaves it: its adapters and heads have moved. The frozen parts, else pretrained, come from one seed."""
    torch.manual_seed(3)
    task = TASKS.build(dict(load_config(config_file, trust=True).task))
    with torch.no_grad():
        for name in trainable_names(task):
            task.get_parameter(name).normal_(std=0.3)
    return task


@pytest.fixture(scope="module")
def checkpoint(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "trainable.safetensors"
    save_file({name: trained.get_parameter(name).detach().contiguous() for name in trainable_names(trained)}, path)
    return path


@pytest.fixture(scope="module")
def converted(config_file: Path, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    out = tmp_path_factory.mktemp("converted") / "model"
    torch.manual_seed(3)
    summary = convert(load_config(config_file, trust=True), checkpoint, out_dir=out, choices=Choices())
    return out, summary


def test_conversion_is_verified_and_summed_up(converted: tuple[Path, Any]) -> None:
    out, summary = converted
    assert summary.num_merged == 4  # two targets in two layers
    assert set(summary.differences) >= {"logits", "mask_logits", "vision_tokens", "input_ids", "tiles"}
    assert max(summary.differences.values()) <= 1e-4
    assert summary.files == {path.name: path.stat().st_size for path in out.iterdir()}


def test_merged_weights_compute_what_the_adapters_computed(converted: tuple[Path, Any], trained: Any) -> None:
    from earthmind.model.modeling_earthmind import EarthMindForConditionalGeneration

    trained.model.eval()
    model = EarthMindForConditionalGeneration.from_pretrained(converted[0])
    with torch.no_grad():
        before, after = parity_outputs(trained.model, trained.processor), parity_outputs(model, trained.processor)
    for name in ("logits", "mask_logits", "vision_tokens"):
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-4)


def test_file_holds_every_weight_and_no_adapter(converted: tuple[Path, Any], trained: Any) -> None:
    weights = load_file(converted[0] / "model.safetensors")
    assert not [name for name in weights if "lora" in name or "base_layer" in name]
    for name in ("fusion.queries", "seg_head.gate.weight", "seg_head.projector.2.bias"):
        assert torch.equal(weights[name], trained.model.get_parameter(name))
    plain = {name.replace(".base_layer", "") for name in trained.model.state_dict() if "lora_" not in name}
    assert set(weights) == plain - {"language_model.lm_head.weight"}  # tied to the embedding


def test_settings_that_end_an_answer_are_saved(converted: tuple[Path, Any], trained: Any) -> None:
    saved = json.loads((converted[0] / "generation_config.json").read_text())
    words = trained.processor.tokenizer
    assert saved["do_sample"] is False and saved["pad_token_id"] == words.pad_token_id
    assert saved["eos_token_id"] == sorted([words.eos_token_id, words.convert_tokens_to_ids("<|end|>")])
    config = json.loads((converted[0] / "config.json").read_text())
    assert config["seg_token_id"] == words.convert_tokens_to_ids("[SEG]")
    assert config["auto_map"] == {name: target for name, target in AUTO_MAP.items() if name != "AutoProcessor"}


def test_card_tells_data_and_config(converted: tuple[Path, Any]) -> None:
    card = (converted[0] / "README.md").read_text()
    assert "| vqa | LlavaDataset | 2 |" in card and "`tiny_lora.py`, resolved:" in card and "LoRA updates of 4 layers are merged" in card
    assert "text=question, tokenizer=tokenizer)" in card and "<image>\\nPlease segment" in card


def test_parity_check_sees_every_part(make_tiny: Callable[..., Any]) -> None:
    """A change of any weight the answers depend on shows in the parity check; else verification could miss a broken part."""
    made = make_tiny(grounding_fusion="gated", processor={"max_tiles": 2})
    with torch.no_grad():
        before = parity_outputs(made.model, made.processor)
        for part in (
            "vision_tower",
            "projector",
            "fusion",
            "language_model",
            "seg_head.projector",
            "seg_head.sam.mask_decoder",
            "seg_head.gate",
        ):
            module = made.model.get_submodule(part)
            kept = [parameter.clone() for parameter in module.parameters()]
            for parameter in module.parameters():
                parameter.mul_(1.5)
            after = parity_outputs(made.model, made.processor)
            assert any(not torch.equal(before[name], after[name]) for name in before), part
            for parameter, value in zip(module.parameters(), kept, strict=True):
                parameter.copy_(value)


def test_parity_check_shows_what_the_processor_can_show(make_tiny: Callable[..., Any]) -> None:
    wide = {"views": [["B04", "zero", "ratio:B08/B11", "B02"]], "stretch": {"method": "percentile", "low": 2, "high": 98}}
    made = make_tiny(num_channels=4, processor={"presentation": {"multispectral": wide, "sar": {**wide, "views": [["VV", "VH", "zero"]]}}})
    with torch.no_grad():
        outputs = parity_outputs(made.model, made.processor)
    assert outputs["tiles"].shape[:2] == (3, 4)  # rgb and multispectral, then multispectral alone; SAR has three channels here
    assert outputs["tiles"][1, 1].max() == 0 and outputs["tiles"][1, 2].max() > 0


def test_other_processor_settings_are_a_difference(make_tiny: Callable[..., Any]) -> None:
    made = make_tiny()
    task = SimpleNamespace(model=made.model, processor=made.processor)
    expected = examine(pack(task))
    stretched = make_tiny(
        processor={"presentation": {"sar": {"views": [["VV", "VH", "zero"]], "stretch": {"method": "range", "low": -40, "high": 0}}}}
    )
    found = examine(replace(pack(task), processor=stretched.processor))
    with pytest.raises(CheckpointError, match="computes something else"):
        compare(found, expected, folder=Path("out"))


def test_half_precision_answers(config_file: Path, checkpoint: Path, tmp_path: Path) -> None:
    from earthmind.model.modeling_earthmind import EarthMindForConditionalGeneration

    torch.manual_seed(3)
    out = tmp_path / "half"
    convert(load_config(config_file, trust=True), checkpoint, out_dir=out, choices=Choices(dtype="bfloat16", verify=False))
    weights = load_file(out / "model.safetensors")
    assert {value.dtype for name, value in weights.items() if "positional_embedding" not in name} == {torch.bfloat16}
    model = EarthMindForConditionalGeneration.from_pretrained(out)
    assert model.dtype == torch.bfloat16
    model.generation_config.sequence_bias = [[[model.config.seg_token_id], 1e4]]
    picture = torch.randint(0, 256, (50, 70, 3), dtype=torch.uint8).numpy()
    answer = model.predict({"rgb": picture}, "Please segment it.", max_new_tokens=2)
    assert answer.text == "[SEG][SEG]" and answer.masks.shape == (2, 50, 70) and answer.mask_logits.isfinite().all()


@pytest.fixture
def tool(repo_root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("convert_to_hf", repo_root / "tools" / "convert_to_hf.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tool_says_what_is_wrong(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        sys, "argv", ["convert_to_hf.py", str(tmp_path / "none.py"), "--pth-model", "x", "--save-path", str(tmp_path / "out")]
    )
    assert tool.COMMAND() == 1
    shown = capsys.readouterr().err
    assert shown.startswith("ConfigError: config ") and "does not exist" in shown


def test_summary_names_files_and_differences(converted: tuple[Path, Any]) -> None:
    text = describe(converted[1], converted[0])
    assert "LoRA merged in 4 layers" in text and "model.safetensors" in text and "all weights equal, largest differences:" in text
    assert "(--no-verify)" in describe(replace(converted[1], differences={}), converted[0])


def adapter_config(config_file: Path, base: Path, *, tied: bool, **task: Any) -> Config:
    """A config of a training with LoRA that begins with the folder `base`, which is written first: a model drawn at random."""
    config = load_config(config_file, trust=True)
    plain = dict(config.task) | {"trainable": ["*"], "lora": None}
    plain["model"] = {**config.task.model, "text_config": {**config.task.model.text_config, "tie_word_embeddings": tied}}
    torch.manual_seed(4)
    write_checkpoint(pack(TASKS.build(plain)), base, card="")
    changes = {
        "model": {"pretrained": str(base)},
        "tokenizer": {"type": "PretrainedTokenizer", "path": str(base)},
        "trainable": ["projector", "fusion", "seg_head.projector", "seg_head.gate", "seg_head.sam.mask_decoder"],
        "trainable_tokens": ["[SEG]"],
    }
    for name, value in {**changes, **task}.items():
        config.task[name] = value  # whole, where `update` would merge
    return config


def moved(config: Config, path: Path) -> Path:
    """Weights of a training of that config: all that trains has moved."""
    torch.manual_seed(5)
    task = TASKS.build(dict(config.task))
    weights = {name: value + 0.05 * torch.randn_like(value) for name, value in task.named_parameters() if value.requires_grad}
    save_file({name: value.detach().contiguous() for name, value in weights.items()}, path)
    return path


@pytest.mark.parametrize(
    ("tied", "task"),
    [
        (True, {}),
        pytest.param(False, {"lora": {"rank": 4, "variants": ["dora", "rslora"]}}, marks=pytest.mark.slow),
        pytest.param(True, {"lora": {"rank": 4, "alpha": 8}, "quantization": {"bits": 4}}, marks=pytest.mark.slow),
    ],
)
def test_an_adapter_alone_on_its_base_is_the_trained_model(tied: bool, task: Any, config_file: Path, tmp_path: Path) -> None:
    """`PeftModel.from_pretrained` in a process without this repository; LoRA as it stands and merged, and all else that was trained."""
    if "quantization" in task:
        pytest.importorskip("bitsandbytes")
    config = adapter_config(config_file, tmp_path / "base", tied=tied, **task)
    checkpoint = moved(config, tmp_path / "trained.safetensors")
    summary = convert(config, checkpoint, out_dir=tmp_path / "adapter", choices=Choices(adapter_only=True))
    assert len(summary.differences) == 2 * len(parity_names(summary)) and max(summary.differences.values()) <= 1e-5
    assert "LoRA of" in describe(summary, tmp_path / "adapter")
    settings = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert {"fusion", "projector", "seg_head.gate", "seg_head.projector", "seg_head.sam.mask_decoder"} == set(settings["modules_to_save"])
    assert len(settings["trainable_token_indices"]) == 2, "a head that is the embedding again is named too"
    assert not any(path.name.startswith("model") and path.suffix == ".safetensors" for path in (tmp_path / "adapter").iterdir())


def parity_names(summary: Any) -> set[str]:
    return {name.removesuffix(", merged") for name in summary.differences}


def test_an_adapter_needs_a_base_and_lora(config_file: Path, checkpoint: Path, tmp_path: Path) -> None:
    def refused(config: Config, **choices: Any) -> str:
        with pytest.raises(ConfigError) as error:
            convert(config, checkpoint, out_dir=tmp_path / "adapter", choices=Choices(adapter_only=True, **choices))
        return str(error.value)

    config = load_config(config_file, trust=True)
    assert "task.model.pretrained is not set: the training began with weights drawn at random" in refused(config)
    assert "--dtype bfloat16 and --adapter-only" in refused(config, dtype="bfloat16")
    config.task.model = {"pretrained": str(tmp_path / "gone")}
    assert "is no folder; an adapter is made for its base" in refused(config)
    with pytest.raises(ConfigError, match=r"task\.lora is not set: there is no adapter to write"):
        peft_config(nn.Linear(2, 2), tmp_path)


def test_modules_are_saved_whole_where_peft_means_no_other() -> None:
    """peft takes a name for every module whose name ends with it."""
    part = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)})
    model = nn.ModuleDict(
        {"projector": part, "head": nn.ModuleDict({"projector": nn.Sequential(nn.Linear(2, 2)), "rest": nn.Linear(2, 2)})}
    )
    model.requires_grad_(False)
    model["projector"].requires_grad_(True)
    assert saved_modules(model) == ["projector.a", "projector.b"], "the head's projector was not trained"
    model["head"]["projector"].requires_grad_(True)
    assert saved_modules(model) == ["head.projector", "projector"]
    model["projector"]["a"].weight.requires_grad_(False)
    assert saved_modules(model) == ["head.projector", "projector.a", "projector.b"], "its bias was trained"
