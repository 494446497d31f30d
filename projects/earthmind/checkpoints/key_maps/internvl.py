"""InternVL in its original layout (`vision_model.*`, `mlp1.*`, `language_model.*`).

Names: OpenGVLab/InternVL2_5-*, modeling_intern_vit.py and modeling_internvl_chat.py; on our side `InternVLVisionModel` of transformers.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from eocore.checkpoints.key_map import KeyMap, Rule, rename, split
from eocore.checkpoints.key_maps.language import language_fields, language_rules
from eocore.checkpoints.weight_files import Headers
from eocore.errors import CheckpointError

LAYER, OUR_LAYER = "vision_model.encoder.layers.{i}.", "vision_tower.encoder.layer.{i}."
SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "image_size", "patch_size", "num_channels")
CHOICES = ("hidden_act", "layer_norm_eps", "norm_type", "initializer_range")
READ_AS = {"select_layer": -1, "ps_version": "v2"}
"""How the vision tower is read here: its last layer, pixel shuffle in the corrected order."""


def vision_rules() -> Iterator[Rule]:
    """Vision tower and projector."""
    for source, ours in (
        ("class_embedding", "cls_token"),
        ("position_embedding", "position_embeddings"),
        ("patch_embedding.{leaf}", "patch_embeddings.projection.{leaf}"),
    ):
        yield rename(f"vision_model.embeddings.{source}", f"vision_tower.embeddings.{ours}")
    yield split(f"{LAYER}attn.qkv.{{leaf}}", [f"{OUR_LAYER}attention.{letter}_proj.{{leaf}}" for letter in "qkv"])
    yield rename(f"{LAYER}attn.proj.{{leaf}}", f"{OUR_LAYER}attention.projection_layer.{{leaf}}")
    for letter in "qk":
        yield rename(f"{LAYER}attn.{letter}_norm.{{leaf}}", f"{OUR_LAYER}attention.{letter}_norm.{{leaf}}")
    yield rename(f"{LAYER}norm1.{{leaf}}", f"{OUR_LAYER}layernorm_before.{{leaf}}")
    yield rename(f"{LAYER}norm2.{{leaf}}", f"{OUR_LAYER}layernorm_after.{{leaf}}")
    yield rename(f"{LAYER}ls{{j}}", f"{OUR_LAYER}lambda_{{j}}")
    yield rename(f"{LAYER}mlp.fc{{j}}.{{leaf}}", f"{OUR_LAYER}mlp.fc{{j}}.{{leaf}}")
    for number, name in ((0, "layer_norm"), (1, "linear_1"), (3, "linear_2")):
        yield rename(f"mlp1.{number}.{{leaf}}", f"projector.{name}.{{leaf}}")


def internvl_rules(config: Mapping[str, Any]) -> list[Rule]:
    """All rules of the layout, by its config.json."""
    tied = bool(language_fields(config.get("llm_config", {}))["tie_word_embeddings"])
    return [*vision_rules(), *language_rules("language_model.", tied=tied)]


def internvl_map(config: Mapping[str, Any], headers: Headers) -> KeyMap:
    """Key map of a folder of the original layout."""
    return KeyMap("InternVL", internvl_rules(config))


def internvl_fields(config: Mapping[str, Any], headers: Headers) -> dict[str, Any]:
    """Fields of `EarthMindConfig` from the config.json of the original layout.

    Raises:
        CheckpointError: the vision tower is read in a way that is not known here, or a size is not stated.
    """
    vision = config.get("vision_config", {})
    missing = [f"vision_config.{name}" for name in SIZES if name not in vision] + ([] if "llm_config" in config else ["llm_config"])
    if missing:
        raise CheckpointError(f"config.json does not state {', '.join(missing)}, so sizes would be guessed. Take the file of the release.")
    for name, value in (READ_AS | {"force_image_size": vision["image_size"]}).items():
        if config.get(name) not in (None, value):
            raise CheckpointError(
                f"config.json says {name}={config[name]!r}, but vision tokens are made with {value!r} here: the language model would see "
                "others than it learned. Weights of this setting cannot be used."
            )
    choices = {name: vision[name] for name in (*SIZES, *CHOICES) if name in vision}
    return {
        "vision_config": choices
        | {
            "attention_bias": bool(vision.get("qkv_bias", False)),
            "use_qk_norm": bool(vision.get("qk_normalization", False)),
            "use_mean_pooling": True,  # leaves out transformers' last layer norm, which the upstream tower has not
        },
        "text_config": language_fields(config["llm_config"]),
        "downsample_ratio": config.get("downsample_ratio", 0.5),
    }
