"""Whether a config is the one a checkpoint was trained with: other sizes do not load, but images shown otherwise would pass in silence."""

import ast
from collections.abc import Sequence

from eocore.errors import ConfigError

COMPARED = ("model", "processor", "trainable_tokens", "lora")
"""Parts of `task` that decide what a model computes."""

MOVABLE = "pretrained"
"""A key that names a folder, at any depth; folders may have moved since, as those of data and tokenizer may."""


def require_same_task(config_text: str, recorded_text: str, *, source: str, parts: Sequence[str] = COMPARED) -> None:
    """Nothing, if both configs agree on the parts of `task`.

    The recorded text is parsed, never executed: a checkpoint may come from anywhere.

    Args:
        config_text: of the config at hand, as mmengine prints it.
        recorded_text: of the training, from its checkpoint.
        source: of the recorded text, for messages.
        parts: keys of `task`.

    Raises:
        ConfigError: they differ.
    """
    here, there = _task_parts(config_text), _task_parts(recorded_text)
    different = [f"task.{part}" for part in parts if here.get(part) != there.get(part)]
    if different:
        raise ConfigError(
            f"{', '.join(different)} of this config is not what {source} was trained with; the model would be shown other images than it "
            "learned from, or be another one. Give the config of the training, with the same --cfg-options."
        )


def _task_parts(text: str) -> dict[str, str]:
    """Key -> canonical form of its value, for each key of `task = dict(...)`."""
    try:
        statements = ast.parse(text).body
    except SyntaxError:
        return {}
    for statement in statements:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call):
            names = [target.id for target in statement.targets if isinstance(target, ast.Name)]
            if names == ["task"]:
                return {keyword.arg: ast.dump(_without_positions(keyword.value)) for keyword in statement.value.keywords if keyword.arg}
    return {}


def _without_positions(value: ast.expr) -> ast.expr:
    for node in ast.walk(value):
        if isinstance(node, ast.Call):
            node.keywords = [keyword for keyword in node.keywords if keyword.arg != MOVABLE]
    return value
