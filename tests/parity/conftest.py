"""External checkpoints to import, as transformers itself saves them, and the public command that imports them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import forked
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    InternVLConfig,
    InternVLForConditionalGeneration,
    PreTrainedTokenizerFast,
    Sam2VideoConfig,
    Sam2VideoMaskDecoderConfig,
    Sam2VideoModel,
)

from earthmind.model.modeling_earthmind import EarthMindForConditionalGeneration
from earthmind.model.special_tokens import IMAGE_END, IMAGE_START, IMAGE_TOKEN

WORDS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", IMAGE_START, IMAGE_END, IMAGE_TOKEN)
"""Special tokens of the upstream InternVL tokenizers that the model reads; [SEG] and the others of EarthMind are not among them."""


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
def import_model(repo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., EarthMindForConditionalGeneration]:
    """The model that tools/import_weights.py makes of what its arguments name."""

    def run(*arguments: str | Path) -> EarthMindForConditionalGeneration:
        out = tmp_path_factory.mktemp("imported") / "model"
        command = [repo_root / "tools" / "import_weights.py", *arguments, "--out", out]
        forked.run(command, cwd=repo_root, environment={**os.environ, "PYTHONPATH": str(repo_root / "projects")}).check_returncode()
        model, report = EarthMindForConditionalGeneration.from_pretrained(out, local_files_only=True, output_loading_info=True)
        assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
        return model.eval().requires_grad_(False)

    return run


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


@pytest.fixture(scope="session")
def sam2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small video model of SAM 2, of the sizes that facebook/sam2.1-hiera-* do not have."""
    folder = tmp_path_factory.mktemp("sam2") / "sam2-tiny-hf"
    backbone: dict[str, Any] = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 8,
        "image_size": [64, 64],
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [8, 16, 32, 64],
        "num_attention_heads_per_stage": [1, 1, 2, 2],
        "window_size_per_stage": [8, 4, 4, 2],
        "global_attention_blocks": [3],
    }
    vision: dict[str, Any] = {
        "backbone_config": backbone,
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        "fpn_hidden_size": 16,
    }
    decoder = Sam2VideoMaskDecoderConfig(hidden_size=16, mlp_dim=32, num_attention_heads=2, iou_head_hidden_dim=16)
    memory = {"memory_attention_hidden_size": 16, "memory_encoder_hidden_size": 16, "memory_encoder_output_channels": 8}
    config = Sam2VideoConfig(
        vision_config=vision, prompt_encoder_config={"hidden_size": 16, "image_size": 64}, mask_decoder_config=decoder, **memory
    )
    model = Sam2VideoModel(config)
    random_weights(model, seed=6)
    model.save_pretrained(folder)
    return folder
