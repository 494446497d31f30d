"""Benchmarks by name: where the files lie, who reads them, what is asked, under which sensors, how it is scored, how many there must be."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eocore.data.dataset import RecordDataset
from eocore.errors import ConfigError, DataError
from eocore.evaluate.settings import SETTINGS
from eocore.evaluate.suites import SUITES
from eocore.evaluate.tasks import TASKS
from eocore.registry import BENCHMARKS, DATASETS

ROOT, PROMPT = "$root", "$prompt"
"""Placeholders in a benchmark's data set config: the data folder, and the benchmark's prompt."""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One published test set, or one file of a user's own.

    Attributes:
        name: what the command line calls it.
        title: what tables call it.
        suite: one of `suites.SUITES`, "" = none.
        task: one of `tasks.TASKS`.
        metric: config of the registry METRICS for answers in text; empty = the task's own (`tasks.TASKS`).
        vector_metric: the same for class scores or embeddings.
        prompt: what is asked; `{question}`, `{phrase}` and `{classes}` stand for the entry's own.
        mask_prompt: what a model is asked instead that shows positions by masks, not by numbers; "" = the same.
        settings: sensor setting -> modalities fed.
        dataset: config of the registry DATASETS, `$root` and `$prompt` in its texts.
        expected: number of samples of the published test set; None where none is published.
        source: what to download, from where.
        max_new_tokens: longest answer of this kind.
        named: what a user's own file was called on the command line.
    """

    name: str
    title: str
    task: str
    settings: Mapping[str, Sequence[str]]
    dataset: Mapping[str, Any]
    prompt: str = "{question}"
    mask_prompt: str = ""
    metric: Mapping[str, Any] = field(default_factory=dict)
    vector_metric: Mapping[str, Any] = field(default_factory=dict)
    suite: str = ""
    expected: int | None = None
    source: str = ""
    max_new_tokens: int = 64
    named: str = ""

    def __post_init__(self) -> None:
        wrong = sorted(set(self.settings) - set(SETTINGS))
        if wrong or not self.settings or self.task not in TASKS or (self.suite and self.suite not in SUITES):
            raise ConfigError(
                f"benchmark '{self.name}': task '{self.task}', suite '{self.suite}', settings {sorted(self.settings)}; choices: tasks "
                f"{TASKS}; suites {SUITES}; settings {SETTINGS}."
            )

    def __call__(self, *, data_root: str, limit: int | None = None) -> RecordDataset:
        """The samples. Raises as the data set's class says."""
        source: RecordDataset = DATASETS.build({**self.config(data_root), "limit": limit, "name": self.name})
        return source

    def config(self, data_root: str) -> dict[str, Any]:
        """The data set's config with its placeholders filled."""
        filled: dict[str, Any] = _fill(self.dataset, {ROOT: data_root.rstrip("/"), PROMPT: self.prompt})
        return filled

    def files(self, data_root: str) -> list[Path]:
        """The files and folders the benchmark is read from: annotations first, then the image folders."""
        return list(dict.fromkeys(Path(text) for text in _rooted(self.dataset, data_root.rstrip("/"))))

    def absent(self, data_root: str) -> list[Path]:
        """Those that are not there."""
        return [path for path in self.files(data_root) if not path.exists()]


def _fill(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for placeholder, text in values.items():
            value = value.replace(placeholder, text)
        return value
    if isinstance(value, Mapping):
        return {key: _fill(item, values) for key, item in value.items()}
    return [_fill(item, values) for item in value] if isinstance(value, list | tuple) else value


def _rooted(value: Any, data_root: str) -> Iterable[str]:
    if isinstance(value, str):
        if value.startswith(ROOT):
            yield value.replace(ROOT, data_root)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _rooted(item, data_root)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _rooted(item, data_root)


def register(*benchmarks: Benchmark) -> None:
    """Puts benchmarks into the registry BENCHMARKS under their names."""
    for benchmark in benchmarks:
        BENCHMARKS.register_module(name=benchmark.name, module=benchmark)


def check_count(benchmark: Benchmark, found: int) -> str | None:
    """What is wrong with the number of samples, None where it is as published (or none is published)."""
    if benchmark.expected is None or found == benchmark.expected:
        return None
    return (
        f"benchmark '{benchmark.name}' has {found} samples, the published test set {benchmark.expected}: scores would not be comparable. "
        "Fetch the complete release; or allow it (--any-count), and the scores say so."
    )


def require_data(benchmark: Benchmark, data_root: str) -> None:
    """Nothing; raises DataError naming what is absent and where it comes from."""
    absent = benchmark.absent(data_root)
    if absent:
        raise DataError(
            f"benchmark '{benchmark.name}': {', '.join(map(str, absent))} not found. {benchmark.source or 'See docs/evaluation.md.'}"
        )
