"""Sizes and choices of an EarthFM model."""

from dataclasses import asdict
from typing import Any

from transformers import AutoConfig, PretrainedConfig

from eocore.portable.query_connector import QueryConnectorSizes

from .olmoearth import SIZES, EncoderSizes, released_sizes

DEFAULTS = {"num_queries": 32, "num_heads": 8, "patch_size": 8, "vocabulary": None, "encoder_source": None}
"""Fields of `EarthFmConfig` beside its two parts."""


class EarthFmConfig(PretrainedConfig):
    """What an EarthFM model is made of.

    Args:
        encoder: fields of `EncoderSizes`, or `size` ("nano" ... "large") with `version` for a released one; None = v1 nano.
        text_config: any causal language model of transformers (its config, or a dict with `model_type`); None = Phi as in Moondream 2.
        num_queries: embeddings that a sample's images become (upstream: 32).
        num_heads: of the connector's attention (upstream: 8).
        patch_size: side of the patches that the encoder makes tokens of [px], 1 to its largest (upstream: 8). Smaller is finer and slower.
        vocabulary: "N:digest" of the N tokens that the model learned with their ids; None until it is known.
        encoder_source: "name:digest" of the encoder's weights before any training here; None = made of random numbers.

    Raises:
        ValueError: sizes do not fit together.
    """

    model_type = "earthfm"
    sub_configs = {"text_config": AutoConfig}  # noqa: RUF012 (read by transformers)

    num_queries: int
    num_heads: int
    patch_size: int
    vocabulary: str | None
    encoder_source: str | None

    def __init__(self, encoder: Any = None, text_config: Any = None, **fields: Any) -> None:
        self.encoder = asdict(_encoder_sizes(dict(encoder or {})))
        self.text_config = _as_text_config(text_config)
        for name, default in DEFAULTS.items():
            setattr(self, name, fields.pop(name, default))
        if not 1 <= self.patch_size <= self.encoder_sizes.max_patch_size:
            raise ValueError(f"patch_size={self.patch_size}; the encoder takes 1 to {self.encoder_sizes.max_patch_size} px.")
        fields.setdefault("tie_word_embeddings", getattr(self.text_config, "tie_word_embeddings", False))
        super().__init__(**fields)

    @property
    def encoder_sizes(self) -> EncoderSizes:
        """Of the encoder."""
        return EncoderSizes(**self.encoder)

    @property
    def connector_sizes(self) -> QueryConnectorSizes:
        """Of the connector, which joins the widths of both parts."""
        return QueryConnectorSizes(
            input_width=self.encoder_sizes.embedding_size,
            width=self.text_config.hidden_size,
            num_queries=self.num_queries,
            num_heads=self.num_heads,
        )


def _encoder_sizes(values: dict[str, Any]) -> EncoderSizes:
    size = values.pop("size", None)
    if size is None:
        return EncoderSizes(**values)
    if size not in SIZES:
        raise ValueError(f"encoder.size='{size}' is unknown; choices: {', '.join(SIZES)}.")
    found = asdict(released_sizes(values.pop("version", "v1"), size))
    clash = sorted(set(values) & (set(found) - {"drop_path"}))
    if clash:
        raise ValueError(f"encoder.size='{size}' decides {', '.join(clash)}. Remove them, or state all sizes without it.")
    return EncoderSizes(**{**found, **values})


def _as_text_config(value: Any) -> PretrainedConfig:
    if isinstance(value, PretrainedConfig):
        return value
    values = dict(value or {"model_type": "phi"})
    return AutoConfig.for_model(values.pop("model_type", "phi"), **values)
