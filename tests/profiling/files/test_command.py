"""`benchmark.py files` on the command line: one table or two, and the file with all of it."""

import json
import sys
from pathlib import Path

import pytest

from profiling.benchmark import main
from profiling.files.image_kinds import KINDS

from .conftest import CONFIG


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int | None:
    monkeypatch.setattr(sys, "argv", ["benchmark.py", "files", "--config", str(CONFIG), *words])
    return main()


def test_single_images_need_no_data(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out, picture = tmp_path / "figures.json", tmp_path / "figures.png"
    words = ("--parts", "reading", "--processor-time", "--repeats", "1", "--image-size", "96", "--json", str(out), "--plot", str(picture))
    assert not call(monkeypatch, *words)
    rows = json.loads(out.read_text())["rows"]
    assert [row["kind"] for row in rows] == [kind.name for kind in KINDS]
    assert all(row["best / ours"] > 0 for row in rows)
    assert "RGB JPEG" in capsys.readouterr().out
    assert picture.stat().st_size > 0


def test_a_number_below_one_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "--steps", "0") == 1
    assert "--steps 0: expected at least 1" in capsys.readouterr().err
