"""Sizes and choices of an EarthMind model."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from transformers import AutoConfig, PretrainedConfig
from transformers.models.internvl.configuration_internvl import InternVLVisionConfig
from transformers.models.sam2.configuration_sam2 import Sam2Config

from eocore.portable.long_options import CompressionOptions, check_ratio, compression_fields

from .hca_fusion import HcaSettings

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
MORE_MEAN, MORE_STD = 0.5, 0.25
"""Of channels beyond three, on a 0..1 scale."""
SAM3_TRACKER = "sam3_tracker"
"""`model_type` of SAM 3's part that draws masks of points and boxes, in transformers."""
FUSIONS = ("concat", "mutual_attention", "hca")
GROUNDING_FUSIONS = ("first", "gated")

DEFAULTS = {
    "downsample_ratio": 0.5,
    "projector_hidden_act": "gelu",
    "fusion": "mutual_attention",
    "num_fusion_queries": 2,
    "hca": None,
    "compression": None,
    "grounding_fusion": "first",
    "pixel_mean": None,
    "pixel_std": None,
    "grounding_mean": None,
    "grounding_std": None,
    "image_token_id": None,
    "seg_token_id": None,
    "vocabulary": None,
    "initializer_range": 0.02,
}
"""Fields of `EarthMindConfig` beside its three parts."""


class EarthMindConfig(PretrainedConfig):
    """What an EarthMind model is made of.

    Args:
        vision_config: InternVL vision tower (`InternVLVisionConfig` or its dict); `num_channels` is the width of the patch embedding.
        text_config: any causal language model of transformers (its config, or a dict with `model_type`).
        sam_config: SAM 2 or 2.1's image encoder, prompt encoder and mask decoder (`Sam2Config` or its dict), or those of SAM 3's tracker
            (`Sam3TrackerConfig`, or a dict whose `model_type` is "sam3_tracker").
        downsample_ratio: pixel shuffle; 0.5 joins 2 x 2 patches to one token.
        fusion: "concat", "mutual_attention" (the first upstream release) or "hca" (the second: one tile's tokens a location).
        num_fusion_queries: learned queries of the mutual attention (upstream: 2).
        hca: fields of `HcaSettings` that are not at their defaults; with fusion="hca" alone.
        compression: fields of `eocore.portable.long_options.CompressionOptions`: vision tokens of long inputs are compressed; None = never.
        grounding_fusion: "first" (one grounding image a sample, as upstream) or "gated" (features of all sensors, mixed per position).
        pixel_mean, pixel_std: per channel of the patch embedding, on a 0..1 scale. Defaults to ImageNet's for three channels,
            0.5 and 0.25 for further ones.
        grounding_mean, grounding_std: the same for the SAM 2 image.
        initializer_range: standard deviation of new weights of the parts that are EarthMind's own
            (projectors, gate); the others have theirs.
        image_token_id, seg_token_id: ids in the tokenizer that belongs to the model; None until it is known.
        vocabulary: "N:digest" of the N tokens that the model learned with their ids; None until it is known.
    """

    model_type = "earthmind"
    sub_configs = {"vision_config": InternVLVisionConfig, "text_config": AutoConfig, "sam_config": AutoConfig}  # noqa: RUF012 (read by transformers)

    downsample_ratio: float
    projector_hidden_act: str
    fusion: str
    num_fusion_queries: int
    hca: dict[str, Any] | None
    compression: dict[str, Any] | None
    grounding_fusion: str
    pixel_mean: list[float]
    pixel_std: list[float]
    grounding_mean: list[float]
    grounding_std: list[float]
    image_token_id: int | None
    seg_token_id: int | None
    vocabulary: str | None
    initializer_range: float

    def __init__(self, vision_config: Any = None, text_config: Any = None, *, sam_config: Any = None, **fields: Any) -> None:
        self.vision_config = _as_config(vision_config, InternVLVisionConfig)
        self.text_config = _as_text_config(text_config)
        self.sam_config = _as_sam_config(sam_config)
        for name, default in DEFAULTS.items():
            setattr(self, name, fields.pop(name, default))
        _check_choice(self.fusion, FUSIONS, name="fusion")
        _check_choice(self.grounding_fusion, GROUNDING_FUSIONS, name="grounding_fusion")
        self.hca = _hca_fields(self.hca, self.fusion)
        self.compression = compression_fields(self.compression)
        self.pixel_mean = list(self.pixel_mean or _for_channels(IMAGENET_MEAN, MORE_MEAN, count=self.vision_config.num_channels))
        self.pixel_std = list(self.pixel_std or _for_channels(IMAGENET_STD, MORE_STD, count=self.vision_config.num_channels))
        self.grounding_mean = list(self.grounding_mean or _for_channels(IMAGENET_MEAN, MORE_MEAN, count=self.grounding_channels))
        self.grounding_std = list(self.grounding_std or _for_channels(IMAGENET_STD, MORE_STD, count=self.grounding_channels))
        fields.setdefault("tie_word_embeddings", getattr(self.text_config, "tie_word_embeddings", False))
        super().__init__(**fields)

    @property
    def beacon_ratio(self) -> list[int] | None:
        """With which ratio the model answers, in a list, as Video-XL names it; may be set at any time. None where it does not compress."""
        return None if self.compression is None else [CompressionOptions(**self.compression).usual_ratio]

    @beacon_ratio.setter
    def beacon_ratio(self, value: Sequence[int]) -> None:
        """Raises ValueError where the model does not compress, or the ratio does not divide its window."""
        if self.compression is None:
            raise ValueError(f"beacon_ratio={value}: the model has no compression tokens (compression is None in its config).")
        if not isinstance(value, list | tuple) or len(value) != 1:
            raise ValueError(f"beacon_ratio={value!r}: expected a list of one ratio, such as [8].")
        check_ratio(value[0], self.compression["window"])
        self.compression = {**self.compression, "ratio": value[0]}

    @property
    def fuses_sensors(self) -> bool:
        """Whether the sensors of a location become the tokens of one tile."""
        return self.fusion == "hca"

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


def _as_sam_config(value: Any) -> PretrainedConfig:
    """Of SAM 2, unless SAM 3's tracker is named."""
    if isinstance(value, PretrainedConfig) or dict(value or {}).get("model_type") != SAM3_TRACKER:
        return _as_config(value, Sam2Config)
    return AutoConfig.for_model(**value)


def _as_text_config(value: Any) -> PretrainedConfig:
    if isinstance(value, PretrainedConfig):
        return value
    values = dict(value or {})
    return AutoConfig.for_model(values.pop("model_type", "qwen2"), **values)


def _for_channels(imagenet: tuple[float, ...], further: float, *, count: int) -> list[float]:
    """Statistics of so many channels: ImageNet's of the first three."""
    return [*imagenet, *[further] * (count - len(imagenet))]


def _hca_fields(given: Any, fusion: str) -> dict[str, Any] | None:
    """All fields of `HcaSettings`; None for other fusions.

    Raises:
        ValueError: a field is unknown or wrong, or nothing would read them.
    """
    if fusion != "hca":
        if given is not None:
            raise ValueError(f"hca={given} is read by nothing with fusion='{fusion}'. Remove it, or set fusion='hca'.")
        return None
    try:
        return asdict(HcaSettings(**dict(given or {})))
    except TypeError as error:
        known = ", ".join(asdict(HcaSettings()))
        raise ValueError(f"hca={given} holds a field that nothing reads; fields: {known}.") from error


def _check_choice(value: str, choices: tuple[str, ...], *, name: str) -> None:
    """Raise ValueError if `value` is none of the choices."""
    if value not in choices:
        raise ValueError(f"{name}='{value}' is unknown; choices: {', '.join(choices)}.")
