"""Processors from configs: sizes come from the model, choices from the config."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from eocore.errors import ConfigError
from eocore.option_types import annotations_of, check_option

Options = TypeVar("Options")
Processor = TypeVar("Processor")


def make_processor(
    fields: Mapping[str, Any], decided: Mapping[str, Any], *, options_class: type[Options], make: Callable[[Options], Processor]
) -> Processor:
    """A processor whose options are those that a model decides and those that a config states.

    Args:
        fields: `processor` of a config.
        decided: options that the config of the model decides.
        options_class: dataclass of the options; its annotations are the types that `fields` may have.
        make: makes the processor of its options; ValueError or TypeError where they do not fit together.

    Raises:
        ConfigError: `fields` states what the model decides, a value of another type, or something that the processor does not take.
    """
    clash = sorted(set(fields) & set(decided))
    if clash:
        raise ConfigError(f"processor states {', '.join(clash)}, which the model decides. Remove it.")
    annotations = annotations_of(options_class)
    for key, value in fields.items():
        check_option(f"processor.{key}", value, annotation=annotations.get(key, Any))
    try:
        return make(options_class(**decided, **fields))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"processor: {str(error).rstrip('.')}. Fields: see {options_class.__name__}.") from error
