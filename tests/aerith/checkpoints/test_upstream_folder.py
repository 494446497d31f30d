"""The promised folders: what was written is read bit for bit, and what does not fit is refused by name."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from aerith_models import MODEL, PARTS
from peft import PeftModel
from safetensors.torch import load_file as load_safetensors
from safetensors.torch import save_file

from aerith.checkpoints.upstream_folder import load_adapter, load_file, read_upstream, write_upstream
from aerith.predictor import AerithPredictor
from eocore.errors import CheckpointError, ConfigError
from eocore.models.folders import load_model
from eocore.models.lora import lora_names, merge_lora
from eocore.predict.text_answers import TrainingChatPredictor
from eocore.system import PredictorOptions, system_of_model

HEAD = "projection_head.pth"
ADAPTER = Path("llama_lora_adapter", "adapter_model.safetensors")


@pytest.fixture(scope="module")
def trained(make_task: Callable[..., Any]) -> Any:
    """A task whose LoRA adds something."""
    torch.manual_seed(4)
    made = make_task()
    with torch.no_grad():
        for name in lora_names(made):
            made.get_parameter(name).normal_(std=0.3)
    made.eval()
    return made


@pytest.fixture(scope="module")
def written(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("promised") / "aerithvlm_finetuned"
    write_upstream(trained.model, trained.processor, out=folder)
    return folder


@pytest.fixture
def copied(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "copy"))


def questions(picture: np.ndarray) -> list[tuple[dict[str, Any], str]]:
    return [({"rgb": picture}, "[VQA] Is there water?"), ({"rgb": 255 - picture}, "[CLS] What?"), ({}, "What is SAR?")]


def test_the_promised_files_are_there(written: Path) -> None:
    names = {path.name for path in written.iterdir()}
    assert {"vision_encoder.pth", HEAD, "attention_pooler.pth", "llama_lora_adapter", "language_model", "config.json"} <= names
    assert set(torch.load(written / HEAD, weights_only=True)) == {"vision.towers.head.weight", "vision.towers.head.bias"}
    assert not any(".base_layer." in name or "lora" in name for name in load_safetensors(written / "language_model/model.safetensors"))


def test_what_was_written_is_read_bit_for_bit(trained: Any, written: Path, tmp_path: Path) -> None:
    model = read_upstream(written, merge=False)
    expected, found = trained.model.state_dict(), model.state_dict()
    assert list(expected) == list(found)
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    assert not model.training and not any(value.is_meta for value in (*model.parameters(), *model.buffers()))
    write_upstream(model, trained.processor, out=tmp_path / "again")
    for path in (HEAD, "vision_encoder.pth", "attention_pooler.pth"):
        first, second = (torch.load(folder / path, weights_only=True) for folder in (written, tmp_path / "again"))
        assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert (written / ADAPTER).read_bytes() == (tmp_path / "again" / ADAPTER).read_bytes()


@pytest.mark.parametrize("kind", ["tied", "dora", "bfloat16", "three levels"])
def test_other_models_are_read_bit_for_bit(kind: str, make_task: Callable[..., Any], tmp_path: Path) -> None:
    model = {**MODEL, "parts": PARTS}
    if kind == "tied":
        model["text_config"] = {**MODEL["text_config"], "tie_word_embeddings": True}
    if kind == "three levels":
        model |= {"num_levels": 3, "num_queries": [3, 2, 1]}
    made = make_task(model=model, lora={"rank": 2, "alpha": 4, "dropout": 0.0, "variants": ["dora"] if kind == "dora" else []})
    with torch.no_grad():
        for name in lora_names(made):
            made.get_parameter(name).normal_(std=0.3)
    if kind == "bfloat16":
        made.model.bfloat16()
    write_upstream(made.model, made.processor, out=tmp_path / "folder")
    found, expected = read_upstream(tmp_path / "folder", merge=False), made.model.state_dict()
    assert list(expected) == list(found.state_dict())
    assert all(torch.equal(value, found.state_dict()[name]) for name, value in expected.items())
    assert (found.get_output_embeddings().weight is found.get_input_embeddings().weight) == (kind == "tied")


def test_it_answers_as_the_model_in_training_and_as_its_conversion(
    trained: Any, written: Path, picture: np.ndarray, tmp_path: Path
) -> None:
    options = PredictorOptions(device="cpu")
    assert system_of_model(written).name == "aerith"
    predictor = AerithPredictor(written, options)
    answers = predictor.chat(questions(picture), max_new_tokens=8)
    assert len(set(answers)) > 1
    model, processor = predictor.parts
    model.save_pretrained(tmp_path / "converted")
    processor.save_pretrained(tmp_path / "converted")
    assert AerithPredictor(tmp_path / "converted", options).chat(questions(picture), max_new_tokens=8) == answers
    assert TrainingChatPredictor(trained.model, trained.processor, options=options).chat(questions(picture), max_new_tokens=8) == answers


def test_the_base_without_the_adapter_is_another_model(trained: Any, copied: Path, picture: np.ndarray) -> None:
    with_adapter = AerithPredictor(copied, PredictorOptions(device="cpu")).chat(questions(picture), max_new_tokens=8)
    shutil.rmtree(copied / "llama_lora_adapter")
    model = read_upstream(copied)
    assert lora_names(model) == []
    assert AerithPredictor(copied, PredictorOptions(device="cpu")).chat(questions(picture), max_new_tokens=8) != with_adapter


def test_a_merged_model_is_written_whole(written: Path, trained: Any, tmp_path: Path) -> None:
    merged = read_upstream(written)
    write_upstream(merged, trained.processor, out=tmp_path / "merged")
    assert not (tmp_path / "merged" / "llama_lora_adapter").exists()
    found = read_upstream(tmp_path / "merged").state_dict()
    assert all(torch.equal(value, found[name]) for name, value in merged.state_dict().items())


def test_head_and_adapter_are_read_alone(trained: Any, written: Path, make_task: Callable[..., Any]) -> None:
    torch.manual_seed(9)
    other = make_task(lora=None).model
    assert not torch.equal(other.vision.towers.head.weight, trained.model.vision.towers.head.weight)
    load_file(other, written / HEAD)
    assert torch.equal(other.vision.towers.head.weight, trained.model.vision.towers.head.weight)
    names = load_adapter(other, written / "llama_lora_adapter")
    inside, expected = other.language_model, trained.model.language_model
    assert names == lora_names(expected)
    assert all(torch.equal(inside.get_parameter(name), expected.get_parameter(name)) for name in names)
    with pytest.raises(ConfigError, match="has LoRA already"):
        load_adapter(other, written / "llama_lora_adapter")


def test_a_training_begins_with_the_head(written: Path, trained: Any, make_task: Callable[..., Any], make_fields: Any) -> None:
    model = {**make_fields()["model"], "parts": {**PARTS, "head": str(written / HEAD), "pooler": str(written / "attention_pooler.pth")}}
    found = make_task(model=model).model.vision
    assert torch.equal(found.towers.head.weight, trained.model.vision.towers.head.weight)
    assert torch.equal(found.pooler.queries, trained.model.vision.pooler.queries)


def test_peft_reads_the_adapter(written: Path, trained: Any) -> None:
    model = load_model(type(trained.model.language_model), written / "language_model")
    whole = PeftModel.from_pretrained(model, str(written / "llama_lora_adapter")).merge_and_unload().state_dict()
    ours = read_upstream(written, merge=False).language_model
    assert merge_lora(ours) == 14
    assert all(torch.equal(value, whole[name]) for name, value in ours.state_dict().items())


def test_names_below_the_module_are_read(copied: Path, trained: Any) -> None:
    state = {name.rpartition(".")[2]: value for name, value in torch.load(copied / HEAD, weights_only=True).items()}
    torch.save(state, copied / HEAD)
    assert torch.equal(read_upstream(copied).vision.towers.head.bias, trained.model.vision.towers.head.bias)


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("vision_encoder.pth", r"lacks vision_encoder\.pth"),
        ("config.json", r"has no config\.json of an Aerith model.* Put config\.json"),
        ("language_model", r"has no folder language_model/.*LLaMA-2-7B-Chat"),
        (str(ADAPTER), r"adapter_model\.safetensors does not exist"),
        ("llama_lora_adapter/adapter_config.json", r"adapter_config\.json: no usable JSON"),
    ],
)
def test_what_is_missing_is_said(copied: Path, gone: str, said: str) -> None:
    path = copied / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(CheckpointError, match=said):
        read_upstream(copied)


def test_other_shapes_and_names_are_refused(copied: Path, trained: Any) -> None:
    torch.save({"weight": torch.zeros(24, 31), "bias": torch.zeros(24)}, copied / HEAD)
    with pytest.raises(CheckpointError, match=r"projection_head\.pth does not fit.*\(24, 31\) in the file, \(24, 32\) in the model"):
        read_upstream(copied)
    torch.save({"weight": torch.zeros(24, 32), "scale": torch.zeros(24)}, copied / HEAD)
    with pytest.raises(CheckpointError, match=r"Missing: vision\.towers\.head\.bias\. Unknown: vision\.towers\.head\.scale"):
        read_upstream(copied)
    (copied / HEAD).rename(copied / "head.pth")
    with pytest.raises(CheckpointError, match=r"head\.pth: the name of the file says what it holds"):
        load_file(trained.model, copied / "head.pth")


def test_code_in_a_file_is_not_run(copied: Path) -> None:
    torch.save({"weight": Path("x")}, copied / HEAD)
    with pytest.raises(CheckpointError, match="holds more than tensors"):
        read_upstream(copied)


def test_another_kind_of_adapter_is_refused(copied: Path) -> None:
    path = copied / "llama_lora_adapter" / "adapter_config.json"
    settings = json.loads(path.read_text())
    for change, said in [({"peft_type": "IA3"}, "peft_type='IA3'"), ({"modules_to_save": ["lm_head"]}, r"modules_to_save=\['lm_head'\]")]:
        path.write_text(json.dumps({**settings, **change}))
        with pytest.raises(CheckpointError, match=rf"{said}.*expected LoRA of one rank"):
            read_upstream(copied)
    path.write_text(json.dumps({**settings, "r": 3}))
    with pytest.raises(CheckpointError, match=r"\(2, 32\) in the file, \(3, 32\) in the model"):
        read_upstream(copied)
    path.write_text(json.dumps(settings))
    weights = load_safetensors(copied / ADAPTER)
    save_file({**weights, "base_model.model.lm_head.weight": torch.zeros(2)}, copied / ADAPTER)
    with pytest.raises(CheckpointError, match=r"holds more than LoRA: base_model\.model\.lm_head\.weight"):
        read_upstream(copied)


def test_another_base_is_refused(copied: Path) -> None:
    path = copied / "config.json"
    config = json.loads(path.read_text())
    config["text_config"]["num_hidden_layers"] = 3
    path.write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"language_model: num_hidden_layers=2, expected 3"):
        read_upstream(copied)


def test_a_folder_in_use_is_left(written: Path, trained: Any) -> None:
    with pytest.raises(CheckpointError, match="holds a checkpoint, which would be lost"):
        write_upstream(trained.model, trained.processor, out=written)
