"""What is trained: one declaration of parameter patterns, which also decides what a checkpoint holds."""

import fnmatch
import re
from collections.abc import Sequence

from torch import nn

from eocore.errors import ConfigError
from eocore.text import nearest

REGEX_PREFIX = "re:"
MAX_NEAREST = 3


def apply_trainable(model: nn.Module, patterns: Sequence[str]) -> None:
    """Trains the parameters that a pattern matches, freezes all others.

    Args:
        model: changed in place (`requires_grad`).
        patterns: each one a parameter name (`fusion.query`), a module name (`fusion`: all below it), a shell pattern (`*.mlp.*`), or
            `re:` and a regular expression that must match a whole parameter name.

    Raises:
        ConfigError: a pattern matches nothing.
    """
    names = [name for name, _ in model.named_parameters()]
    chosen: set[str] = set()
    for pattern in patterns:
        matched = {name for name in names if matches(name, pattern)}
        if not matched:
            raise ConfigError(
                f"trainable pattern '{pattern}' matches no parameter of {type(model).__name__}, so what it names would stay frozen. "
                f"{_nearest(pattern, names)}"
            )
        chosen |= matched
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in chosen)


def trainable_names(model: nn.Module) -> list[str]:
    """Names of the parameters that are trained and saved, in the model's order."""
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad]


def matches(name: str, pattern: str) -> bool:
    """True where a pattern, as `apply_trainable` takes it, means the parameter of that name. Raises ConfigError for a broken expression."""
    if pattern.startswith(REGEX_PREFIX):
        try:
            return re.fullmatch(pattern.removeprefix(REGEX_PREFIX), name) is not None
        except re.error as error:
            raise ConfigError(f"trainable pattern '{pattern}' is not a regular expression: {error}. Correct it.") from error
    return name == pattern or name.startswith(pattern + ".") or fnmatch.fnmatchcase(name, pattern)


def _nearest(pattern: str, names: list[str]) -> str:
    modules = {name.rsplit(".", depth)[0] for name in names for depth in range(name.count(".") + 1)}
    near = nearest(pattern.removeprefix(REGEX_PREFIX), sorted(modules), count=MAX_NEAREST, cutoff=0.4)
    top = sorted({name.split(".")[0] for name in names})
    return f"Nearest names: {', '.join(near)}." if near else f"Top-level names: {', '.join(top)}."
