"""The panel of evaluations: the reports below a folder, one or two beside each other, and how their figures differ."""

import asyncio
import time
from pathlib import Path

from nicegui import ui

from eocore.errors import EOError
from eocore.serve.page.panels import PageContext, Panel
from eocore.serve.reports import Difference, compare_reports, list_reports, read_report

NONE = ""
"""Chosen where no second report is shown."""
MOST_ROWS = 200


class EvaluationPanel:
    """Builds the panel where it is made.

    Args:
        context: of the page.
    """

    def __init__(self, context: PageContext, root: Path) -> None:
        self._context, self._root = context, root
        with ui.element("div").classes("eo-evaluation"):
            with ui.row().classes("eo-report-choice"):
                self._first = ui.select({}, label="Report", on_change=self._show).props("dense outlined").classes("eo-report-select")
                self._second = ui.select({}, label="Compare with", on_change=self._show).props("dense outlined").classes("eo-report-select")
                ui.button("Look again", icon="refresh", on_click=self._list).props("flat no-caps")
            self._told = ui.label().classes("eo-hint-text").props("role=status")
            self._table = ui.element("div").classes("eo-report-table")
            self._frames = ui.element("div").classes("eo-report-frames")
        ui.timer(0.05, self._list, once=True)

    async def _list(self) -> None:
        try:
            found = await asyncio.to_thread(list_reports, self._root)
        except EOError as error:
            self._context.show_error(error)
            return
        names = {report.name: f"{report.name}  ({time.strftime('%Y-%m-%d %H:%M', time.localtime(report.changed_at))})" for report in found}
        first = self._first.value if self._first.value in names else next(iter(names), None)
        second = self._second.value if self._second.value in names else NONE
        self._second.set_options({NONE: "no other"} | names, value=second)
        self._first.set_options(names, value=first)
        self._told.set_text("" if names else "No report.html below the folder that the server was given.")
        await self._show()

    async def _show(self) -> None:
        names = [str(name) for name in (self._first.value, self._second.value) if name]
        if not self._first.value:
            return
        try:
            pages = [await asyncio.to_thread(read_report, self._root, name) for name in names]
            rows = await asyncio.to_thread(compare_reports, self._root, (names[0], names[1])) if len(names) == 2 else []
        except EOError as error:
            self._context.show_error(error)
            return
        self._frames.clear()
        with self._frames:
            for name, page in zip(names, pages, strict=True):
                _frame(name, page)
        self._table.clear()
        if len(names) == 2:
            with self._table:
                _differences(rows, names)


def _frame(name: str, page: str) -> None:
    """A report in a frame of its own: nothing in it runs, sends, or leads anywhere, whoever wrote it."""
    frame = ui.element("iframe").classes("eo-report")
    frame.props["sandbox"] = ""
    frame.props["referrerpolicy"] = "no-referrer"
    frame.props["title"] = f"Report {name}"
    frame.props["srcdoc"] = page


def _differences(rows: list[Difference], names: list[str]) -> None:
    if not rows:
        ui.label("No scores lie beside these reports, so only the pages can be compared.").classes("eo-hint-text")
        return
    heads = ("Benchmark", "Setting", "Metric", *names, "Difference")
    cells = [(row.benchmark, row.setting, row.metric, _figure(row.first), _figure(row.second), _change(row)) for row in rows[:MOST_ROWS]]
    with ui.element("table").classes("eo-figures"):
        with ui.element("thead"), ui.element("tr"):
            for head in heads:
                with ui.element("th").props("scope=col"):
                    ui.label(head)
        with ui.element("tbody"):
            for line in cells:
                with ui.element("tr"):
                    for cell in line:
                        with ui.element("td"):
                            ui.label(cell)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _change(row: Difference) -> str:
    return "-" if row.first is None or row.second is None else f"{100 * (row.second - row.first):+.1f}"


def _build(context: PageContext) -> None:
    root = context.service.options.reports
    assert root is not None
    EvaluationPanel(context, root)


PANEL = Panel(
    name="evaluation", title="Evaluation", icon="assessment", build=_build, is_offered=lambda service: service.options.reports is not None
)
