"""What a checkpoint records of the run that wrote it, so that a later one can tell whether it would continue alike."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mmengine.config import Config
from torch.utils.data import DataLoader

from eocore.data.content import describe_content
from eocore.data.dataset import SampleSource
from eocore.distributed import find_on_first
from eocore.registry import HOOKS, TASKS
from eocore.resolve import Resolved, declared, join, resolve, resolve_instance
from eocore.train.options import GROUPS
from eocore.train.resilience.heartbeat import HEARTBEAT
from eocore.train.task import Task

KINDS = {
    "seed": "seed",
    "precision": "precision",
    "training": "training",
    "training.deterministic": "precision",
    "deepspeed": "precision",
    "guard": "training",
    "hooks": "training",
    "task": "task",
    "optimizer": "schedule",
    "schedule": "schedule",
    "max_iters": "schedule",
    **{f"task.{name}": kind for group in GROUPS for name, kind in group.option_kinds.items()},
}
"""Beginning of an option's path -> key of `eocore.train.checkpoint.allowable.ALLOWABLE`; the longest counts."""


@dataclass(frozen=True)
class RunRecord:
    """A run's options and data.

    Attributes:
        options: nested, as the config has them, defaults filled in.
        defaults: path of an option -> its default in this version.
        kinds: beginning of a path -> key of ALLOWABLE.
        content: of the data, see `eocore.data.content`; None where the loader does not tell.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=lambda: KINDS)
    content: Mapping[str, Any] | None = None


def record_run(config: Config, task: Task, *, loader: DataLoader, sections: Mapping[str, Any]) -> RunRecord:
    """The record of a run, before its first step. Call it on all ranks; the first one reads the data's files.

    Args:
        config: of the run.
        task: built from it, not wrapped.
        loader: of the training.
        sections: name -> options dataclass, or a plain value, of what stands beside the task and the hooks.

    Raises:
        EOError: an annotation file cannot be read any more; on all ranks.
    """
    parts = {
        name: resolve_instance(value) if hasattr(value, "__dataclass_fields__") else resolve(value) for name, value in sections.items()
    }
    resolved = join({**parts, "hooks": resolve(_acting_hooks(config)), "task": _resolve_task(config.get("task", {}), task)})
    kinds = KINDS | {f"task.{name}": kind for name, kind in declared(type(task), "option_kinds").items()}
    return RunRecord(resolved.values, resolved.defaults, kinds, _content_from_first(loader))


def _resolve_task(config: Mapping[str, Any], task: Task) -> Resolved:
    described = task.resolved()
    given = {name: value for name, value in config.items() if name not in described}
    plain = resolve(given, TASKS.module_dict.get(config.get("type"), type(task)))
    kept = {name: value for name, value in plain.values.items() if name not in described}
    joined = join({name: part for name, part in described.items() if name not in declared(type(task), "uncompared")})
    return Resolved({**kept, **joined.values}, {**plain.defaults, **joined.defaults})


def _acting_hooks(config: Config) -> list[dict[str, Any]]:
    """Hooks of the config that may change the training; one that only looks on says so by `observes_only`."""
    entries = [dict(entry) for entry in config.get("hooks", {}).values() if entry is not None]
    acting = [entry for entry in entries if not getattr(HOOKS.module_dict.get(entry.get("type")), "observes_only", False)]
    return sorted(acting, key=lambda entry: str(entry.get("type")))


def _content_from_first(loader: DataLoader) -> dict[str, Any] | None:
    source = getattr(loader.dataset, "dataset", None)
    if not isinstance(source, SampleSource):
        return None
    HEARTBEAT.mark("reading annotation files for their digests")
    return find_on_first(lambda: describe_content(source))
