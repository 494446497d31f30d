"""The config of a new data set: it inherits a shipped one by name and holds the data alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
VALIDATIONS = 4
"""In the training as the base describes it."""
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


@dataclass(frozen=True)
class SplitData:
    """Data sets of the config.

    Attributes:
        train: task -> data set of the training.
        val: data sets of the validation; none = no validation.
        test: data sets of the evaluation; none = no evaluation.
        metrics: what of the answers is scored while the model trains.
    """

    train: Mapping[str, Mapping[str, Any]]
    val: Sequence[Mapping[str, Any]] = ()
    test: Sequence[Mapping[str, Any]] = ()
    metrics: Sequence[str] = ()


def config_values(base: tuple[str, Config], data: SplitData, *, folder: Path) -> dict[str, Any]:
    """The values of the config.

    Args:
        base: from `read_base`.
        data: of the splits.
        folder: of the annotation files, for a tokenizer that is made of their words.

    Raises:
        ConfigError: the base describes no task, or would be evaluated on its own data.
    """
    name, known = base
    task: dict[str, Any] = dict(known.get("task") or {})
    if "type" not in task:
        raise ConfigError(f"--base {name}: it describes no task. Name a config of a model, such as own_tiny or own_4b.")
    if "evaluation" in known and not data.test:
        raise ConfigError(f"--base {name} evaluates on data of its own, and test is empty. Give test a share: --split 80,10,10.")
    roles = list(dict.fromkeys(role for part in data.train.values() for role in part["images"]))
    settings, parts = sensor_settings(roles), data.train
    if len(roles) > 1:
        choose = {"type": "ChooseModalities", "settings": settings}
        parts = {key: {**part, "transforms": [*part.get("transforms", []), choose]} for key, part in parts.items()}
    section: dict[str, Any] = {"data": _replacing(task.get("data")) | _mixture(parts)}
    if "corpus" in (task.get("tokenizer") or {}):
        corpus = [part["annotations"] for part in parts.values()]
        section = {"tokenizer": {"path": str(folder / "tokenizer"), "corpus": corpus}, **section}
    values: dict[str, Any] = {"_base_": [name], "task": section}
    training = dict(known.get("training") or {})
    if data.val:
        values["training"] = {
            "validation": _replacing(training.get("validation")) | _validation(data, settings, length=training.get("max_iters"))
        }
    elif training.get("validation"):
        values["training"] = {"validation": None}
    if data.test:
        shown = {"batch_size": 8, "max_new_tokens": 64, "settings": settings, "datasets": list(data.test)}
        values["evaluation"] = _replacing(known.get("evaluation")) | shown
    return values


def _validation(data: SplitData, settings: Mapping[str, Sequence[str]], *, length: int | None) -> dict[str, Any]:
    """Some validations in a training of that many updates; the checkpoint with the least loss is kept."""
    every = max(1, (length or VALIDATIONS) // VALIDATIONS)
    found: dict[str, Any] = {"every": every, "data": list(data.val), "settings": dict(settings), "best": "loss"}
    return found | ({"metrics": list(data.metrics), "samples": 32} if data.metrics else {})


def _replacing(inherited: Any) -> dict[str, Any]:
    """What a section begins with so that nothing of the inherited one stays."""
    return {"_delete_": True} if isinstance(inherited, dict) else {}


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
