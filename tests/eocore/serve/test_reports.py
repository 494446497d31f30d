"""Reports below a folder: listed, read, compared; none that lies elsewhere."""

import json
import os
from pathlib import Path

import pytest
from served_indexes import write_report

from eocore.errors import AccessError, DataError
from eocore.serve import reports
from eocore.serve.reports import Difference, compare_reports, list_reports, read_report


def test_reports_are_listed_the_newest_first(tmp_path: Path) -> None:
    for age, name in enumerate(("old", "runs/new")):
        write_report(tmp_path / name, accuracy=0.5)
        os.utime(tmp_path / name / "report.html", (1000 + age, 1000 + age))
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "report.html").symlink_to(tmp_path / "old" / "report.html")
    assert [(report.name, report.changed_at) for report in list_reports(tmp_path)] == [("runs/new", 1001), ("old", 1000)]
    with pytest.raises(DataError, match="the folder of reports is not there any more"):
        list_reports(tmp_path / "none")


def test_only_reports_below_the_folder_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_report(tmp_path / "all" / "mine", accuracy=0.5)
    write_report(tmp_path / "other", accuracy=0.5)
    (tmp_path / "all" / "link").symlink_to(tmp_path / "other")
    assert "accuracy 0.5" in read_report(tmp_path / "all", "mine")
    for name in ("../other", "link", str(tmp_path / "other")):
        with pytest.raises(AccessError, match="a report lies below the folder of reports"):
            read_report(tmp_path / "all", name)
    with pytest.raises(AccessError, match="there is no report 'none' here"):
        read_report(tmp_path / "all", "none")
    (tmp_path / "all" / "mine" / "report.html").write_bytes(b"\xff")
    with pytest.raises(DataError, match="no page in UTF-8"):
        read_report(tmp_path / "all", "mine")
    monkeypatch.setattr(reports, "MOST_BYTES", 0)
    with pytest.raises(DataError, match=r"are shown here\. Open the file itself"):
        read_report(tmp_path / "all", "mine")


def test_figures_of_two_reports_stand_side_by_side(tmp_path: Path) -> None:
    write_report(tmp_path / "a", accuracy=0.5)
    write_report(tmp_path / "b", accuracy=0.75)
    write_report(tmp_path / "b" / "more", accuracy=0.25)
    stored = json.loads((tmp_path / "b" / "more" / "scores.json").read_text())
    (tmp_path / "b" / "more" / "scores.json").write_text(json.dumps(stored | {"title": "Second"}))
    assert compare_reports(tmp_path, ("a", "b")) == [
        Difference("Toy", "optical", "accuracy", 0.5, 0.75),
        Difference("Second", "optical", "accuracy", None, 0.25),
    ]
    (tmp_path / "a" / "scores.json").write_text("{}")
    with pytest.raises(DataError, match="the scores beside report 'a' cannot be read"):
        compare_reports(tmp_path, ("a", "b"))
    (tmp_path / "a" / "scores.json").unlink()
    assert {row.first for row in compare_reports(tmp_path, ("a", "b"))} == {None}
