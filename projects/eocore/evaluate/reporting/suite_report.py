"""The report of a run of benchmarks: the table of all, then each with its tables, charts, and best and worst samples."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from eocore.errors import EOError
from eocore.evaluate.benchmarks.loading import choose, load_benchmarks
from eocore.evaluate.engine.inputs import PREDICTIONS
from eocore.evaluate.engine.run_options import Outcome
from eocore.evaluate.predictions import read_predictions
from eocore.evaluate.reporting.charts import draw_confusion, draw_types
from eocore.evaluate.reporting.pages import Heading, Note, Part, Picture, write_pages
from eocore.evaluate.reporting.plots import OverlayRow
from eocore.evaluate.reporting.qualitative_examples import DRAWN_TASKS, qualitative_examples
from eocore.evaluate.reporting.report import describe_environment
from eocore.evaluate.reporting.summary import Result, suite_table
from eocore.evaluate.reporting.tables import (
    METRIC_NAMES,
    TextTable,
    compat_table,
    difference_table,
    environment_table,
    percent,
    reading_notes,
    unread_table,
)
from eocore.evaluate.scoring.scores import Scores, TaskScores
from eocore.log import get_logger

MOST_METRICS = 9
"""Columns of the table of all metrics; the rest are in scores.json."""


def write_suite_report(out: Path, results: Sequence[Result], *, title: str, outcomes: Sequence[Outcome] = ()) -> Path:
    """Writes report.html and report.md into `out`; returns the HTML file.

    Args:
        out: folder of the run.
        results: the scores of its benchmarks.
        title: heading.
        outcomes: of the run, to tell what is missing and why.
    """
    parts: list[Part] = [suite_table(results)]
    parts += [Note(f"{item.benchmark}: {item.state}. {item.reason}") for item in outcomes if item.reason]
    for result in results:
        parts += _benchmark_parts(out, result)
    parts += [Heading("Machine"), environment_table(describe_environment())]
    return write_pages(out, title, parts=parts)


def _benchmark_parts(out: Path, result: Result) -> list[Part]:
    scores, name = cast(Scores, result), result["benchmark"]
    scored: dict[str, TaskScores] = {setting: by_task[result["task"]] for setting, by_task in scores["settings"].items()}
    parts: list[Part] = [Heading(result["title"]), *_notes(result)]
    parts += [setting_table(scored), metric_table(scored), difference_table(scores), _group_table(scored)]
    if result["task"] != "classification":
        parts.append(type_table(scored))
    if any(item["by_type"] for item in scored.values()):
        parts.append(
            Picture(
                "By class" if result["task"] == "classification" else "By type",
                f"{name}_types.png",
                draw_types(scored, title=result["title"]),
            )
        )
    for setting, item in scored.items():
        if "confusion" in item:
            chart = draw_confusion(item["confusion"], title=f"{result['title']}, {setting}")
            parts.append(Picture(f"Confusion, {setting}", f"{name}_{setting}_confusion.png", chart))
    return [*parts, *_qualitative_examples(out, result), unread_table(scores), compat_table(scores)]


def _notes(result: Result) -> list[Note]:
    asked = f"{result['count']} samples" + (f" of {result['expected']} published" if result["expected"] else "")
    took = "" if result["time_s"] is None else f", {result['time_s']:.0f} s"
    lost = f"{result['n_missing']} missing, {result['n_unparsed']} unreadable in all settings{took}."
    made = f"Model {result['model']} ({result['model_stamp'][:12]}), code {result['commit'][:12] or 'unknown'}, "
    made += f"data {result['data_sha256'][:12]}, configuration {result['config_sha256'][:12]}."
    return [Note(f"{asked}; {lost}"), Note(made), *(Note(text) for text in (*result["notes"], *reading_notes(cast(Scores, result))))]


def setting_table(scored: dict[str, TaskScores]) -> TextTable:
    """The headline of each setting, with the counts."""
    rows = []
    for setting, item in scored.items():
        group, headline = item["overall"], item["headline"]
        macro = percent(item["macro"]) if "macro" in item else "-"
        counts = [str(group["n"]), str(group["n_missing"]), str(group["n_unparsed"])]
        rows.append((setting, METRIC_NAMES.get(headline, headline), percent(group["metrics"][headline]), macro, *counts))
    header = ("input", "metric", "score", "mean of types", "n", "missing", "unparsed")
    return TextTable("Scores [%]", header, tuple(rows), num_labels=2)


def type_table(scored: dict[str, TaskScores]) -> TextTable:
    """A row a question type, a column a setting."""
    first = next(iter(scored.values()))
    rows = []
    for kind, group in first["by_type"].items():
        values = [item["by_type"].get(kind, {}).get("metrics", {}).get(item["headline"]) for item in scored.values()]  # type: ignore[call-overload]
        rows.append((kind, *("-" if value is None else percent(value) for value in values), str(group["n"])))
    return TextTable("By type [%]", ("type", *scored, "n"), tuple(rows), num_labels=1)


def metric_table(scored: dict[str, TaskScores]) -> TextTable:
    """Every metric of the task by setting."""
    names = list(dict.fromkeys(name for item in scored.values() for name in item["overall"]["metrics"]))[:MOST_METRICS]
    rows = []
    for setting, item in scored.items():
        metrics = item["overall"]["metrics"]
        rows.append((setting, *(f"{100 * metrics[name]['value']:.1f}" if name in metrics else "-" for name in names)))
    return TextTable("All metrics [x 100]", ("input", *names), tuple(rows), num_labels=1)


def _group_table(scored: dict[str, TaskScores]) -> TextTable:
    rows = [
        (field, name, setting, f"{100 * group['metrics'][item['headline']]['value']:.1f}", str(group["n"]))
        for setting, item in scored.items()
        for field, groups in item["by_group"].items()
        for name, group in groups.items()
        if item["headline"] in group["metrics"]
    ]
    return TextTable("By group", ("field", "value", "input", "score", "n"), tuple(rows), num_labels=3)


def _qualitative_examples(out: Path, result: Result) -> list[Part]:
    if result["task"] not in DRAWN_TASKS:
        return []
    try:
        best, worst = _best_and_worst(out, result)
    except EOError as error:
        get_logger().warning("%s: no best and worst samples in the report: %s", result["benchmark"], error)
        return [Note(f"The best and worst samples are not shown: {error}")]
    legend = Note("Orange: annotated. Magenta: predicted, on the image of its input.")
    shown: list[Part] = []
    for heading, rows in (("Best", best), ("Worst", worst)):
        if rows:
            shown += [Heading(heading, level=3), legend, *rows]
    return shown


def _best_and_worst(out: Path, result: Result) -> tuple[list[OverlayRow], list[OverlayRow]]:
    known = load_benchmarks([result["system"]])
    name: str = result["benchmark"]
    benchmark = known[name] if name in known else choose([result["named"]], None, known=known)[0]
    source = benchmark(data_root=result["data_root"])
    metric: dict[str, Any] | None = result["metric"] or None
    return qualitative_examples(read_predictions(out / name / PREDICTIONS), source, metrics=metric)
