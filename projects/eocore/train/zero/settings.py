"""DeepSpeed configurations: the shipped ones by name, others by path."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eocore.errors import ConfigError
from eocore.option_types import check_option
from eocore.shipped_configs import CONFIGS

ZERO_FOLDER = CONFIGS / "_base_" / "zero"
ONLY_LAYOUT = ("zero_optimization", "zero_allow_untested_optimizer", "zero_force_ds_cpu_optimizer")
"""Entries of a DeepSpeed configuration that decide where tensors lie, not what is computed."""
QUANTIZED = "zero_quantized_"
"""Beginning of the entries of `zero_optimization` that round what is sent. Source: DeepSpeed, ZeRO++."""


def load_zero_config(name: str) -> dict[str, Any]:
    """The DeepSpeed configuration called `name`.

    Args:
        name: a file of configs/_base_/zero without its ending (`deepspeed_zero2`), or the path of a JSON file.

    Raises:
        ConfigError: there is no such file, or it is not JSON.
    """
    path = Path(name) if name.endswith(".json") else ZERO_FOLDER / f"{name}.json"
    if not path.is_file():
        choices = ", ".join(sorted(file.stem for file in ZERO_FOLDER.glob("*.json")))
        raise ConfigError(f"no DeepSpeed configuration '{name}': {path} does not exist. Choices: {choices}, or the path of a JSON file.")
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}:{error.lineno}: not JSON ({error.msg}), so DeepSpeed cannot be configured. Correct it.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: no text in UTF-8, so DeepSpeed cannot be configured. Name a JSON file.") from error
    check_option(str(path), found, annotation=Mapping[str, Any])
    check_option(f"{path}: zero_optimization", found.get("zero_optimization", {}), annotation=Mapping[str, Any])
    return found


def arithmetic_of(zero_config: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a DeepSpeed configuration that change what is computed; none in the files of configs/_base_/zero."""
    rounded = {name: value for name, value in zero_config.get("zero_optimization", {}).items() if name.startswith(QUANTIZED)}
    return {name: value for name, value in zero_config.items() if name not in ONLY_LAYOUT} | rounded
