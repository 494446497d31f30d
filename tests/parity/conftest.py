"""A tiny InternVL as transformers itself builds and saves it; the models that other weights are put beside."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import InternVLConfig, InternVLForConditionalGeneration, PreTrainedTokenizerFast

from earthmind.model.prompting import IMAGE_END, IMAGE_START, IMAGE_TOKEN

WORDS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", IMAGE_START, IMAGE_END, IMAGE_TOKEN)
"""Special tokens of the published InternVL tokenizers that the model reads; [SEG] and the others of EarthMind are not among them."""


def _tokenizer() -> PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token=WORDS[0], eos_token=WORDS[2])
    tokenizer.add_special_tokens({"additional_special_tokens": list(WORDS[1:])})
    return tokenizer


def random_weights(model: torch.nn.Module, seed: int) -> None:
    """Every weight random and none zero, norms and layer scales around one."""
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            scales = parameter.ndim == 1 and ("norm" in name or "lambda" in name) and not name.endswith("bias")
            parameter.copy_(torch.randn(parameter.shape, generator=draws) * 0.2 + float(scales))


@pytest.fixture(scope="session")
def internvl_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model and tokenizer; tiles of 56 px give 4 tokens."""
    folder = tmp_path_factory.mktemp("internvl") / "InternVL-tiny-hf"
    tokenizer = _tokenizer()
    vision: dict[str, Any] = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "image_size": [56, 56],
        "attention_bias": True,
    }
    text: dict[str, Any] = {
        "model_type": "qwen2",
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": len(tokenizer),
        "tie_word_embeddings": False,
    }
    config = InternVLConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE_TOKEN),
        image_seq_length=4,
        tie_word_embeddings=False,
    )
    model = InternVLForConditionalGeneration(config)
    random_weights(model, seed=5)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
