"""Model and processor from a config, each fact stated once: the tokenizer decides ids, the model decides sizes."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from earthfm.model.configuration_earthfm import EarthFmConfig
from earthfm.model.modeling_earthfm import EarthFmForConditionalGeneration
from earthfm.model.processing_earthfm import EarthFmProcessor
from earthfm.model.processor_options import ProcessorOptions
from earthfm.pretrained import read_encoder, read_language_model, read_pretrained
from eocore.errors import ConfigError
from eocore.models.config_fields import check_fields
from eocore.models.processors import make_processor
from eocore.models.vocabulary import describe_vocabulary, same_vocabulary


def build_model(fields: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> EarthFmForConditionalGeneration:
    """A model whose vocabulary is the tokenizer's.

    Args:
        fields: fields of `EarthFmConfig`. With `pretrained` (a folder of our layout) all is read from there, and other fields must be what
            the folder says. With `encoder_weights` (a folder of OlmoEarth: config.json, weights.pth; or an encoder that was trained here)
            and `language_weights` (a folder of a causal language model) these parts are, and decide their sizes.
        tokenizer: of the model.

    Raises:
        ConfigError: a field that nothing reads, sizes that do not fit together, or a folder that is not there or of another tokenizer.
        CheckpointError: a folder lacks weights, or holds some that nothing reads.
    """
    values = deepcopy(dict(fields))
    folder, encoder, language = (values.pop(name, None) for name in ("pretrained", "encoder_weights", "language_weights"))
    check_fields({name: value for name, value in values.items() if name != "encoder"}, EarthFmConfig(), where="model")
    if folder is not None:
        if encoder is not None or language is not None:
            raise ConfigError("model.pretrained holds all parts; leave encoder_weights and language_weights out.")
        model = read_pretrained(Path(folder), values)
    else:
        parts = [read(Path(path)) for read, path in ((read_encoder, encoder), (read_language_model, language)) if path is not None]
        for part in parts:
            clash = sorted(set(values) & set(part.fields))
            if clash:
                raise ConfigError(f"model.{', model.'.join(clash)}: decided by {part.path}. Remove it.")
            values |= part.fields
        model = _new_model(values, tokenizer, sized=language is not None)
        for part in parts:
            part.load_into(model)
    _fit_tokenizer(model, tokenizer)
    return model


def _new_model(values: dict[str, Any], tokenizer: PreTrainedTokenizerBase, *, sized: bool) -> EarthFmForConditionalGeneration:
    if not sized:
        text = values.get("text_config") or {"model_type": "phi"}
        values["text_config"] = {**text, "vocab_size": max(len(tokenizer), text.get("vocab_size", 0))}
    try:
        return EarthFmForConditionalGeneration(EarthFmConfig(**values))
    except Exception as error:  # whatever transformers and torch make of sizes that do not fit
        named = "" if isinstance(error, TypeError | ValueError) else f"{type(error).__name__}: "
        raise ConfigError(f"model: {named}{str(error).rstrip('.')}. Correct the sizes and choices there.") from error


def _fit_tokenizer(model: EarthFmForConditionalGeneration, tokenizer: PreTrainedTokenizerBase) -> None:
    """Notes the vocabulary. Raise ConfigError if the model was trained with another one, or has no row for a token."""
    known, rows = model.config.vocabulary, model.config.text_config.vocab_size
    if len(tokenizer) > rows or (known is not None and not same_vocabulary(tokenizer, known)):
        raise ConfigError(
            f"the model was trained with {rows if known is None else known.partition(':')[0]} tokens, of which the tokenizer "
            f"({len(tokenizer)} tokens) gives some to other words or has more: texts would be read as others. Use the model's tokenizer."
        )
    model.config.vocabulary = describe_vocabulary(tokenizer)


def build_processor(fields: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase, *, config: EarthFmConfig) -> EarthFmProcessor:
    """The processor of a model: sizes from the model's config, choices from `fields`.

    Raises:
        ConfigError: `fields` states what the model decides, or something that the processor does not take.
    """
    decided: dict[str, Any] = {"version": config.encoder_sizes.version, "patch_size": config.patch_size, "num_queries": config.num_queries}
    return make_processor(fields, decided, options_class=ProcessorOptions, make=lambda options: EarthFmProcessor(tokenizer, options))
