"""The tables of a report, made once and shown as console, HTML or Markdown."""

from collections.abc import Mapping
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from eocore.evaluate.scoring.intervals import Value
from eocore.evaluate.scoring.scores import SET, Group, Scores, TaskScores
from eocore.evaluate.tasks import TASKS

METRIC_NAMES = {
    "miou": "mIoU", "oiou": "oIoU", "accuracy": "accuracy", "f1_sample": "F1", "cider": "CIDEr", "rouge_l": "ROUGE-L", "f1@0.5": "F1@0.5",
    "acc@0.5": "Acc@0.5",
}  # fmt: skip


@dataclass(frozen=True)
class TextTable:
    """Cells as text; the first `num_labels` columns name the row, the rest are figures."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    num_labels: int = 2


def percent(value: Value) -> str:
    """ "61.2 [55.0, 67.1]", all in per cent."""
    text = f"{100 * value['value']:.1f}"
    if value["low"] is None or value["high"] is None:
        return text
    return f"{text} [{100 * value['low']:.1f}, {100 * value['high']:.1f}]"


def console_table(scores: Scores) -> TextTable:
    """The headline metric of each task by setting, narrow enough for a console of 80 columns."""
    rows = []
    skies = _skies(scores)
    for task, setting, item in _cells(scores):
        overall, headline = item["overall"], item["headline"]
        clouds = (item["by_cloud"].get(name) for name in skies)
        figures = [f"{100 * group['metrics'][headline]['value']:.1f}" if group else "-" for group in clouds]
        lost = overall["n_missing"] + overall["n_unparsed"]
        row = (
            f"{task} {METRIC_NAMES.get(headline, headline)}",
            setting,
            percent(overall["metrics"][headline]),
            *figures,
            str(overall["n"]),
            str(lost),
        )
        rows.append(row)
    return TextTable("Scores [%]", ("task", "input", "all", *skies, "n", "failed"), tuple(rows))


def score_table(scores: Scores) -> TextTable:
    """The headline metric of each task by setting, for all, clear and cloudy samples, with the counts."""
    rows = []
    skies = _skies(scores)
    for task, setting, item in _cells(scores):
        groups = {"all": item["overall"], **item["by_cloud"]}
        figures = [percent(groups[name]["metrics"][item["headline"]]) if name in groups else "-" for name in ("all", *skies)]
        macro = percent(item["macro"]) if "macro" in item else "-"
        metric = METRIC_NAMES.get(item["headline"], item["headline"])
        rows.append((task, setting, metric, *figures, macro, *_counts(item["overall"])))
    header = ("task", "input", "metric", "all", *skies, "mean of types", "n", "missing", "unparsed")
    return TextTable("Scores [%]", header, tuple(rows), num_labels=3)


def _skies(scores: Scores) -> list[str]:
    """Of clear and cloudy, what some sample is said to be."""
    return [name for name in ("clear", "cloudy") if any(name in item["by_cloud"] for _, _, item in _cells(scores))]


def difference_table(scores: Scores) -> TextTable:
    """What the fused input gains over each single one, in points, paired over the same samples."""
    rows = tuple(
        (item["task"], f"{item['setting']} - {item['against']}", item["group"], percent(item["difference"]), str(item["n"]))
        for item in scores["differences"]
    )
    return TextTable("Gain of the fused input [points]", ("task", "difference", "samples", "gain", "n"), rows, num_labels=3)


def type_table(scores: Scores) -> TextTable:
    """The headline metric of each question type."""
    rows = [
        (task, name, setting, percent(group["metrics"][item["headline"]]), *_counts(group))
        for task, setting, item in _cells(scores)
        for name, group in item["by_type"].items()
    ]
    header = ("task", "type", "input", "score", "n", "missing", "unparsed")
    return TextTable("By type [%]", header, tuple(sorted(rows, key=lambda row: (TASKS.position(row[0]), row[1]))), num_labels=3)


def mask_table(scores: Scores) -> TextTable:
    """All metrics of the drawn masks, foreground only."""
    metrics = [
        (setting, item["overall"]["metrics"], item["overall"]["n_extra"]) for task, setting, item in _cells(scores) if task == "referring"
    ]
    names = list(metrics[0][1]) if metrics else []
    rows = tuple((setting, *(percent(values[name]) for name in names), str(extra)) for setting, values, extra in metrics)
    header = ("input", *(METRIC_NAMES.get(name, name.replace("pr@", "Pr@")) for name in names), "extra masks")
    return TextTable("Masks, foreground [%]", header, rows, num_labels=1)


def compat_table(scores: Scores) -> TextTable:
    """The upstream evaluation's figures, which count the background; apart from the others on purpose."""
    rows = []
    for task, setting, item in _cells(scores):
        for name, value in item["reference_compat"].items():
            rows.append((task, setting, name.replace("_", " "), percent(value)))
    return TextTable(
        "As published evaluations compute it; not to be compared with the figures above [%]",
        ("task", "input", "figure", "value"),
        tuple(rows),
        num_labels=3,
    )


def figure_tables(scores: Scores) -> list[TextTable]:
    """Every figure as it is computed, with four digits: by task and input, then what published evaluations make of it, apart."""
    rows = []
    compat = []
    for task, setting, item in _cells(scores):
        for name, group in _named_groups(item):
            for metric, value in group["metrics"].items():
                counts = _counts(group) if metric == item["headline"] else ("", "", "")
                rows.append((task, setting, name, metric, *_digits(value), *counts))
        for name, macro in _macros(item):
            rows.append((task, setting, name, item["headline"], *_digits(macro), "", "", ""))
        compat += [(task, setting, "all", name, *_digits(value)) for name, value in item["reference_compat"].items()]
    header = ("task", "input", "samples", "figure", "value", "95 % interval")
    tables = [TextTable("Scores", (*header, "n", "missing", "unparsed"), tuple(rows), num_labels=4), *_judge_tables(scores)]
    unread = unread_table(scores)
    tables += [unread] if unread.rows else []
    if compat:
        title = "As published evaluations compute it; not to be compared with the figures above"
        tables.append(TextTable(title, header, tuple(compat), num_labels=4))
    return tables


def _judge_tables(scores: Scores) -> list[TextTable]:
    """One for each task a language model judged."""
    tables = []
    for task, setting, item in _cells(scores):
        judge = item.get("judge")
        if judge is None:
            continue
        rows = []
        if "scores" in judge:
            groups = {"all": judge["scores"]["overall"], **judge["scores"]["by_type"]}
            rows = [(name, metric, *_digits(value)) for name, group in groups.items() for metric, value in group["metrics"].items()]
            rows += (
                [("mean of types", judge["scores"]["headline"], *_digits(judge["scores"]["macro"]))] if "macro" in judge["scores"] else []
            )
        title = f"{task}, {setting}: judged by {judge['model']} on {judge['date']}, {judge['n_failed']} of {judge['n']} failed"
        tables.append(TextTable(title, ("samples", "figure", "value", "95 % interval"), tuple(rows)))
    return tables


def _named_groups(item: TaskScores) -> list[tuple[str, Group]]:
    groups = [("all", item["overall"]), *((name, subset["overall"]) for name, subset in item["subsets"].items())]
    groups += [(name, _headline_only(group, item["headline"])) for name, group in {**item["by_type"], **item["by_cloud"]}.items()]
    for field, values in item["by_group"].items():
        groups += [(f"{field} {name}", _headline_only(group, item["headline"])) for name, group in values.items()]
    return groups


def _headline_only(group: Group, headline: str) -> Group:
    return Group(**{**group, "metrics": {headline: group["metrics"][headline]}})


def _macros(item: TaskScores) -> list[tuple[str, Value]]:
    found = [("mean of types", item["macro"])] if "macro" in item else []
    return found + [(f"mean of types, {name}", subset["macro"]) for name, subset in item["subsets"].items() if "macro" in subset]


def _digits(value: Value) -> tuple[str, str]:
    if value["low"] is None or value["high"] is None:
        return f"{value['value']:.4f}", "-"
    return f"{value['value']:.4f}", f"{value['low']:.4f} ... {value['high']:.4f}"


def unread_table(scores: Scores) -> TextTable:
    """Predictions that cannot be read: how many by reason, and some as they are."""
    rows = []
    for task, setting, item in _cells(scores):
        unparsed = item.get("unparsed")
        for example in unparsed["examples"] if unparsed else ():
            reason = example["reason"] or "unreadable"
            count = unparsed["reasons"].get(reason, 0) if unparsed else 0
            said, truth = (" ".join(example[name].split())[:_SHOWN] for name in ("prediction", "ground_truth"))
            rows.append((task, setting, f"{reason} ({count})", example["sample_id"], repr(said), repr(truth)))
    header = ("task", "input", "why, and how many", "sample", "answer", "truth")
    return TextTable("Unparsed: answers that cannot be read, which count as wrong; examples", header, tuple(rows), num_labels=6)


_SHOWN = 60
"""Characters of an answer in a table; scores.json holds more."""


def reading_notes(scores: Scores) -> list[str]:
    """How predictions were read, where it must be known beside the figures: the mode of reading choices, scales of boxes."""
    notes = []
    for task, setting, item in _cells(scores):
        if "reading" in item["details"]:
            notes.append(f"{task}, {setting}: options are read in {item['details']['reading']} mode.")
        notes += [f"{task}, {setting}: {note}" for note in item.get("notes", ())]
    return notes


def run_notes(scores: Scores) -> list[str]:
    """What the run of a config noted: records that a setting left out, conversations that were taken apart."""
    return [str(note) for note in scores.get("run", {}).get("notes", ())]


def environment_table(environment: Mapping[str, str]) -> TextTable:
    """What it was made with."""
    return TextTable("Made with", ("", "value"), tuple(environment.items()), num_labels=2)


def to_rich(table: TextTable) -> Table:
    """For the console."""
    shown = Table(title=Text(table.title), box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for index, name in enumerate(table.header):
        shown.add_column(Text(name), justify="left" if index < table.num_labels else "right")
    for row in table.rows:
        shown.add_row(*(Text(cell, no_wrap=True) for cell in row))
    return shown


def to_markdown(table: TextTable, *, level: int = 2) -> str:
    """A Markdown table under its heading; empty text for a table without rows.

    Args:
        table: to show.
        level: of its heading.
    """
    if not table.rows:
        return ""
    rule = ["---" if index < table.num_labels else "---:" for index in range(len(table.header))]
    lines = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in (table.header, rule, *table.rows)]
    return "\n".join([f"{'#' * level} {table.title}", "", *(f"| {line} |" for line in lines), ""])


def set_table(scores: Scores) -> TextTable:
    """The headline metric of each data set by task and setting, where several ask one task, then of all together."""
    rows = []
    for task, setting, item in _cells(scores):
        groups = item["by_group"].get(SET, {})
        for name, group in {**groups, **({"together": item["overall"]} if groups else {})}.items():
            rows.append((task, setting, name, percent(group["metrics"][item["headline"]]), *_counts(group)))
    return TextTable("By data set [%]", ("task", "input", "data set", "score", "n", "missing", "unparsed"), tuple(rows), num_labels=3)


def _cells(scores: Scores) -> list[tuple[str, str, TaskScores]]:
    cells = [(task, setting, item) for setting, by_task in scores["settings"].items() for task, item in by_task.items()]
    return sorted(cells, key=lambda cell: TASKS.position(cell[0]))


def _counts(group: Group) -> tuple[str, str, str]:
    return str(group["n"]), str(group["n_missing"]), str(group["n_unparsed"])
