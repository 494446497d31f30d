"""Model and processor from config, each fact stated once: the tokenizer decides ids, the model decides sizes."""

from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedTokenizerBase

from earthmind.model.configuration_earthmind import EarthMindConfig
from earthmind.model.modeling_earthmind import EarthMindForConditionalGeneration
from earthmind.model.processing_earthmind import EarthMindProcessor
from earthmind.model.prompting import IMAGE_TOKEN, SEG_TOKEN
from eocore.errors import ConfigError


def build_model(fields: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> EarthMindForConditionalGeneration:
    """A model whose vocabulary and token ids are the tokenizer's.

    Args:
        fields: fields of `EarthMindConfig`, or `pretrained`: a folder of our layout.
    """
    values = dict(fields)
    folder = values.pop("pretrained", None)
    if folder is not None:
        if values:
            raise ConfigError(
                f"model gives pretrained='{folder}' and also {sorted(values)}; sizes come from the folder. Remove these keys."
            )
        model = EarthMindForConditionalGeneration.from_pretrained(folder, local_files_only=True)
    else:
        values["text_config"] = {**values.get("text_config", {}), "vocab_size": len(tokenizer)}
        model = EarthMindForConditionalGeneration(EarthMindConfig(**values))
    _fit_vocabulary(model, tokenizer)
    return model


def _fit_vocabulary(model: EarthMindForConditionalGeneration, tokenizer: PreTrainedTokenizerBase) -> None:
    embeddings: Any = model.get_input_embeddings()
    if embeddings.weight.shape[0] < len(tokenizer):
        model.resize_token_embeddings(len(tokenizer))
    for field, token in (("image_token_id", IMAGE_TOKEN), ("seg_token_id", SEG_TOKEN)):
        learnt, number = getattr(model.config, field), tokenizer.convert_tokens_to_ids(token)
        if learnt is not None and learnt != number:
            raise ConfigError(
                f"the model learnt {token} as id {learnt}, the tokenizer writes it as {number}: every such token would be read "
                "as another word. Use the tokenizer saved with the model."
            )
        setattr(model.config, field, number)


def build_processor(fields: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase, config: EarthMindConfig) -> EarthMindProcessor:
    """The processor of a model: sizes from the model's config, choices from `fields`.

    Raises:
        ConfigError: `fields` states what the model decides.
    """
    decided = {
        "tile_size": config.vision_config.image_size[0],
        "tile_tokens": config.tile_grid,
        "num_channels": config.vision_config.num_channels,
        "grounding_size": config.sam_config.prompt_encoder_config.image_size,
        "grounding": "first" if config.grounding_fusion == "first" else "all",
    }
    clash = sorted(set(fields) & set(decided))
    if clash:
        raise ConfigError(f"processor states {', '.join(clash)}, which the model decides. Remove it.")
    try:
        return EarthMindProcessor(tokenizer, **decided, **fields)
    except TypeError as error:
        raise ConfigError(f"processor: {error}. Fields: see EarthMindProcessor.") from error
