"""How answers are generated, by config: transformers' own options, and compilation of the steps that follow the prompt."""

from collections.abc import Mapping
from typing import Any

from transformers import CompileConfig, GenerationConfig

from eocore.errors import ConfigError

COMPILE, CACHE = "compile", "cache_implementation"
STATIC = "static"
ELSEWHERE = {
    "max_new_tokens": "it has an option of its own",
    "max_length": "max_new_tokens limits answers",
    "num_beams": "masks belong to one answer a sample",
    "num_return_sequences": "masks belong to one answer a sample",
    "return_dict_in_generate": "what is generated becomes answers",
}
"""Options of `generate` that are not to be set here, and why."""


def generation_settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of the model's `answer`.

    Args:
        options: fields of transformers' GenerationConfig, such as `cache_implementation="static"` (a cache of fixed size), and `compile`:
            True or fields of transformers' CompileConfig compile the decode step, on any device, with a cache of fixed size; False leaves
            it uncompiled; without it, transformers compiles by itself where a cache of fixed size meets a GPU.

    Raises:
        ConfigError: an option is unknown or set elsewhere, or the decode step is to be compiled for a cache that grows.
    """
    settings = {name: value for name, value in options.items() if name != COMPILE}
    known = GenerationConfig()
    for name in settings:
        if name in ELSEWHERE:
            raise ConfigError(f"generation option '{name}' cannot be set here: {ELSEWHERE[name]}.")
        if name.startswith("_") or not hasattr(known, name) or callable(getattr(known, name)):
            raise ConfigError(f"no generation option '{name}'. Options: {COMPILE}, and the fields of transformers' GenerationConfig.")
    wanted = options.get(COMPILE)
    if wanted is None:
        return settings
    if wanted is False:
        return {**settings, "disable_compile": True}
    if settings.get(CACHE, STATIC) != STATIC:
        raise ConfigError(
            f"generation options {CACHE}='{settings[CACHE]}' and {COMPILE}: a compiled step needs a cache of fixed size. "
            f"Leave {CACHE} out or set it to '{STATIC}'."
        )
    return {**settings, CACHE: STATIC, "compile_config": _compile_config(wanted)}


def _compile_config(wanted: Any) -> CompileConfig:
    """Raises ConfigError where `wanted` is neither True nor fields of CompileConfig."""
    try:
        config = CompileConfig(**({} if wanted is True else wanted))
    except TypeError as error:
        raise ConfigError(f"generation option {COMPILE}={wanted!r}: expected true, false or fields of CompileConfig ({error}).") from error
    config._compile_all_devices = True  # transformers' switch for devices that it leaves uncompiled by itself, such as CPUs
    return config
