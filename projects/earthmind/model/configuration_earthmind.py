"""Sizes and choices of an EarthMind model."""

from typing import Any

from transformers import AutoConfig, PretrainedConfig
from transformers.models.internvl.configuration_internvl import InternVLVisionConfig
from transformers.models.sam2.configuration_sam2 import Sam2Config

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
FUSIONS = ("concat", "mutual_attention")
GROUNDING_FUSIONS = ("first", "gated")


class EarthMindConfig(PretrainedConfig):
    """What an EarthMind model is made of.

    Args:
        vision_config: InternVL vision tower (`InternVLVisionConfig` or its dict); `num_channels` is the width of the patch embedding.
        text_config: any causal language model of transformers (its config, or a dict with `model_type`).
        sam_config: SAM 2 image encoder, prompt encoder and mask decoder (`Sam2Config` or its dict).
        downsample_ratio: pixel shuffle; 0.5 joins 2 x 2 patches to one token.
        fusion: "concat" or "mutual_attention".
        num_fusion_queries: learned queries of the mutual attention (published: 2).
        grounding_fusion: "first" (one grounding image a sample, as published) or "gated" (features of all sensors, mixed per place).
        pixel_mean, pixel_std: per channel of the patch embedding, on a 0..1 scale. Defaults to ImageNet's for three channels,
            0.5 and 0.25 for further ones.
        grounding_mean, grounding_std: the same for the SAM 2 image.
        initializer_range: standard deviation of new weights of the parts that are EarthMind's own
            (projectors, gate); the others have theirs.
        image_token_id, seg_token_id: ids in the tokenizer that belongs to the model; None until it is known.
        vocabulary: "N:digest" of the N tokens that the model learnt with their ids; None until it is known.
    """

    model_type = "earthmind"
    sub_configs = {"vision_config": InternVLVisionConfig, "text_config": AutoConfig, "sam_config": Sam2Config}  # noqa: RUF012 (read by transformers)

    def __init__(
        self,
        vision_config: Any = None,
        text_config: Any = None,
        sam_config: Any = None,
        *,
        downsample_ratio: float = 0.5,
        projector_hidden_act: str = "gelu",
        fusion: str = "mutual_attention",
        num_fusion_queries: int = 2,
        grounding_fusion: str = "first",
        pixel_mean: list[float] | None = None,
        pixel_std: list[float] | None = None,
        grounding_mean: list[float] | None = None,
        grounding_std: list[float] | None = None,
        image_token_id: int | None = None,
        seg_token_id: int | None = None,
        vocabulary: str | None = None,
        initializer_range: float = 0.02,
        **kwargs: Any,
    ) -> None:
        self.vision_config = _as_config(vision_config, InternVLVisionConfig)
        self.text_config = _as_text_config(text_config)
        self.sam_config = _as_config(sam_config, Sam2Config)
        self.downsample_ratio = downsample_ratio
        self.projector_hidden_act = projector_hidden_act
        self.fusion = _one_of(fusion, FUSIONS, "fusion")
        self.num_fusion_queries = num_fusion_queries
        self.grounding_fusion = _one_of(grounding_fusion, GROUNDING_FUSIONS, "grounding_fusion")
        more = self.vision_config.num_channels - 3
        self.pixel_mean = list(pixel_mean or [*IMAGENET_MEAN, *[0.5] * more])
        self.pixel_std = list(pixel_std or [*IMAGENET_STD, *[0.25] * more])
        more = self.grounding_channels - 3
        self.grounding_mean = list(grounding_mean or [*IMAGENET_MEAN, *[0.5] * more])
        self.grounding_std = list(grounding_std or [*IMAGENET_STD, *[0.25] * more])
        self.image_token_id = image_token_id
        self.seg_token_id = seg_token_id
        self.vocabulary = vocabulary
        self.initializer_range = initializer_range
        kwargs.setdefault("tie_word_embeddings", getattr(self.text_config, "tie_word_embeddings", False))
        super().__init__(**kwargs)

    @property
    def grounding_channels(self) -> int:
        """Channels of the image SAM 2 draws on."""
        return int(self.sam_config.vision_config.backbone_config.num_channels)

    @property
    def tokens_per_tile(self) -> int:
        """Vision tokens of one tile after pixel shuffle."""
        return self.tile_grid[0] * self.tile_grid[1]

    @property
    def tile_grid(self) -> tuple[int, int]:
        """(rows, columns) of vision tokens of one tile after pixel shuffle."""
        (height, width), (patch_h, patch_w) = self.vision_config.image_size, self.vision_config.patch_size
        return int(height // patch_h * self.downsample_ratio), int(width // patch_w * self.downsample_ratio)


def _as_config(value: Any, kind: type[PretrainedConfig]) -> PretrainedConfig:
    if isinstance(value, PretrainedConfig):
        return value
    values = dict(value or {})
    values.pop("model_type", None)
    return kind(**values)


def _as_text_config(value: Any) -> PretrainedConfig:
    if isinstance(value, PretrainedConfig):
        return value
    values = dict(value or {})
    return AutoConfig.for_model(values.pop("model_type", "qwen2"), **values)


def _one_of(value: str, choices: tuple[str, ...], name: str) -> str:
    if value not in choices:
        raise ValueError(f"{name}='{value}' is unknown; choices: {', '.join(choices)}.")
    return value
