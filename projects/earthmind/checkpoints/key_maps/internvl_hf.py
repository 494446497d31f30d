"""InternVL in the layout of transformers itself (`InternVLForConditionalGeneration`; the hub's names end in `-hf`).

Vision tower and language model are the classes this project builds, so names differ by their prefix alone. The layout has two spellings:
that of the files (`language_model.model.*`, `vision_tower.*`, `language_model.lm_head.weight`; `save_pretrained` writes it), and that of
the modules in memory (`model.language_model.*`, `model.vision_tower.*`, `lm_head.weight`; a bare `state_dict()` has it).
Source: transformers, models/internvl/modeling_internvl.py and conversion_mapping.py ("llava").
"""

from collections.abc import Mapping
from typing import Any

from transformers import InternVLConfig

from eocore.checkpoints.key_map import KeyMap, rename
from eocore.checkpoints.weight_files import Headers
from eocore.errors import CheckpointError

RULES = (
    rename("vision_tower.{rest}", "vision_tower.{rest}"),
    rename("multi_modal_projector.{rest}", "projector.{rest}"),
    rename("language_model.model.{rest}", "language_model.model.{rest}"),
    rename("language_model.lm_head.weight", "language_model.lm_head.weight"),
    rename("model.vision_tower.{rest}", "vision_tower.{rest}"),
    rename("model.multi_modal_projector.{rest}", "projector.{rest}"),
    rename("model.language_model.{rest}", "language_model.model.{rest}"),
    rename("lm_head.weight", "language_model.lm_head.weight"),
)
INTERNVL_HF = KeyMap("InternVL of transformers", RULES)

HEADS = ("language_model.lm_head.weight", "lm_head.weight")
READ_AS = {"vision_feature_layer": -1, "vision_feature_select_strategy": "default"}
"""How this project reads the vision tower: its last layer, without the class token."""


def internvl_hf_config(config_json: Mapping[str, Any], headers: Headers) -> dict[str, Any]:
    """Fields of `EarthMindConfig` from the config.json of such a folder; whether embedding and head are one is seen from the weights.

    Raises:
        CheckpointError: the folder is of another model, or the vision tower is read in a way this project does not know.
    """
    if config_json.get("model_type") != "internvl":
        raise CheckpointError(
            f"config.json says model_type '{config_json.get('model_type')}'; InternVL folders of transformers say internvl. "
            "Give such a folder."
        )
    config = InternVLConfig.from_dict(dict(config_json))
    for field, value in READ_AS.items():
        if getattr(config, field) != value:
            raise CheckpointError(
                f"config.json says {field}={getattr(config, field)!r}, but vision tokens are taken with {value!r} here: the language model "
                "would see others than it learned. Weights of this setting cannot be used."
            )
    text = config.text_config.to_diff_dict() | {"tie_word_embeddings": not any(name in headers for name in HEADS)}
    return {
        "vision_config": config.vision_config.to_diff_dict(),
        "text_config": text,
        "downsample_ratio": config.downsample_ratio,
        "projector_hidden_act": config.projector_hidden_act,
        "image_token_id": config_json.get("image_token_id"),
    }
