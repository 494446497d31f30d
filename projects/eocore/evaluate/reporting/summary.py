"""The one table a run of benchmarks ends with."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eocore.errors import DataError
from eocore.evaluate.engine.inputs import SCORES, require_scores_of
from eocore.evaluate.reporting.tables import METRIC_NAMES, TextTable, percent
from eocore.evaluate.scoring.intervals import Value
from eocore.evaluate.scoring.scores import TaskScores
from eocore.evaluate.settings import SETTINGS

TYPED_TASKS = ("vqa", "mcq", "open")
"""Tasks whose question types get rows of their own; classes of pictures are too many, and have charts."""

INDENT = "\u2003"
"""Before the rows of a benchmark's question types; an em space, which HTML and Markdown keep."""

Result = Mapping[str, Any]
"""The content of a scores.json."""


def read_results(folder: Path, names: Sequence[str] = ()) -> list[Result]:
    """The scores of the benchmarks under a run's folder, those of `names` in their order, or all by name.

    Raises:
        DataError: there is none, a file cannot be read, or the predictions beside it are others than those it was made of.
    """
    chosen = [folder / name for name in names] if names else sorted(path.parent for path in folder.glob(f"*/{SCORES}"))
    results = [read_result(index) for index in chosen]
    if not results:
        raise DataError(f"{folder} holds no scores. Run a benchmark into it first, or name the --out folder of `run`.")
    return results


def read_result(folder: Path) -> Result:
    """The scores in a folder, made sure to be of the predictions beside them.

    Raises:
        DataError: there are none, they cannot be read, or the predictions are others than those they were made of.
    """
    path = folder / SCORES
    try:
        result: Result = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read ({error}). Run the evaluation, or merge its shards (python -m eocore.evaluate merge)."
        ) from error
    require_scores_of(result, folder)
    return result


def suite_table(results: Sequence[Result], *, title: str = "Scores [%]") -> TextTable:
    """A row a benchmark and each question type, a column a sensor setting; `n`: samples, of each setting where
    they differ; `lost`: missing and unreadable answers of all settings."""
    settings = [name for name in SETTINGS if any(name in result["settings"] for result in results)]
    rows = [row for result in results for row in _rows(result, settings)]
    return TextTable(title, ("benchmark", "metric", *settings, "n", "lost"), tuple(rows))


def _rows(result: Result, settings: Sequence[str]) -> list[tuple[str, ...]]:
    scored: dict[str, TaskScores] = {name: by_task[result["task"]] for name, by_task in result["settings"].items()}
    first = next(iter(scored.values()))
    headline = first["headline"]
    lost = sum(item["overall"]["n_missing"] + item["overall"]["n_unparsed"] for item in scored.values())
    whole = {name: item["overall"]["metrics"].get(headline) for name, item in scored.items()}
    rows = [
        _row(
            result["title"],
            METRIC_NAMES.get(headline, headline),
            values=whole,
            settings=settings,
            count=_counts(item["overall"]["n"] for item in scored.values()),
            lost=str(lost),
        )
    ]
    if result["task"] not in TYPED_TASKS:
        return rows
    for kind in dict.fromkeys(kind for item in scored.values() for kind in item["by_type"]):
        groups = {name: item["by_type"][kind] for name, item in scored.items() if kind in item["by_type"]}
        values = {name: group["metrics"].get(headline) for name, group in groups.items()}
        count = _counts(group["n"] for group in groups.values())
        rows.append(_row(f"{INDENT}{kind}", "", values=values, settings=settings, count=count, lost=""))
    for name, macro in _macros(scored).items():
        rows.append(_row(f"{INDENT}{name}", "", values=macro, settings=settings, count="", lost=""))
    return rows


def _counts(counts: Iterable[int]) -> str:
    """The number of samples, or the numbers where settings differ."""
    return "/".join(dict.fromkeys(map(str, counts)))


def _macros(scored: Mapping[str, TaskScores]) -> dict[str, dict[str, Value | None]]:
    """Means over types, and those over the choices of types that a convention asks for."""
    found: dict[str, dict[str, Value | None]] = {}
    for name, item in scored.items():
        if "macro" in item:
            found.setdefault(f"mean of {len(item['by_type'])} types", {})[name] = item["macro"]
        for choice, subset in item["subsets"].items():
            if "macro" in subset:
                found.setdefault(f"mean of types {choice}", {})[name] = subset["macro"]
    return found


def _row(title: str, metric: str, *, values: Mapping[str, Value | None], settings: Sequence[str], count: str, lost: str) -> tuple[str, ...]:
    cells = [values.get(name) for name in settings]
    return (title, metric, *("-" if value is None else percent(value) for value in cells), count, lost)
