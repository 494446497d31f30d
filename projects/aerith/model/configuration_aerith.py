"""Sizes and choices of an Aerith model."""

from typing import Any

from transformers import AutoConfig, PretrainedConfig
from transformers.models.clip.configuration_clip import CLIPVisionConfig
from transformers.models.dinov3_vit.configuration_dinov3_vit import DINOv3ViTConfig

from eocore.portable.attention_pooler import PoolerSizes

from .vision_aerith import VisionSizes, pooler_sizes

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of red, green and blue on a 0..1 scale. Source: Radford et al. 2021, the preprocessing of CLIP."""
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""The same of ImageNet, for DINOv3's weights of LVD-1689M. Source: facebook/dinov3-vitb16-pretrain-lvd1689m, preprocessor_config.json."""
DEFAULTS = {
    "fusion": "sum",
    "num_levels": 1,
    "num_queries": None,
    "pooler_layers": 6,
    "pooler_heads": 16,
    "pooler_positions": "none",
    "clip_mean": CLIP_MEAN,
    "clip_std": CLIP_STD,
    "dinov3_mean": IMAGENET_MEAN,
    "dinov3_std": IMAGENET_STD,
    "vocabulary": None,
}
"""Fields of `AerithConfig` beside its three parts."""


class AerithConfig(PretrainedConfig):
    """What an Aerith model is made of.

    Args:
        clip_config: of CLIP's vision tower (`CLIPVisionConfig` or its dict).
        dinov3_config: of DINOv3 (`DINOv3ViTConfig` or its dict).
        text_config: any causal language model of transformers (its config, or a dict with `model_type`; LLaMA without).
        fusion: "sum" of both towers' tokens, or those of "clip" or "dinov3" alone.
        num_levels: 1 or 3, see `VisionSizes`.
        num_queries: of the pooler, one number a level; None = 144, or 64, 48 and 32.
        pooler_layers, pooler_heads: of the pooler.
        pooler_positions: "none", or "sine": the pooler is told where each patch lies, see `PoolerSizes`.
        clip_mean, clip_std, dinov3_mean, dinov3_std: what each tower's pixels are normalised with, on a 0..1 scale.
        vocabulary: "N:digest" of the N tokens that the model learned with their ids; None until it is known.

    Raises:
        ValueError: sizes do not fit together.
    """

    model_type = "aerith"
    sub_configs = {"clip_config": CLIPVisionConfig, "dinov3_config": DINOv3ViTConfig, "text_config": AutoConfig}  # noqa: RUF012 (read by transformers)

    fusion: str
    num_levels: int
    num_queries: list[int] | None
    pooler_layers: int
    pooler_heads: int
    pooler_positions: str
    clip_mean: list[float]
    clip_std: list[float]
    dinov3_mean: list[float]
    dinov3_std: list[float]
    vocabulary: str | None

    def __init__(self, clip_config: Any = None, dinov3_config: Any = None, *, text_config: Any = None, **fields: Any) -> None:
        self.clip_config = _as_config(clip_config, CLIPVisionConfig, usual=CLIP_L14)
        self.dinov3_config = _as_config(dinov3_config, DINOv3ViTConfig, usual=DINOV3_B16)
        self.text_config = _as_text_config(text_config)
        for name, default in DEFAULTS.items():
            value = fields.pop(name, default)
            setattr(self, name, list(value) if isinstance(value, tuple) else value)
        fields.setdefault("tie_word_embeddings", getattr(self.text_config, "tie_word_embeddings", False))
        super().__init__(**fields)
        self.tokens_per_image  # noqa: B018 (checks the sizes)

    @property
    def vision_sizes(self) -> VisionSizes:
        """Of both towers."""
        return VisionSizes(clip=self.clip_config, dinov3=self.dinov3_config, num_levels=self.num_levels, fusion=self.fusion)

    @property
    def pooler_sizes(self) -> PoolerSizes:
        """Of the pooler."""
        return pooler_sizes(
            self.vision_sizes,
            self.text_config.hidden_size,
            num_queries=self.num_queries,
            num_layers=self.pooler_layers,
            num_heads=self.pooler_heads,
            positions=self.pooler_positions,
        )

    @property
    def tokens_per_image(self) -> int:
        """Embeddings of one image in the text."""
        return sum(self.pooler_sizes.num_queries)


CLIP_L14 = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
    "projection_dim": 768,
}
"""Source: openai/clip-vit-large-patch14, config.json."""
DINOV3_B16 = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 256,
    "patch_size": 16,
    "num_register_tokens": 4,
}
"""Source: facebook/dinov3-vitb16-pretrain-lvd1689m, config.json; the image is 256 px, so that it has as many patches as CLIP's."""


def _as_config(value: Any, kind: type[PretrainedConfig], *, usual: dict[str, Any]) -> PretrainedConfig:
    """A config of that class; what a dict does not name is as usual."""
    if isinstance(value, PretrainedConfig):
        return value
    values = {**usual, **dict(value or {})}
    values.pop("model_type", None)
    return kind(**values)


def _as_text_config(value: Any) -> PretrainedConfig:
    if isinstance(value, PretrainedConfig):
        return value
    values = dict(value or {})
    return AutoConfig.for_model(values.pop("model_type", "llama"), **values)
