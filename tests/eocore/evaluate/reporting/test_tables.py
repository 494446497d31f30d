import io

import pytest
from rich.console import Console

from eocore.evaluate.reporting.tables import (
    TextTable,
    compat_table,
    console_table,
    difference_table,
    mask_table,
    percent,
    score_table,
    to_markdown,
    to_rich,
    type_table,
)
from eocore.evaluate.scoring.score import score_predictions

TABLE = TextTable("Per <cent> [%]", ("input", "a|b"), (("<sar>", "[1, 2]"),), num_labels=1)


@pytest.fixture
def scores(predicted):
    return score_predictions(predicted)


def show(table: TextTable, *, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(to_rich(table))
    return console.file.getvalue()


def test_percent_with_and_without_interval():
    assert percent({"value": 0.6125, "low": 0.5, "high": 0.7}) == "61.3 [50.0, 70.0]"
    assert percent({"value": 1.0, "low": None, "high": None}) == "100.0"


def test_markdown_escapes_bars():
    assert to_markdown(TABLE).splitlines()[2:] == ["| input | a\\|b |", "| --- | ---: |", "| <sar> | [1, 2] |"]


def test_console_takes_brackets_literally():
    assert "[1, 2]" in show(TABLE, width=60)
    assert "[%]" in show(TABLE, width=60)


def test_console_table_fits_80_columns(scores):
    shown = show(console_table(scores), width=80)
    assert "…" not in shown
    assert all(percent(by_task["mcq"]["overall"]["metrics"]["accuracy"]) in shown for by_task in scores["settings"].values())


def test_empty_table_leaves_nothing():
    empty = TextTable("None", ("a",), ())
    assert to_markdown(empty) == ""


def test_every_task_and_setting_has_its_row_with_counts(scores):
    rows = score_table(scores).rows
    assert [row[:2] for row in rows] == [(task, setting) for task in ("vqa", "mcq", "referring") for setting in ("optical", "sar", "fused")]
    assert {row[-3:] for row in rows} == {("40", "0", "0")}
    assert [row[6] for row in rows if row[0] == "referring"] == ["-"] * 3
    assert all(len(row) == len(score_table(scores).header) for row in rows)


def test_background_figures_stand_in_a_table_of_their_own(scores):
    assert {row[2] for row in compat_table(scores).rows if row[0] == "referring"} == {"miou with background", "oiou with background"}
    for table in (score_table(scores), mask_table(scores), type_table(scores), difference_table(scores), console_table(scores)):
        assert "background" not in str(table).casefold()


def test_mask_table_has_all_metrics(scores):
    assert mask_table(scores).header == ("input", "mIoU", "oIoU", "Pr@0.5", "Pr@0.6", "Pr@0.7", "Pr@0.8", "Pr@0.9", "extra masks")
    assert [row[0] for row in mask_table(scores).rows] == ["optical", "sar", "fused"]


def test_types_and_gains_are_listed(scores):
    assert {row[1] for row in type_table(scores).rows} == {"presence", "count"}
    assert len(difference_table(scores).rows) == len(scores["differences"]) == 18


def test_scores_without_masks_give_no_mask_table(predicted):
    scores = score_predictions([item for item in predicted if item.task == "mcq"])
    assert mask_table(scores).rows == ()
    assert {row[2] for row in compat_table(scores).rows} == {"accuracy verbatim", "accuracy verbatim task mean"}
