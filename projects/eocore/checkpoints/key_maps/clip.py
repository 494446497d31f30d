"""CLIP: names of OpenCLIP and of transformers, and the sizes that OpenCLIP's tensors tell."""

import re
from collections.abc import Mapping
from typing import Any

from eocore.checkpoints.key_map import Rule, rename, scalar, split, transpose, unused
from eocore.checkpoints.weight_files import Headers
from eocore.errors import CheckpointError

HEAD_WIDTH = 64
"""Of the attention, in every released CLIP with a ViT. Source: Radford et al. 2021 (arXiv 2103.00020), table 19 and 20."""
VISION, TEXT = "vision_model", "text_model"
HEAD_FIELDS = ("head_width", "heads")


def transformer_rules(source: str, ours: str) -> list[Rule]:
    """The layers of one tower.

    Args:
        source: what stands before `resblocks` in OpenCLIP.
        ours: the tower in transformers.
    """
    there, here = f"{source}resblocks.{{i}}", f"{ours}.encoder.layers.{{i}}"
    attention = [f"{here}.self_attn.{part}_proj" for part in ("q", "k", "v")]
    return [
        split(f"{there}.attn.in_proj_weight", [f"{name}.weight" for name in attention]),
        split(f"{there}.attn.in_proj_bias", [f"{name}.bias" for name in attention]),
        rename(f"{there}.attn.out_proj.{{leaf}}", f"{here}.self_attn.out_proj.{{leaf}}"),
        rename(f"{there}.ln_1.{{leaf}}", f"{here}.layer_norm1.{{leaf}}"),
        rename(f"{there}.ln_2.{{leaf}}", f"{here}.layer_norm2.{{leaf}}"),
        rename(f"{there}.mlp.c_fc.{{leaf}}", f"{here}.mlp.fc1.{{leaf}}"),
        rename(f"{there}.mlp.c_proj.{{leaf}}", f"{here}.mlp.fc2.{{leaf}}"),
    ]


def vision_rules(prefix: str = "visual.") -> list[Rule]:
    """OpenCLIP's vision tower, whose names begin with `prefix`."""
    return [
        rename(f"{prefix}class_embedding", f"{VISION}.embeddings.class_embedding"),
        rename(f"{prefix}conv1.weight", f"{VISION}.embeddings.patch_embedding.weight"),
        rename(f"{prefix}positional_embedding", f"{VISION}.embeddings.position_embedding.weight"),
        rename(f"{prefix}ln_pre.{{leaf}}", f"{VISION}.pre_layrnorm.{{leaf}}"),
        *transformer_rules(f"{prefix}transformer.", VISION),
        rename(f"{prefix}ln_post.{{leaf}}", f"{VISION}.post_layernorm.{{leaf}}"),
        transpose(f"{prefix}proj", "visual_projection.weight"),
    ]


def text_rules(prefix: str = "") -> list[Rule]:
    """OpenCLIP's text tower, whose names begin with `prefix` ("" in its first layout, "text." in its later one)."""
    return [
        rename(f"{prefix}token_embedding.weight", f"{TEXT}.embeddings.token_embedding.weight"),
        rename(f"{prefix}positional_embedding", f"{TEXT}.embeddings.position_embedding.weight"),
        *transformer_rules(f"{prefix}transformer.", TEXT),
        rename(f"{prefix}ln_final.{{leaf}}", f"{TEXT}.final_layer_norm.{{leaf}}"),
        transpose(f"{prefix}text_projection", "text_projection.weight"),
        unused(f"{prefix}attn_mask", "causal mask"),
    ]


def open_clip_rules(headers: Headers) -> list[Rule]:
    """Rules for an OpenCLIP state, by whether its text tower stands below `text.`."""
    below = any(name.startswith("text.") for name in headers)
    return [
        *vision_rules(),
        *text_rules("text." if below else ""),
        scalar("logit_scale", "logit_scale"),
        scalar("logit_bias", "logit_bias"),
    ]


TRANSFORMERS_RULES = [
    unused("{rest}.position_ids", "numbers of positions"),
    scalar("logit_scale", "logit_scale"),
    scalar("logit_bias", "logit_bias"),
    rename("{rest}", "{rest}"),
]
"""transformers' CLIP: the same names."""


def open_clip_sizes(headers: Headers, config: Mapping[str, Any]) -> dict[str, Any]:
    """`projection_dim`, `vision_config` and `text_config` of transformers' CLIP for an OpenCLIP state.

    Args:
        headers: of its tensors.
        config: open_clip_config.json's `model_cfg`; {} = the tensors alone, with heads of `HEAD_WIDTH` and GELU.

    Raises:
        CheckpointError: a tensor that tells a size is missing, or the tower is no ViT.
    """
    text = "text." if any(name.startswith("text.") for name in headers) else ""
    conv, token = _shape(headers, "visual.conv1.weight"), _shape(headers, f"{text}token_embedding.weight")
    positions, context = _shape(headers, "visual.positional_embedding"), _shape(headers, f"{text}positional_embedding")
    side = round((positions[0] - 1) ** 0.5)
    if len(conv) != 4 or side**2 + 1 != positions[0]:
        raise CheckpointError(f"the vision tower has {positions[0]} positions, expected a square and one. It is no ViT of CLIP.")
    act = "quick_gelu" if config.get("quick_gelu") else "gelu"
    vision, words = config.get("vision_cfg", {}), config.get("text_cfg", {})
    return {
        "projection_dim": _shape(headers, "visual.proj")[1],
        "vision_config": {
            **_tower(headers, "visual.transformer.", width=conv[0], heads=conv[0] // vision.get("head_width", HEAD_WIDTH)),
            "patch_size": conv[2],
            "image_size": side * conv[2],
            "num_channels": conv[1],
            "hidden_act": act,
        },
        "text_config": {
            **_tower(headers, f"{text}transformer.", width=token[1], heads=words.get("heads", token[1] // HEAD_WIDTH)),
            "vocab_size": token[0],
            "max_position_embeddings": context[0],
            "hidden_act": act,
        },
    }


def _tower(headers: Headers, prefix: str, *, width: int, heads: int) -> dict[str, Any]:
    pattern = re.compile(re.escape(prefix) + r"resblocks\.(\d+)\.")
    layers = {int(match[1]) for name in headers if (match := pattern.match(name))}
    inner = _shape(headers, f"{prefix}resblocks.0.mlp.c_fc.weight")[0]
    return {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": len(layers),
        "num_attention_heads": max(heads, 1),
    }


def _shape(headers: Headers, name: str) -> tuple[int, ...]:
    if name not in headers:
        raise CheckpointError(f"no tensor {name}, which tells a size: this is no CLIP with a ViT of OpenCLIP, or the file is incomplete.")
    return headers[name].shape
