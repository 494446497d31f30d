"""Model and processor from a config, each fact stated once."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from eocore.errors import ConfigError
from eocore.models.config_fields import check_fields
from eocore.models.vocabulary import describe_vocabulary, same_vocabulary
from eocore.option_types import annotations_of, check_option
from ms_clip.model.channels import PRESETS
from ms_clip.model.configuration_ms_clip import MsClipConfig
from ms_clip.model.modeling_ms_clip import MsClipModel
from ms_clip.model.processing_ms_clip import MsClipProcessor
from ms_clip.model.processor_options import ProcessorOptions
from ms_clip.pretrained import read_pretrained

TOWERS = ("text_config", "vision_config")


def build_model(fields: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase, *, processor: ProcessorOptions) -> MsClipModel:
    """A model whose vocabulary is the tokenizer's and whose patch embedding takes the processor's channels.

    Args:
        fields: fields of `MsClipConfig`. With `pretrained` (a folder of our layout) the model is read from there, and its patch embedding
            widened by name (`new_channels`: see `ms_clip.pretrained`); other fields must then be what the folder says.
        tokenizer: of the model.
        processor: of the model.

    Raises:
        ConfigError: a field that nothing reads, sizes that do not fit together, or a folder that is not there or of another tokenizer.
        CheckpointError: the folder lacks weights, or holds some that nothing reads.
    """
    values = deepcopy(dict(fields))
    folder, new_channels = values.pop("pretrained", None), values.pop("new_channels", "zero")
    for tower, name in (("vision_config", "num_channels"), ("vision_config", "image_size"), ("text_config", "max_position_embeddings")):
        stated = values.get(tower, {}).get(name)
        decided = {"num_channels": len(processor.channels), "image_size": processor.image_size}.get(name, processor.context_length)
        if stated is not None and stated != decided:
            raise ConfigError(f"model.{tower}.{name} is {stated}, the processor has {decided}. State it there alone.")
    check_fields(values, MsClipConfig(), where="model")
    if folder is not None:
        model = read_pretrained(Path(folder), values, channels=processor.channels, new_channels=new_channels)
    else:
        model = _new_model(values, tokenizer, processor=processor)
    _fit_tokenizer(model, tokenizer)
    return model


def _new_model(values: dict[str, Any], tokenizer: PreTrainedTokenizerBase, *, processor: ProcessorOptions) -> MsClipModel:
    text, vision = (values.get(tower, {}) for tower in TOWERS)
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    width = {"projection_dim": values["projection_dim"]} if "projection_dim" in values else {}
    values["text_config"] = {
        **width,
        **text,
        **ids,
        "vocab_size": max(len(tokenizer), text.get("vocab_size", 0)),
        "max_position_embeddings": processor.context_length,
    }
    values["vision_config"] = {**width, **vision, "num_channels": len(processor.channels), "image_size": processor.image_size}
    try:
        return MsClipModel(MsClipConfig(**values))
    except Exception as error:  # whatever transformers and torch make of sizes that do not fit
        named = "" if isinstance(error, TypeError | ValueError) else f"{type(error).__name__}: "
        raise ConfigError(f"model: {named}{str(error).rstrip('.')}. Correct the sizes and choices there.") from error


def _fit_tokenizer(model: MsClipModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Notes the vocabulary. Raise ConfigError if the model was trained with another one, or has no row for a token."""
    config = model.config
    known = config.vocabulary
    rows = config.text_config.vocab_size
    if len(tokenizer) > rows or (known is not None and not same_vocabulary(tokenizer, known)):
        raise ConfigError(
            f"the model was trained with {rows if known is None else known.partition(':')[0]} tokens, of which the tokenizer "
            f"({len(tokenizer)} tokens) gives some to other words or has more: texts would be read as others. Use the model's tokenizer."
        )
    if config.text_config.eos_token_id != tokenizer.eos_token_id:
        raise ConfigError(
            f"the model takes a text's vector at token {config.text_config.eos_token_id}, the tokenizer ends texts with "
            f"{tokenizer.eos_token_id}. Use the tokenizer that belongs to the model."
        )
    config.vocabulary = describe_vocabulary(tokenizer)


def processor_options(fields: Mapping[str, Any], *, image_size: int | None = None) -> ProcessorOptions:
    """Options from a config: `preset` (10, 12 or 3: the channels of a released model) and fields that deviate from it.

    Raises:
        ConfigError: a field is unknown or wrong.
    """
    values = dict(fields)
    preset = values.pop("preset", None)
    if preset is not None and preset not in PRESETS:
        raise ConfigError(f"processor.preset={preset!r} is unknown; choices: {', '.join(map(str, PRESETS))} channels.")
    annotations = annotations_of(ProcessorOptions)
    for key, value in values.items():
        check_option(f"processor.{key}", value, annotation=annotations.get(key, Any))
    try:
        return ProcessorOptions(**{**PRESETS.get(preset or 0, {}), **({} if image_size is None else {"image_size": image_size}), **values})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"processor: {str(error).rstrip('.')}. Fields: see ProcessorOptions.") from error


def build_processor(options: ProcessorOptions, tokenizer: PreTrainedTokenizerBase) -> MsClipProcessor:
    """The processor of a model."""
    return MsClipProcessor(tokenizer, options)
