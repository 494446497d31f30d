"""Model and processor from config, each fact stated once: the tokenizer decides ids, the model decides sizes."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from earthmind.model.configuration_earthmind import EarthMindConfig
from earthmind.model.modeling_earthmind import EarthMindForConditionalGeneration
from earthmind.model.processing_earthmind import EarthMindProcessor
from earthmind.model.processor_options import ProcessorOptions
from earthmind.model.special_tokens import IMAGE_TOKEN, REGION_START, SEG_TOKEN
from earthmind.pretrained import has_compression, read_pretrained
from eocore.errors import ConfigError
from eocore.models.config_fields import check_fields, unknown_field
from eocore.models.processors import make_processor
from eocore.models.vocabulary import describe_vocabulary, same_vocabulary
from eocore.option_types import check_option
from eocore.portable.token_compression import start_compression


def build_model(fields: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> EarthMindForConditionalGeneration:
    """A model whose vocabulary and token ids are the tokenizer's; a larger `text_config.vocab_size` gives its tables rows to spare.

    Args:
        fields: fields of `EarthMindConfig`. With `pretrained` (a folder of our layout) the model is read from there; other fields must then
            be what the folder says, but for those of `earthmind.pretrained.CHANGEABLE`.

    Raises:
        ConfigError: a field that nothing reads, sizes that do not fit together, or a folder that is not there or of another tokenizer.
        CheckpointError: the folder lacks weights, or holds some that nothing reads.
    """
    values = deepcopy(dict(fields))  # transformers 5.17 changes mappings inside those it is given
    folder, waves = values.pop("pretrained", None), values.pop("position_waves", 0.0)
    check_fields(values, EarthMindConfig(), where="model")
    if folder is not None:
        model = read_pretrained(Path(folder), values)
    else:
        text = values.get("text_config", {})
        values["text_config"] = {**text, "vocab_size": max(len(tokenizer), text.get("vocab_size", 0))}
        try:
            model = EarthMindForConditionalGeneration(EarthMindConfig(**values))
        except Exception as error:  # whatever transformers and torch make of sizes that do not fit
            named = "" if isinstance(error, TypeError | ValueError) else f"{type(error).__name__}: "
            raise ConfigError(f"model: {named}{str(error).rstrip('.')}. Correct the sizes and choices there.") from error
        if waves:
            start_positions(model.vision_tower.embeddings, height=waves)
    _fit_vocabulary(model, tokenizer)
    if model.config.compression is not None:
        _fit_compression(model, tokenizer, is_new=folder is None or not has_compression(Path(folder)))
    return model


@torch.no_grad()
def start_positions(embeddings: Any, *, height: float) -> None:
    """Begins the position embeddings of a vision tower as sine waves over rows and columns, where transformers begins them at zero.

    A quarter of the width each holds sine and cosine of the row and of the column, at wave lengths from 2 pi to 200 pi patches (Vaswani
    et al. 2017, in two dimensions). The class token stays at zero.

    Args:
        embeddings: `InternVLVisionEmbeddings` with `position_embeddings` (1, 1 + rows * columns, D).
        height: of the waves; about the deviation of the patch embeddings, or positions drown in what the patches show.
    """
    table = embeddings.position_embeddings
    rows, columns = (size // patch for size, patch in zip(embeddings.image_size, embeddings.patch_size, strict=True))
    quarter = table.shape[-1] // 4
    frequencies = 100.0 ** -(torch.arange(quarter) / quarter)
    positions = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    angles = torch.cat([position.reshape(-1, 1) * frequencies for position in positions], dim=1)
    waves = torch.cat([angles.sin(), angles.cos()], dim=1)
    table[0, 1:, : waves.shape[1]] = (height * waves).to(table.dtype)


def _fit_vocabulary(model: EarthMindForConditionalGeneration, tokenizer: PreTrainedTokenizerBase) -> None:
    embeddings: Any = model.get_input_embeddings()
    if embeddings.weight.shape[0] < len(tokenizer):
        model.resize_token_embeddings(len(tokenizer))
    for field, token in (("image_token_id", IMAGE_TOKEN), ("seg_token_id", SEG_TOKEN)):
        learned, number = getattr(model.config, field), tokenizer.convert_tokens_to_ids(token)
        if learned is not None and learned != number:
            raise ConfigError(
                f"the model learned {token} as id {learned}, the tokenizer writes it as {number}: every such token would be read "
                "as another word. Use the tokenizer saved with the model."
            )
        setattr(model.config, field, number)
    learned = model.config.vocabulary
    if learned is not None and not same_vocabulary(tokenizer, learned):
        raise ConfigError(
            f"the model learned {learned.partition(':')[0]} tokens by their ids; the tokenizer ({len(tokenizer)} tokens) gives some "
            "to other tokens: the model would read and write other words. Use the tokenizer saved with the model."
        )
    model.config.vocabulary = describe_vocabulary(tokenizer)


def _fit_compression(model: EarthMindForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, *, is_new: bool) -> None:
    """Says which tokens are a region's, and begins weights of compression tokens that no folder holds."""
    region = tokenizer.convert_tokens_to_ids(REGION_START)
    model.config.compression = {**model.config.compression, "region_token_id": region}
    if is_new and not model.get_input_embeddings().weight.is_meta:
        start_compression(model.language_model, tokenizer.eos_token_id)


def _grounding(fields: Mapping[str, Any], config: EarthMindConfig) -> str:
    """How SAM 2's image is made; see `EarthMindProcessor`."""
    channels, wanted = fields.get("grounding_channels", ()), config.grounding_channels
    if (channels or wanted != 3) and len(channels) != wanted:
        raise ConfigError(
            f"processor.grounding_channels names {len(channels)} channels, the SAM 2 backbone of the model takes {wanted} (num_channels). "
            "Make them agree; without grounding_channels it takes 3."
        )
    if channels and config.grounding_fusion == "gated":
        raise ConfigError("grounding_channels puts all sensors into one image, so there is nothing to gate: set grounding_fusion='first'.")
    return "composite" if channels else {"first": "first", "gated": "all"}[config.grounding_fusion]


def build_processor(fields: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase, *, config: EarthMindConfig) -> EarthMindProcessor:
    """The processor of a model: sizes from the model's config, choices from `fields`.

    Raises:
        ConfigError: `fields` states what the model decides, or something that the processor does not take.
    """
    decided = {
        "tile_size": config.vision_config.image_size[0],
        "tile_tokens": config.tile_grid,
        "num_channels": config.vision_config.num_channels,
        "channel_fill": [round(255 * mean) for mean in config.pixel_mean],
        **fusion_fields(config),
        "grounding_size": config.sam_config.prompt_encoder_config.image_size,
        "grounding": _grounding(fields, config),
        "grounding_fill": [round(255 * mean) for mean in config.grounding_mean] if fields.get("grounding_channels") else [],
    }
    for modality, rule in (fields.get("presentation") or {}).items():
        _check_rule(rule, f"processor.presentation.{modality}")
    return make_processor(fields, decided, options_class=ProcessorOptions, make=lambda options: EarthMindProcessor(tokenizer, options))


def fusion_fields(config: EarthMindConfig) -> dict[str, Any]:
    """Options of the processor that the model's fusion decides."""
    choices = config.hca
    if choices is None:
        return {}
    return {"fuse_sensors": True, "fusion_text": choices["text_span"], "average_views": choices["average_views"]}


def _check_rule(rule: Mapping[str, Any], where: str) -> None:
    """Nothing; raises ConfigError where a presentation rule misses a key or has one too many."""
    for part, keys, optional, path in (
        (rule, ("views", "stretch"), ("grounding",), where),
        (rule.get("stretch", {}) if isinstance(rule, Mapping) else {}, ("method", "low", "high"), (), f"{where}.stretch"),
    ):
        check_option(path, part, annotation=Mapping[str, Any])
        for key in part:
            if key not in (*keys, *optional):
                raise ConfigError(unknown_field(f"{path}.{key}", path, key=key, choices=[*keys, *optional]))
        missing = [key for key in keys if key not in part]
        if missing:
            raise ConfigError(f"{path} needs {', '.join(missing)}. Keys: {', '.join([*keys, *optional])}.")
