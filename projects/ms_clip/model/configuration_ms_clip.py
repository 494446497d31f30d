"""Sizes of a multispectral CLIP."""

from typing import Any

from transformers import PretrainedConfig
from transformers.models.clip.configuration_clip import CLIPTextConfig, CLIPVisionConfig

LOG_SCALE = 2.6592
"""ln(1 / 0.07), the logarithm of CLIP's first scale. Source: Radford et al. 2021 (arXiv 2103.00020), section 2.5."""
SIGMOID_LOG_SCALE, SIGMOID_BIAS = 2.302585, -10.0
"""ln(10) and the first bias of the sigmoid loss. Source: Zhai et al. 2023 (arXiv 2303.15343), section 3.2."""

DEFAULTS = {
    "projection_dim": 512,
    "logit_scale_init_value": LOG_SCALE,
    "logit_bias_init_value": None,
    "initializer_factor": 1.0,
    "vocabulary": None,
}
"""Fields of `MsClipConfig` beside its two towers."""


class MsClipConfig(PretrainedConfig):
    """What a multispectral CLIP is made of.

    Args:
        text_config: text tower (`CLIPTextConfig` or its dict).
        vision_config: vision tower (`CLIPVisionConfig` or its dict); `num_channels` is the number of bands that the patch embedding takes.
        projection_dim: width of the space that images and texts share.
        logit_scale_init_value: logarithm of the scale of cosines, before training.
        logit_bias_init_value: what is added to scaled cosines, before training; None = nothing is, as in CLIP. The sigmoid loss needs it.
        initializer_factor: multiplies the standard deviation of all new weights.
        vocabulary: "N:digest" of the N tokens that the model was trained with; None until it is known.
    """

    model_type = "ms_clip"
    sub_configs = {"text_config": CLIPTextConfig, "vision_config": CLIPVisionConfig}  # noqa: RUF012 (read by transformers)

    projection_dim: int
    logit_scale_init_value: float
    logit_bias_init_value: float | None
    initializer_factor: float
    vocabulary: str | None

    def __init__(self, text_config: Any = None, vision_config: Any = None, **fields: Any) -> None:
        self.text_config = _as_config(text_config, CLIPTextConfig)
        self.vision_config = _as_config(vision_config, CLIPVisionConfig)
        for name, default in DEFAULTS.items():
            setattr(self, name, fields.pop(name, default))
        fields.pop("model_type", None)
        super().__init__(**fields)

    @property
    def grid(self) -> int:
        """Patches along a side of the image."""
        return int(self.vision_config.image_size // self.vision_config.patch_size)


def _as_config(value: Any, kind: type[PretrainedConfig]) -> PretrainedConfig:
    if isinstance(value, PretrainedConfig):
        return value
    values = dict(value or {})
    values.pop("model_type", None)
    return kind(**values)
