"""A model from a folder of our layout: every weight from the folder, every size as the config states it, choices where they are free."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import PretrainedConfig, PreTrainedTokenizerBase

from earthmind.checkpoints.channels import check_new_channels, widen_channels, without_channels
from earthmind.model.configuration_earthmind import EarthMindConfig
from earthmind.model.modeling_earthmind import EarthMindForConditionalGeneration
from eocore.errors import CheckpointError, ConfigError
from eocore.models.folders import CONFIG, check_model_folder, load_model, read_json
from eocore.models.token_rows import RowEmbedding
from eocore.portable.token_compression import COMPRESSION_PARTS, is_compression_weight
from eocore.text import some_of

CHANGEABLE = ("fusion", "hca", "compression", "grounding_fusion", "initializer_range")
"""Fields that may be other than those of the folder: they choose parts without weights in any base model."""
PARTS = {"fusion": ("fusion.",), "grounding_fusion": ("seg_head.gate.",), "compression": COMPRESSION_PARTS}
"""Field -> what the names of the weights hold that it brings or takes away."""
LENGTH = "max_position_embeddings"
"""Of the language model: more positions need no weights where they are rotary and their angles do not depend on their number."""
OF_THE_TOKENIZER = "model.text_config.vocab_size"


def read_pretrained(folder: Path, fields: Mapping[str, Any]) -> EarthMindForConditionalGeneration:
    """The model of a folder, in the precision it was saved in.

    Args:
        folder: config.json and weights of our layout.
        fields: fields of `EarthMindConfig`: sizes are compared with the folder's, those of `CHANGEABLE` replace the folder's. The vision
            tower may take more channels than the folder's: the new ones begin at zero. The language model may have more positions.

    Raises:
        ConfigError: there is no such folder, or it is of other sizes.
        CheckpointError: weights are missing or left over.
    """
    config = read_config(folder)
    _lengthen(config.text_config, (fields.get("text_config") or {}).get(LENGTH))
    free = tuple(f"model.{name} " for name in CHANGEABLE)
    different = [line for line in _differences(without_channels(fields, config), config, where="model") if not line.startswith(free)]
    if different:
        raise ConfigError(
            f"model.pretrained='{folder}' is of another size than the config says; nothing was loaded. {some_of(different)}. Name the "
            "folder of that size, or remove these keys: the folder decides."
        )
    fields = dict(fields)
    if fields.get("fusion", "hca") != "hca":
        fields.setdefault("hca", None)  # choices that the folder's own fusion had
    changed = [name for name in CHANGEABLE if name in fields and fields[name] != getattr(config, name)]
    was = config.compression
    for name in changed:
        setattr(config, name, fields[name])
    try:
        config = EarthMindConfig(**config.to_dict())
    except ValueError as error:
        raise ConfigError(f"model: {str(error).rstrip('.')}. Correct the choices there.") from error
    model, report = load_model(EarthMindForConditionalGeneration, folder, config=config, output_loading_info=True)
    _check_weights(folder, report, free=[part for name in changed if name != "compression" or was is None for part in PARTS.get(name, ())])
    widen_channels(model, fields)
    return model


def read_config(folder: Path) -> EarthMindConfig:
    """The config of a folder.

    Raises:
        ConfigError: there is no such folder, or no config of ours in it.
    """
    if not folder.is_dir():
        raise ConfigError(
            f"model.pretrained='{folder}' is no folder; nothing is downloaded. Fetch and import the model first (pretrained/README.md)."
        )
    check_model_folder(folder)
    values = read_json(folder / CONFIG)
    if values.get("model_type") != EarthMindConfig.model_type:
        raise ConfigError(
            f"model.pretrained='{folder}' holds a model of type '{values.get('model_type')}', expected '{EarthMindConfig.model_type}'. "
            "Import it first: python tools/import_weights.py (pretrained/README.md)."
        )
    return EarthMindConfig.from_pretrained(str(folder), local_files_only=True)


def has_compression(folder: Path) -> bool:
    """Whether the model of a folder has weights of compression tokens."""
    return read_config(folder).compression is not None


def new_tokens(folder: Path, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Tokens of the tokenizer for which the model of a folder has no row yet, by id."""
    known = int(read_config(folder).text_config.vocab_size)
    return [str(token) for token in tokenizer.convert_ids_to_tokens(list(range(known, len(tokenizer))))]


def check_new_parts(model: EarthMindForConditionalGeneration, folder: Path, *, tokenizer: PreTrainedTokenizerBase) -> None:
    """Nothing, if whatever is new to the model of `folder` is trained and so saved.

    Raises:
        ConfigError: as `check_new_tokens`, `check_new_channels` and `check_new_compression`.
    """
    check_new_tokens(model, folder, tokenizer=tokenizer)
    check_new_channels(model, folder, known=read_config(folder).vision_config.num_channels)
    check_new_compression(model, folder)


def check_new_compression(model: EarthMindForConditionalGeneration, folder: Path) -> None:
    """Raise ConfigError if compression tokens are new to the model of `folder` and some of their weights would not be trained and saved."""
    frozen = [name for name, weight in model.named_parameters() if is_compression_weight(name) and not weight.requires_grad]
    if frozen and not has_compression(folder):
        raise ConfigError(
            f"compression tokens are new to {folder}, and {len(frozen)} of their weights would not be trained or saved "
            f"({some_of(frozen)}). Add 'language_model.*.compression*' to task.trainable."
        )


def check_new_tokens(model: EarthMindForConditionalGeneration, folder: Path, *, tokenizer: PreTrainedTokenizerBase) -> None:
    """Nothing, if every token that is new to the model of `folder` is trained and so saved.

    Raises:
        ConfigError: one is not: its row would stay as it was drawn, and be drawn anew at every loading.
    """
    embedding = model.get_input_embeddings()
    if embedding.weight.requires_grad:
        return
    rows = {int(number) for number in embedding.token_ids} if isinstance(embedding, RowEmbedding) else set()
    lost = [token for token in new_tokens(folder, tokenizer) if tokenizer.convert_tokens_to_ids(token) not in rows]
    if lost:
        raise ConfigError(
            f"{len(lost)} tokens are new to {folder} and would not be trained or saved: {some_of(lost)}; each loading would draw their "
            "rows anew. Name them in task.trainable_tokens, or import the model with this tokenizer."
        )


def _lengthen(text: Any, length: int | None) -> None:
    """Gives the language model more positions, in place, if it is so many that are wanted and its rotary angles stay as they are."""
    angles = (getattr(text, "rope_parameters", None) or {}).get("rope_type", "default")
    if length is not None and length > getattr(text, LENGTH, length) and angles == "default":
        setattr(text, LENGTH, length)


def _differences(given: Mapping[str, Any], found: PretrainedConfig, *, where: str) -> Iterator[str]:
    for key, value in given.items():
        # transformers 5 keeps rope_theta inside rope_parameters
        path, other = f"{where}.{key}", getattr(found, key, (getattr(found, "rope_parameters", None) or {}).get(key))
        if isinstance(value, Mapping) and isinstance(other, PretrainedConfig):
            yield from _differences(value, other, where=path)
        elif path != OF_THE_TOKENIZER and _plain(value) != _plain(other):
            yield f"{path} is {value!r} in the config, {other!r} in the folder"


def _plain(value: Any) -> Any:
    """Lists and tuples alike; one number for both sides of a square."""
    if isinstance(value, list | tuple):
        parts = [_plain(part) for part in value]
        return parts[0] if len(parts) == 2 and parts[0] == parts[1] else parts
    return value


def _check_weights(folder: Path, report: Mapping[str, Any], *, free: Sequence[str]) -> None:
    missing = sorted(name for name in report["missing_keys"] if not any(part in name for part in free))
    unread = sorted(name for name in report["unexpected_keys"] if not any(part in name for part in free))
    if missing or unread:
        raise CheckpointError(
            f"{folder} does not hold this model: {len(missing)} weights are missing, which would be drawn at random ({some_of(missing)}); "
            f"{len(unread)} are read by nothing ({some_of(unread)}). Import it again (tools/import_weights.py), or correct task.model."
        )
