"""Benchmarks by name: where the files lie, who reads them, what is asked, under which sensors, how it is scored, how many there must be."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eocore.config import system_module
from eocore.data.dataset import RecordDataset
from eocore.errors import ConfigError, DataError
from eocore.evaluate.predictions import SETTINGS, TASKS
from eocore.registry import BENCHMARKS, DATASETS

SUITES = ("image", "region", "pixel", "multispectral", "earthmind-bench")
"""Groups that one script of scripts_eval/ runs."""

ROOT, PROMPT = "$root", "$prompt"
"""Places in a benchmark's data set config: the data folder, and the benchmark's prompt."""

GREYED = {"grey_sar": "sar", "grey_rgb": "rgb"}
"""Setting -> the modality whose image is replaced by an even grey."""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One published test set, or one file of a user's own.

    Attributes:
        name: what the command line calls it.
        title: what tables call it.
        suite: one of SUITES, "" = none.
        task: one of `predictions.TASKS`.
        metric: config of the registry METRICS; empty = the task's own (`score.DEFAULT_SCORERS`).
        prompt: what is asked; `{question}`, `{phrase}` and `{classes}` stand for the entry's own.
        mask_prompt: what a model is asked instead that shows places by masks, not by numbers; "" = the same.
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
                f"{', '.join(TASKS)}; suites {', '.join(SUITES)}; settings {', '.join(SETTINGS)}."
            )

    def __call__(self, *, data_root: str, limit: int | None = None) -> RecordDataset:
        """The samples. Raises as the data set's class says."""
        source: RecordDataset = DATASETS.build({**self.config(data_root), "limit": limit, "name": self.name})
        return source

    def config(self, data_root: str) -> dict[str, Any]:
        """The data set's config with its places filled."""
        filled: dict[str, Any] = _fill(self.dataset, {ROOT: data_root.rstrip("/"), PROMPT: self.prompt})
        return filled

    def files(self, data_root: str) -> list[Path]:
        """The files and folders the benchmark is read from: annotations first, then the image folders."""
        return list(dict.fromkeys(Path(text) for text in _rooted(self.dataset, data_root.rstrip("/"))))

    def absent(self, data_root: str) -> list[Path]:
        """Those that are not there."""
        return [path for path in self.files(data_root) if not path.exists()]


def _fill(value: Any, places: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for place, text in places.items():
            value = value.replace(place, text)
        return value
    if isinstance(value, Mapping):
        return {key: _fill(item, places) for key, item in value.items()}
    return [_fill(item, places) for item in value] if isinstance(value, list | tuple) else value


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


def load_benchmarks(systems: Sequence[str] = ()) -> dict[str, Benchmark]:
    """All benchmarks by name: those of this package, and those of the systems' modules `benchmarks`.

    Raises:
        ConfigError: a system that may not be imported.
    """
    from eocore.evaluate.benchmarks import (
        caption,  # noqa: F401  (they register themselves)
        grounding,  # noqa: F401  (they register themselves)
        multispectral,  # noqa: F401  (they register themselves)
        region,  # noqa: F401  (they register themselves)
        scene,  # noqa: F401  (they register themselves)
        ships,  # noqa: F401  (they register themselves)
        vqa,  # noqa: F401  (they register themselves)
    )

    for system in systems:
        system_module(system, "benchmarks")
    return {name: BENCHMARKS.get(name) for name in sorted(BENCHMARKS.module_dict)}


def choose(names: Sequence[str], suite: str | None, known: Mapping[str, Benchmark]) -> list[Benchmark]:
    """The benchmarks of these names and of this suite, in the order of the suite, then of the names.

    Raises:
        ConfigError: an unknown name, or nothing chosen.
    """
    from eocore.evaluate.benchmarks.custom import CUSTOM, custom_benchmark

    chosen = [item for item in known.values() if suite and item.suite == suite]
    for name in names:
        if name.startswith(CUSTOM):
            chosen.append(custom_benchmark(name))
        elif name in known:
            chosen.append(known[name])
        else:
            raise ConfigError(f"no benchmark '{name}'.{_near(name, known)} Choices: {', '.join(known)}, {CUSTOM}TASK:FILE.jsonl.")
    if not chosen:
        raise ConfigError(f"no benchmark chosen. Give --benchmark NAME or --suite, one of {', '.join(SUITES)}.")
    twice = sorted({item.name for item in chosen if sum(other.name == item.name for other in chosen) > 1})
    if twice:
        raise ConfigError(f"chosen twice: {', '.join(twice)}. Name each once; two files of one's own need different names.")
    return chosen


def _near(name: str, known: Mapping[str, Benchmark]) -> str:
    import difflib

    near = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean '{near[0]}'?" if near else ""


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
