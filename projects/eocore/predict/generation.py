"""How answers are generated, by config: transformers' own options, and compilation of the steps that follow the prompt."""

from collections.abc import Mapping
from typing import Any

from transformers import CompileConfig

from eocore.errors import ConfigError
from eocore.portable.generation_options import OPTIONS, GenerationOptionError, check_answer_options, check_option
from eocore.portable.long_options import METHODS

LONG = "long"
"""What is done with long inputs, as METHOD[:RATIO] (`eocore.portable.long_options`)."""
COMPILE, CACHE = "compile", "cache_implementation"
STATIC = "static"


def generation_settings(options: Mapping[str, Any], *, shortens: bool = False) -> dict[str, Any]:
    """Arguments of the model's `answer`.

    Args:
        shortens: whether the models of the system can shorten long inputs (`long`).
        options: those of `eocore.portable.generation_options.OPTIONS`, such as `cache_implementation="static"` (a cache of fixed size), and
            `compile`: True or fields of transformers' CompileConfig compile the decode step, on any device, with a cache of fixed size;
            False leaves it uncompiled; without it, transformers compiles by itself where a cache of fixed size meets a GPU. `long`:
            METHOD[:RATIO] of `eocore.portable.long_options`.

    Raises:
        ConfigError: an option is unknown, is set elsewhere, does not keep answers and masks together, or has a wrong value; or the decode
            step is to be compiled for a cache that grows.
    """
    settings = {name: value for name, value in options.items() if name != COMPILE}
    _check_long(settings.get(LONG), shortens=shortens)
    for name, value in settings.items():
        if name == LONG:
            continue
        try:
            check_option(name, value)
        except GenerationOptionError as error:
            raise ConfigError(
                f"{error} Beside them {COMPILE}=true compiles the decode step." if name not in OPTIONS else str(error)
            ) from error
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


def check_with_model(settings: Mapping[str, Any], model: Any, *, max_new_tokens: int) -> None:
    """Nothing; raises ConfigError where the model's own generation config, or the length, does not go with the settings.

    Args:
        settings: from `generation_settings`.
        model: whose `generation_config` counts where the settings are silent.
        max_new_tokens: longest answer.
    """
    try:
        check_answer_options(
            {name: value for name, value in settings.items() if name != LONG}, model.generation_config, max_new_tokens=max_new_tokens
        )
    except GenerationOptionError as error:
        raise ConfigError(str(error)) from error


def _check_long(value: Any, *, shortens: bool) -> None:
    """Raise ConfigError where it is none of the methods; whether it goes with a model is said when the model is asked."""
    if value is None:
        return
    if not shortens:
        raise ConfigError(f"{LONG}={value!r}: models of this system read a fixed number of tokens of an image. Leave {LONG} out.")
    if not isinstance(value, str) or value.partition(":")[0] not in METHODS:
        raise ConfigError(f"{LONG}={value!r}: expected METHOD or METHOD:RATIO, with METHOD one of {', '.join(METHODS)}, as in compress:8.")


def _compile_config(wanted: Any) -> CompileConfig:
    """Raises ConfigError where `wanted` is neither True nor fields of CompileConfig."""
    try:
        config = CompileConfig(**({} if wanted is True else wanted))
    except TypeError as error:
        raise ConfigError(f"generation option {COMPILE}={wanted!r}: expected true, false or fields of CompileConfig ({error}).") from error
    config._compile_all_devices = True  # transformers' switch for devices that it leaves uncompiled by itself, such as CPUs
    return config
