"""The upstream EarthMind and Sa2VA checkpoints: InternVL, SAM 2, [SEG] projector and, in EarthMind, queries of the fusion."""

from collections.abc import Mapping
from typing import Any

from earthmind.checkpoints.key_maps.internvl import internvl_fields, internvl_rules
from eocore.checkpoints.key_map import KeyMap, Rule, rename, unused
from eocore.checkpoints.key_maps.sam2 import iou_head_depth, sam2_rules, under
from eocore.checkpoints.key_maps.sam2_sizes import STRIDES, sam2_config
from eocore.checkpoints.weight_files import Headers

SAM = "grounding_encoder.sam2_model."
RENAMED_SCALE = (".gamma", ".g_weight")
"""Meta's name of a scale in the memory encoder, and the upstream one (transformers renamed `gamma` when it read weights)."""
ONLY_IN_2_1 = ("no_obj_embed_spatial", "obj_ptr_tpos_proj.")
"""Beginnings of names that SAM 2.1 has more than SAM 2, on which the upstream code builds."""
OWN_RULES = (
    rename("text_hidden_fcs.{i}.{leaf}", "seg_head.projector.{i}.{leaf}"),
    rename("local_query", "fusion.queries"),
    unused("hca_queries", "queries of the second release, which it never reads"),
    unused("text_exist_fcs.{rest}", "head that tells whether an object is there"),
)


def upstream_rules(config: Mapping[str, Any], iou_depth: int) -> list[Rule]:
    """All rules of the layout."""
    return [*internvl_rules(config), *OWN_RULES, *under(sam2_rules(iou_depth), SAM)]


def upstream_map(config: Mapping[str, Any], headers: Headers) -> KeyMap:
    """Key map of an upstream folder."""
    return KeyMap("EarthMind", upstream_rules(config, iou_head_depth(headers, SAM)))


def upstream_fields(config: Mapping[str, Any], headers: Headers) -> dict[str, Any]:
    """Fields of `EarthMindConfig` from an upstream config.json and the shapes beside it.

    Sizes of SAM 2 are those of the field `sam2` where the config has it, else the ones seen from the shapes: the upstream config does not
    state them, its code builds Hiera large.
    """
    queries = headers.get("local_query")
    fusion: dict[str, Any] = (
        {"fusion": "concat"} if queries is None else {"fusion": "mutual_attention", "num_fusion_queries": queries.shape[0]}
    )
    if config.get("fusion") == "hca":  # an export of this project says so; upstream's files say nothing
        fusion = {"fusion": "hca", "hca": config.get("hca")}
    return {
        **internvl_fields(config, headers),
        **fusion,
        "sam_config": sam_fields(config["sam2"]) if "sam2" in config else sam2_config(headers, SAM),
        "image_token_id": config.get("img_context_token_id"),
        "seg_token_id": config.get("seg_token_id"),
    }


def upstream_name(layout: str, name: str) -> str | None:
    """How the upstream layout calls a tensor of another layout that our model does not use; None where it has no place for it."""
    if layout == "earthmind":
        return name
    if layout == "sam2" and not name.startswith(ONLY_IN_2_1):
        return SAM + name.replace(*RENAMED_SCALE)
    if layout == "training" and "grounding_encoder." in name:
        return name.replace(*RENAMED_SCALE)
    return None


def sam_fields(sam: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of transformers' `Sam2Config` from sizes in the terms of Meta's configs."""
    trunk, decoder, side = sam["trunk"], sam["mask_decoder"], sam["image_size"]
    steps = range(len(trunk["stages"]))
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": trunk["embed_dim"],
        "num_attention_heads": trunk["num_heads"],
        "image_size": [side, side],
        "blocks_per_stage": trunk["stages"],
        "embed_dim_per_stage": [trunk["embed_dim"] * 2**step for step in steps],
        "num_attention_heads_per_stage": [trunk["num_heads"] * 2**step for step in steps],
        "window_size_per_stage": trunk["window_spec"],
        "global_attention_blocks": trunk["global_att_blocks"],
        "window_positional_embedding_background_size": trunk["window_pos_embed_bkg_spatial_size"],
    }
    return {
        "vision_config": {
            "backbone_config": backbone,
            "backbone_channel_list": trunk["backbone_channel_list"],
            "backbone_feature_sizes": [[side // stride, side // stride] for stride in STRIDES],
            "fpn_hidden_size": sam["d_model"],
            "fpn_top_down_levels": trunk["fpn_top_down_levels"],
        },
        "prompt_encoder_config": {"hidden_size": sam["d_model"], "image_size": side},
        "mask_decoder_config": {
            "hidden_size": sam["d_model"],
            "mlp_dim": decoder["mlp_dim"],
            "num_attention_heads": decoder["num_heads"],
            "num_hidden_layers": decoder["depth"],
            "iou_head_hidden_dim": decoder["iou_head_hidden_dim"],
            "iou_head_depth": decoder["iou_head_depth"],
        },
    }
