"""The registries every part is built from, by name, through typed keyword-only constructors."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from mmengine.registry import Registry

from eocore.errors import ConfigError
from eocore.option_types import annotations_of, check_option
from eocore.text import did_you_mean

SCOPE = "eocore"


def build_from_config(config: Mapping[str, Any], registry: Registry, **handed_in: Any) -> Any:
    """What `config` describes, built from `registry` by its plain name.

    Dotted names are not imported, so a config can only build what a package registered.

    Args:
        config: `type` (a registered name) and the constructor's keyword arguments.
        registry: where the name is looked up.
        **handed_in: objects a config cannot express (a processor, a tokenizer); they win over nothing, a clash is an error.

    Raises:
        ConfigError: `type` is missing or unknown, a key is not an argument, an argument is missing, or a value is of another type.
    """
    if not isinstance(config, Mapping):
        raise ConfigError(f"registry '{registry.name}': expected a mapping with a 'type', found {type(config).__name__}: {config!r}.")
    arguments = dict(config)
    name = arguments.pop("type", None)
    factory = _lookup(name, registry)
    clash = sorted(set(arguments) & set(handed_in))
    if clash:
        raise ConfigError(f"{name}: {', '.join(clash)} is handed in by the framework and cannot stand in the config. Remove it there.")
    annotations = annotations_of(options_of(factory))
    _check_arguments(name, factory, arguments={**arguments, **handed_in})
    for key, value in arguments.items():
        check_option(f"{name}.{key}", value, annotation=annotations.get(key, Any))
    return factory(**arguments, **handed_in)


def _lookup(name: Any, registry: Registry) -> Callable[..., Any]:
    choices = sorted(registry.module_dict)
    if not isinstance(name, str):
        raise ConfigError(f"registry '{registry.name}': 'type' must be one of {choices}, found {name!r}.")
    factory = registry.module_dict.get(name)
    if factory is None:
        raise ConfigError(f"registry '{registry.name}' has no '{name}'.{did_you_mean(name, choices)} Choices: {', '.join(choices)}.")
    return factory


def _check_arguments(name: str, factory: Callable[..., Any], *, arguments: Mapping[str, Any]) -> None:
    parameters = {
        key: parameter
        for key, parameter in inspect.signature(options_of(factory)).parameters.items()
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    }
    for key in arguments:
        if key not in parameters:
            raise ConfigError(f"{name} has no argument '{key}'.{did_you_mean(key, list(parameters))} Arguments: {', '.join(parameters)}.")
    missing = [key for key, parameter in parameters.items() if parameter.default is parameter.empty and key not in arguments]
    if missing:
        raise ConfigError(f"{name} needs {', '.join(missing)}, which the config does not give. Arguments: {', '.join(parameters)}.")


def options_of(factory: Callable[..., Any]) -> Callable[..., Any]:
    """What has the keyword arguments of `factory` in its signature: the dataclass that it names as `options_class`, or `factory` itself."""
    return getattr(factory, "options_class", None) or factory


def find_factory(name: Any) -> Callable[..., Any] | None:
    """What is registered under `name` in any of the registries; None where nothing is."""
    found = (registry.module_dict.get(name) for registry in _registries) if isinstance(name, str) else ()
    return next((factory for factory in found if factory is not None), None)


_registries: list[Registry] = []


def _registry(name: str, *locations: str) -> Registry:
    registry = Registry(name, build_func=build_from_config, scope=SCOPE, locations=list(locations))
    _registries.append(registry)
    return registry


DATASETS = _registry("dataset")
TRANSFORMS = _registry("transform")
TOKENIZERS = _registry("tokenizer")
TASKS = _registry("task")
HOOKS = _registry("hook")
METRICS = _registry("metric")
BENCHMARKS = _registry("benchmark")
RATIOS = _registry("ratio")
