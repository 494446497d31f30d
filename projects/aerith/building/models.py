"""Model and processor from a config, each fact stated once: the tokenizer decides ids, the model decides sizes."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from transformers import PretrainedConfig, PreTrainedTokenizerBase

from aerith.model.configuration_aerith import AerithConfig
from aerith.model.modeling_aerith import AerithForConditionalGeneration
from aerith.model.processing_aerith import AerithProcessor
from aerith.model.processor_options import ProcessorOptions
from aerith.pretrained import load_parts
from eocore.errors import ConfigError
from eocore.models.config_fields import check_fields
from eocore.models.processors import make_processor
from eocore.models.vocabulary import describe_vocabulary, same_vocabulary


def build_config(fields: Mapping[str, Any], *, vocab_size: int = 0) -> AerithConfig:
    """The config of a model.

    Args:
        fields: of `AerithConfig`.
        vocab_size: least number of rows of the language model's tables.

    Raises:
        ConfigError: a field that nothing reads, or sizes that do not fit together.
    """
    values = deepcopy(dict(fields))
    check_fields(values, AerithConfig(), where="model")
    text = values.get("text_config", {})
    if vocab_size:
        values["text_config"] = {**text, "vocab_size": max(vocab_size, text.get("vocab_size", 0))}
    try:
        return AerithConfig(**values)
    except Exception as error:  # whatever transformers makes of sizes that do not fit
        raise size_error(error) from error


def size_error(error: Exception) -> ConfigError:
    """Of whatever transformers and torch make of sizes that do not fit."""
    named = "" if isinstance(error, TypeError | ValueError) else f"{type(error).__name__}: "
    return ConfigError(f"model: {named}{str(error).rstrip('.')}. Correct the sizes and choices there.")


def build_model(fields: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> AerithForConditionalGeneration:
    """A model whose vocabulary is the tokenizer's.

    Args:
        fields: of `AerithConfig`, and `parts`: part -> where its weights come from, see `aerith.pretrained.load_parts`. A part without a
            source begins with new weights.
        tokenizer: of the language model.

    Raises:
        ConfigError: as `build_config`; or a source is not there, or of another vocabulary.
        CheckpointError: a source does not hold its part.
    """
    values = dict(fields)
    sources = dict(values.pop("parts", None) or {})
    config = build_config(values, vocab_size=len(tokenizer))
    try:
        model = AerithForConditionalGeneration(config)
    except Exception as error:
        raise size_error(error) from error
    load_parts(model, sources)
    fit_vocabulary(config, tokenizer)
    return model


def fit_vocabulary(config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase) -> None:
    """Notes the vocabulary. Raise ConfigError if the model learned another."""
    learned = config.vocabulary
    if learned is not None and not same_vocabulary(tokenizer, learned):
        raise ConfigError(
            f"the model learned {learned.partition(':')[0]} tokens by their ids; the tokenizer ({len(tokenizer)} tokens) gives some "
            "to other tokens: the model would read and write other words. Use the tokenizer saved with the model."
        )
    config.vocabulary = describe_vocabulary(tokenizer)


def build_processor(fields: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase, *, config: AerithConfig) -> AerithProcessor:
    """The processor of a model: sizes from the model's config, choices from `fields`.

    Raises:
        ConfigError: `fields` states what the model decides, or something that the processor does not take.
    """
    decided = {
        "clip_size": config.clip_config.image_size,
        "dinov3_size": config.dinov3_config.image_size,
        "tokens_per_image": config.tokens_per_image,
    }
    return make_processor(fields, decided, options_class=ProcessorOptions, make=lambda options: AerithProcessor(tokenizer, options))
