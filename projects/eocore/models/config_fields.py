"""Fields of a model in a config, compared with what the config class of the model reads."""

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import AutoConfig, PretrainedConfig

from eocore.errors import ConfigError
from eocore.option_types import check_option
from eocore.text import did_you_mean

FIELDS_BY_OTHER_NAMES = ("head_dim", "rope_theta", "rope_scaling", "attn_implementation")
"""Fields that transformers reads from configs which do not show them."""


def check_fields(given: Mapping[str, Any], known: PretrainedConfig, *, where: str) -> None:
    """Raise ConfigError for a field that transformers would take in silence and nothing would read."""
    for key, value in given.items():
        part = getattr(known, key, None)
        _check_kind(value, part, where=f"{where}.{key}")
        if not hasattr(known, key) and key not in FIELDS_BY_OTHER_NAMES:
            raise ConfigError(
                unknown_field(f"{where}.{key}", type(known).__name__, key=key, choices=[name for name in vars(known) if name[0] != "_"])
            )
        if isinstance(value, Mapping) and isinstance(part, PretrainedConfig):
            check_fields(value, _default_config(value, part, where=f"{where}.{key}"), where=f"{where}.{key}")


def _check_kind(value: Any, default: Any, *, where: str) -> None:
    """Raise ConfigError if a field is of another kind than its default: a text for a number, a list for a part of the model."""
    if isinstance(default, PretrainedConfig):
        check_option(where, value, annotation=Mapping[str, Any])
    elif isinstance(default, bool | str) and value is not None:
        check_option(where, value, annotation=type(default))
    elif isinstance(default, int | float) and isinstance(value, str | Mapping | bool):
        check_option(where, value, annotation=float)


def _default_config(given: Mapping[str, Any], otherwise: PretrainedConfig, *, where: str) -> PretrainedConfig:
    if not given.get("model_type"):  # transformers 5.17 writes "" for parts without a type of their own
        return otherwise
    try:
        return AutoConfig.for_model(given["model_type"])
    except ValueError as error:
        raise ConfigError(f"{where}.model_type='{given['model_type']}' is no model that transformers knows; such as qwen2.") from error


def unknown_field(field: str, owner: str, *, key: str, choices: Sequence[str]) -> str:
    """The refusal of a field that nothing reads, with the nearest choice."""
    hint = did_you_mean(key, choices) or f" Fields: {', '.join(sorted(choices))}."
    return f"{field} is read by nothing: {owner} has no '{key}'.{hint}"
