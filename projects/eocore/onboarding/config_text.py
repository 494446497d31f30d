"""The config of a new data set: it inherits a shipped one by name and holds the data alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config

from eocore.config import load_config
from eocore.errors import ConfigError
from eocore.evaluate.benchmarks.custom import settings_of
from eocore.onboarding.choices import CAPTION, CHAT, CLASSIFICATION, REFERRING
from eocore.onboarding.entries import FILES
from eocore.shipped_configs import find_shipped

TEMPLATE, ANSWER = "Please segment {phrase} in this image.", "It is [SEG]."
QUESTIONS_AT_ONCE = 4
"""Most phrases of an image that one training sample asks for."""
SAME_WORDS = "vqa"
"""Task of answers of a few words, which are compared with the true ones."""


def read_base(name: str) -> tuple[str, Config]:
    """The entry of `_base_`, and the config that it names.

    Raises:
        ConfigError: there is no such config.
    """
    shipped = find_shipped(name, parts=True)
    return (Path(name).stem if shipped else name), load_config(shipped or Path(name))


def dataset_config(task: str, folder: Path, *, images: Mapping[str, Mapping[str, Any]], scored: str, training: bool) -> dict[str, Any]:
    """A data set of the config.

    Args:
        task: one of TASKS.
        folder: of the split's annotation files.
        images: role -> image source.
        scored: task of the evaluation, for conversations.
        training: whether several phrases of an image are asked for together.
    """
    found: dict[str, Any] = {"annotations": str(folder / FILES[task]), "images": {role: dict(source) for role, source in images.items()}}
    if task != REFERRING:
        return {"type": "LlavaDataset", "task": scored, **found}
    compose = {
        "type": "ComposeReferring",
        "num_expressions": QUESTIONS_AT_ONCE if training else 1,
        "templates": [TEMPLATE],
        "answers": [ANSWER],
    }
    return {"type": "ReferringJsonlDataset", "group": "image" if training else "expression", **found, "transforms": [compose]}


def scored_as(task: str, *, short: bool) -> str:
    """Task of the evaluation: by words where answers are short; long answers of a chat have no score."""
    return {CHAT: SAME_WORDS if short else CHAT, CLASSIFICATION: SAME_WORDS, CAPTION: CAPTION}.get(task, task)


def sensor_settings(roles: Sequence[str]) -> dict[str, list[str]]:
    """The sensor settings of an evaluation; a role that no setting shows is shown as "optical"."""
    return settings_of(roles) or {"optical": list(roles)}


def config_values(
    base: tuple[str, Config], parts: Mapping[str, Mapping[str, Any]], *, tests: Sequence[Mapping[str, Any]], folder: Path
) -> dict[str, Any]:
    """The values of the config.

    Args:
        base: from `read_base`.
        parts: task -> data set of the training.
        tests: data sets of the evaluation; none = no evaluation.
        folder: of the annotation files, for a tokenizer that is made of their words.

    Raises:
        ConfigError: the base describes no task.
    """
    name, known = base
    task: dict[str, Any] = dict(known.get("task") or {})
    if "type" not in task:
        raise ConfigError(f"--base {name}: it describes no task. Name a config of a model, such as own_tiny or own_4b.")
    roles = list(dict.fromkeys(role for part in parts.values() for role in part["images"]))
    settings = sensor_settings(roles)
    if len(roles) > 1:
        choose = {"type": "ChooseModalities", "settings": settings}
        parts = {key: {**part, "transforms": [*part.get("transforms", []), choose]} for key, part in parts.items()}
    data = _mixture(parts)
    section: dict[str, Any] = {"data": ({"_delete_": True} if isinstance(task.get("data"), dict) else {}) | data}
    if "corpus" in (task.get("tokenizer") or {}):
        corpus = [part["annotations"] for part in parts.values()]
        section = {"tokenizer": {"path": str(folder / "tokenizer"), "corpus": corpus}, **section}
    values: dict[str, Any] = {"_base_": [name], "task": section}
    if tests:
        evaluation: dict[str, Any] = {"batch_size": 8, "max_new_tokens": 64, "settings": settings, "datasets": list(tests)}
        values["evaluation"] = ({"_delete_": True} if "evaluation" in known else {}) | evaluation
    return values


def _mixture(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The only data set, or a mixture of several."""
    if len(parts) == 1:
        return dict(next(iter(parts.values())))
    return {"type": "Mixture", "parts": [{"name": name, "weight": 1.0, "data": dict(data)} for name, data in parts.items()]}


class _Plain(yaml.SafeDumper):
    """Writes equal values out each time: a config with anchors is hard to read and to edit."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def config_text(values: Mapping[str, Any], comments: Sequence[str]) -> str:
    """YAML, with lines of comments above."""
    shown = yaml.dump(dict(values), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)
    return "".join(f"# {line}\n" for line in comments) + shown
