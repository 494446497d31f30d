"""config.json of the upstream layout, written for one of our models."""

from collections.abc import Mapping
from typing import Any

from earthmind.model.configuration_earthmind import EarthMindConfig
from eocore.checkpoints.key_maps.sam2_sizes import IMAGE_SIZE, SIZES, TOP_DOWN

CODE = "configuration_earthmind_chat.Sa2VAChatConfig", "modeling_earthmind_chat.Sa2VAChatModel"
"""Classes of the upstream code; its Python files are to be laid beside the weights."""
FRAME = {
    "model_type": "sa2va_chat",
    "architectures": ["Sa2VAChatModel"],
    "auto_map": {"AutoConfig": CODE[0], "AutoModel": CODE[1], "AutoModelForCausalLM": CODE[1]},
    "dynamic_image_size": True,
    "min_dynamic_patch": 1,
    "max_dynamic_patch": 12,
    "use_thumbnail": True,
    "pad2square": False,
    "ps_version": "v2",
    "select_layer": -1,
    "template": "phi3_chat",
}
"""What the upstream config.json says of every model (EarthMind-4B); `ps_version` and `select_layer` are how vision is read here."""
FUSION = ("fusion", "hca")
"""Fields of ours, which upstream's code does not read: no other file of an upstream folder tells the second release's fusion."""
VISION = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "num_channels", "hidden_act", "layer_norm_eps")
TEXT_LEFT_OUT = ("_name_or_path", "id2label", "label2id", "transformers_version", "dtype", "problem_type", "return_dict")


def upstream_config(config: EarthMindConfig, imported: Mapping[str, Any]) -> dict[str, Any]:
    """The upstream fields of one of our models.

    Args:
        config: the model's.
        imported: config.json of the upstream model that it was imported from, {} if there was none; its other fields are kept.
    """
    vision, text = config.vision_config, _text(config)
    own = {
        "downsample_ratio": config.downsample_ratio,
        "force_image_size": vision.image_size[0],
        "hidden_size": config.text_config.hidden_size,
        "img_context_token_id": config.image_token_id,
        "seg_token_id": config.seg_token_id,
        "vision_config": {name: getattr(vision, name) for name in VISION}
        | {"image_size": vision.image_size[0], "patch_size": vision.patch_size[0]}
        | {"norm_type": vision.norm_type, "qkv_bias": vision.attention_bias, "qk_normalization": vision.use_qk_norm},
        "llm_config": text,
    }
    base = {name: value for name, value in (dict(imported) or FRAME).items() if name not in FUSION}
    if config.fuses_sensors:
        own |= {name: getattr(config, name) for name in FUSION}
    merged = {**base, **{name: _over(base.get(name), value) for name, value in own.items() if value is not None or name in base}}
    sam = _sam(config)
    return merged if sam is None else {**merged, "sam2": _over(base.get("sam2"), sam)}


def _over(before: Any, value: Any) -> Any:
    """`value`, but of a dictionary that was there before only the fields it had, if it had any, change."""
    if isinstance(before, Mapping) and isinstance(value, Mapping):
        return {**before, **{name: _over(before[name], value[name]) for name in before if name in value}}
    return value


def _text(config: EarthMindConfig) -> dict[str, Any]:
    text = config.text_config
    fields = {name: value for name, value in text.to_dict().items() if name not in TEXT_LEFT_OUT}
    rotary = fields.pop("rope_parameters", None) or {}
    architecture = f"{type(text).__name__.removesuffix('Config')}ForCausalLM"
    return {**fields, "rope_theta": rotary.get("rope_theta"), "architectures": [architecture], "vocab_size": text.vocab_size}


def _sam(config: EarthMindConfig) -> dict[str, Any] | None:
    """Sizes of SAM 2 in Meta's terms; None for Hiera large, which the upstream code builds without being told."""
    vision, decoder, prompt = (
        config.sam_config.vision_config,
        config.sam_config.mask_decoder_config,
        config.sam_config.prompt_encoder_config,
    )
    hiera = vision.backbone_config
    large = SIZES[-1]
    stages, widths = tuple(hiera.blocks_per_stage), tuple(hiera.embed_dim_per_stage)
    if (stages, widths, prompt.image_size) == (large.stages, large.widths, IMAGE_SIZE):
        return None
    trunk = {
        "embed_dim": hiera.hidden_size,
        "num_heads": hiera.num_attention_heads,
        "stages": list(stages),
        "global_att_blocks": list(hiera.global_attention_blocks),
        "window_pos_embed_bkg_spatial_size": list(hiera.window_positional_embedding_background_size),
        "window_spec": list(hiera.window_size_per_stage),
        "backbone_channel_list": list(vision.backbone_channel_list),
        "fpn_top_down_levels": list(vision.fpn_top_down_levels or TOP_DOWN),
    }
    head = {
        "mlp_dim": decoder.mlp_dim,
        "num_heads": decoder.num_attention_heads,
        "depth": decoder.num_hidden_layers,
        "iou_head_hidden_dim": decoder.iou_head_hidden_dim,
        "iou_head_depth": decoder.iou_head_depth,
    }
    return {"image_size": prompt.image_size, "d_model": decoder.hidden_size, "trunk": trunk, "mask_decoder": head}
