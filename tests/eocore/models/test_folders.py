"""Model folders from untrusted hands: nothing in them runs, nothing is fetched, nothing is unpickled."""

import json
import logging
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import AutoTokenizer, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
from transformers.utils.logging import enable_progress_bar

from eocore.checkpoints.weight_files import open_weights
from eocore.errors import CheckpointError
from eocore.models.folders import INDEX, load_model, load_tokenizer


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Any connection fails the test."""
    asked: list[Any] = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: asked.append(address))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **choices: asked.append(arguments) or [])
    yield
    assert asked == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny language model with a tokenizer, and Python files that would leave a file behind."""
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1}
    Qwen2ForCausalLM(Qwen2Config(vocab_size=16, **sizes)).save_pretrained(tmp_path / "model")
    PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE())).save_pretrained(tmp_path / "model")
    for name in ("modeling_harm.py", "tokenization_harm.py"):
        (tmp_path / "model" / name).write_text(f"open({str(tmp_path / 'it_ran')!r}, 'w')\nclass Harm: pass\n")
    return tmp_path / "model"


@pytest.fixture
def change(folder: Path) -> Callable[..., None]:
    """Adds fields to a JSON file of the folder."""

    def set_fields(file: str, **fields: Any) -> None:
        path = folder / file
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))

    return set_fields


def test_a_good_folder_is_loaded(folder: Path) -> None:
    assert load_model(Qwen2ForCausalLM, folder).config.vocab_size == 16
    assert load_tokenizer(folder).encode("") == []


def test_code_in_the_folder_is_not_run(folder: Path, change: Callable[..., None]) -> None:
    change("config.json", auto_map={"AutoConfig": "modeling_harm.Harm", "AutoModelForCausalLM": "modeling_harm.Harm"})
    change("tokenizer_config.json", auto_map={"AutoTokenizer": ["tokenization_harm.Harm", None]}, tokenizer_class="HarmTokenizer")
    load_model(Qwen2ForCausalLM, folder)
    load_tokenizer(folder)
    assert not (folder.parent / "it_ran").exists()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"_attn_implementation_internal": "user/repo"}, r"_attn_implementation_internal is 'user/repo', which fetches a kernel"),
        ({"attn_implementation": "user/repo:kernel"}, "attn_implementation is 'user/repo:kernel', which fetches a kernel"),
        ({"text_config": {"_attn_implementation": "user/repo"}}, r"text_config\._attn_implementation is 'user/repo'"),
        ({"auto_map": {"AutoConfig": "user/repo--harm.Harm"}}, r"auto_map\.AutoConfig is 'user/repo--harm.Harm', which fetches code"),
        ({"trust_remote_code": True}, "trust_remote_code is 'True', which asks to run code from outside"),
    ],
)
def test_configs_that_ask_for_code_from_elsewhere_are_refused(
    folder: Path, change: Callable[..., None], fields: dict[str, Any], message: str
) -> None:
    change("config.json", **fields)
    with pytest.raises(CheckpointError, match=rf"config\.json: {message}.*nothing was loaded"):
        load_model(Qwen2ForCausalLM, folder)


def test_another_kind_of_model_is_refused(folder: Path, change: Callable[..., None]) -> None:
    change("config.json", model_type="harm")
    with pytest.raises(CheckpointError, match="holds a model of type 'harm', expected 'qwen2'"):
        load_model(Qwen2ForCausalLM, folder)


def test_pickled_weights_are_not_loaded(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"holds no \.safetensors weights .*pickled weights can run code and are not loaded"):
        load_model(Qwen2ForCausalLM, folder)


class Payload:
    """Writes a file when it is unpickled by the ordinary means."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("place", ["value", "key", "nested"])
def test_a_weight_file_with_code_is_refused_before_it_runs(tmp_path: Path, place: str) -> None:
    harm = Payload(tmp_path / "it_ran")
    content = {"value": {"w": torch.ones(2), "x": harm}, "key": {"w": torch.ones(2), harm: 1}, "nested": {"state_dict": {"w": [harm]}}}
    torch.save(content[place], tmp_path / "x.pth")
    torch.load(tmp_path / "x.pth", weights_only=False)
    assert (tmp_path / "it_ran").exists(), "the payload must be a live one"
    (tmp_path / "it_ran").unlink()
    with pytest.raises(CheckpointError, match="holds more than tensors"):
        open_weights(tmp_path / "x.pth")
    assert not (tmp_path / "it_ran").exists()


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "a/../../b.safetensors", "..", "a\\b", 3, None])
def test_shards_outside_the_folder_are_refused(folder: Path, name: Any) -> None:
    (folder / "model.safetensors").rename(folder.parent / "secret.safetensors")
    (folder / INDEX).write_text(json.dumps({"weight_map": {"lm_head.weight": name}}))
    for load in (lambda: load_model(Qwen2ForCausalLM, folder), lambda: open_weights(folder)):
        with pytest.raises(CheckpointError, match=r"does not lie beside it|is not there|cannot be loaded"):
            load()


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"weight_map": 3}', '{"weight_map": {}}', "\xff"])
def test_broken_json_is_named(folder: Path, text: str) -> None:
    (folder / INDEX).write_bytes(text.encode("latin-1"))
    with pytest.raises(CheckpointError, match=r"index\.json: (no usable JSON|holds list|no table 'weight_map')"):
        load_model(Qwen2ForCausalLM, folder)


@pytest.mark.parametrize("damage", ["cut", "empty", "long_header", "no_header"])
def test_damaged_weights_are_named(folder: Path, damage: str) -> None:
    path = folder / "model.safetensors"
    raw = path.read_bytes()
    path.write_bytes({"cut": raw[:-9], "empty": b"", "long_header": struct.pack("<Q", 2**60) + raw[8:], "no_header": raw[:3]}[damage])
    with pytest.raises(CheckpointError, match=r"model cannot be loaded"):
        load_model(Qwen2ForCausalLM, folder)


def test_a_name_on_the_hub_is_no_folder() -> None:
    with pytest.raises(CheckpointError, match="nothing is downloaded"):
        load_model(Qwen2ForCausalLM, Path("Qwen/Qwen2-0.5B"))
    with pytest.raises(CheckpointError, match="nothing is downloaded"):
        load_tokenizer(Path("Qwen/Qwen2-0.5B"))


def test_a_tokenizer_beside_a_model_of_our_own_kind_is_read_without_a_warning(folder: Path) -> None:
    change = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**change, "model_type": "earthmind"}))
    told: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("transformers").addHandler(handler)
    try:
        assert load_tokenizer(folder).encode("") == []
        assert not told
        AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        assert "model of type" in told[0], "what transformers itself says of such a folder"
    finally:
        logging.getLogger("transformers").removeHandler(handler)


def test_bars_of_a_library_stay_out_of_logs(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    enable_progress_bar()
    load_model(Qwen2ForCausalLM, folder)
    assert "Loading weights" not in capfd.readouterr().err


def test_a_damaged_tokenizer_is_named(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match="its tokenizer cannot be loaded"):
        load_tokenizer(folder)
