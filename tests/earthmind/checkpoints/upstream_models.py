"""External checkpoints made of an upstream one: the same weights as the releases that it was trained from."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import Qwen2Config, Qwen2ForCausalLM, Sam2Model

SAM = "grounding_encoder.sam2_model."
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja", "added_tokens.json")


def read(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder with one file of weights."""
    return load_file(folder / "model.safetensors")


def write(folder: Path, tensors: Mapping[str, Tensor], config: Mapping[str, Any], *, tokenizer: Path | None = None) -> Path:
    """A folder as the hub has them."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(dict(tensors), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config))
    for name in TOKENIZER_FILES if tokenizer is not None else ():
        if (tokenizer / name).is_file():
            shutil.copy(tokenizer / name, folder / name)
    return folder


def config_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "config.json").read_text()))


def write_internvl(folder: Path, published: Path, *, rows: int | None = None, tokenizer: Path | None = None) -> Path:
    """The InternVL inside an upstream model, with the first `rows` rows of its vocabulary."""
    tensors = {name: value for name, value in read(published).items() if name.startswith(("vision_model.", "mlp1.", "language_model."))}
    config = config_of(published)
    for name in ("sam2", "img_context_token_id", "seg_token_id"):
        config.pop(name, None)
    if rows is not None:
        config["llm_config"] = {**config["llm_config"], "vocab_size": rows}
        for name in ("language_model.model.embed_tokens.weight", "language_model.lm_head.weight"):
            if name in tensors:
                tensors[name] = tensors[name][:rows].clone()
    return write(folder, tensors, {**config, "model_type": "internvl_chat"}, tokenizer=tokenizer)


def write_sam2(folder: Path, model: Any) -> Path:
    """SAM 2 as transformers saves it, with other weights than `model` has."""
    torch.manual_seed(7)
    sam = Sam2Model(model.config.sam_config)
    for parameter in sam.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    sam.save_pretrained(folder)
    return folder


def write_language(folder: Path, *, vocab_size: int, width: int = 32, layers: int = 3) -> Path:
    """A Qwen2 of its own."""
    torch.manual_seed(8)
    sizes = {"hidden_size": width, "num_hidden_layers": layers, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = Qwen2Config(**sizes, vocab_size=vocab_size, tie_word_embeddings=True, max_position_embeddings=512)
    Qwen2ForCausalLM(config).save_pretrained(folder)
    return folder


def training_state(published: Mapping[str, Tensor], *, rank: int) -> dict[str, Tensor]:
    """What the upstream training saves: trained parts under its names, and a LoRA update of two kinds of layers."""
    torch.manual_seed(9)
    text = "mllm.model.language_model.base_model.model."
    state = {f"mllm.model.{name}": value + 1 for name, value in published.items() if name.startswith("mlp1.")}
    state |= {name: value + 1 for name, value in published.items() if "mask_decoder" in name or name.startswith("text_hidden_fcs.")}
    for name, weight in ((name, weight) for name, weight in published.items() if name.startswith("language_model.")):
        layer = name.removeprefix("language_model.").removesuffix(".weight")
        if layer.endswith(("q_proj", "down_proj")) and name.endswith(".weight"):
            state[f"{text}{layer}.lora_A.weight"] = torch.randn(rank, weight.shape[1]) * 0.1
            state[f"{text}{layer}.lora_B.weight"] = torch.randn(weight.shape[0], rank) * 0.1
        elif layer.endswith("embed_tokens"):
            state[f"{text}{layer}.weight"] = weight * 2
    return state
