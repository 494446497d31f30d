"""tools/chat.py with lines piped in, on a tiny converted model."""

import io
import json
import os
import sys
from pathlib import Path
from subprocess import CompletedProcess

import forked
import pytest

from eocore.commands.chat import COMMAND

ROOT = Path(__file__).resolve().parents[2]


def chat(lines: str, *arguments: str | Path, folder: Path) -> CompletedProcess[str]:
    command = [str(ROOT / "tools" / "chat.py"), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "projects"), "OMP_NUM_THREADS": "1"}
    return forked.run(command, cwd=folder, environment=environment, given=lines)


def test_a_conversation_about_a_pair_of_images(seg_model: Path, pictures: Path, tmp_path: Path) -> None:
    lines = ["Please segment the water.", "/masks", "And the road?", "/history", "/save", f"/image rgb={pictures / 'b.jpg'}", "/quit"]
    images = ("--optical", pictures / "a.png", "--sar", pictures / "b.jpg")
    result = chat("\n".join(lines), seg_model, *images, "--max-new-tokens", "4", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    written = result.stdout.splitlines()
    assert written[:2] == ["[SEG]", "  1 mask(s): /masks describes, /save writes them"]
    assert written[2].startswith("  mask 1: ") and written[2].endswith("of the sar image")
    assert written[3] == "[SEG]"
    assert written[5:9] == [
        "  you: Please segment the water.",
        "  model: [SEG]",
        "  you: And the road?",
        "  model: [SEG]",
    ]
    saved = tmp_path / "work_dirs" / "chat" / "round_02"
    assert {"answer.txt", "mask.png", "overlay.png", "conversation.json"} <= {path.name for path in saved.iterdir()}
    assert len(json.loads((saved / "conversation.json").read_text())) == 4
    assert written[-1].startswith("  rgb: rgb_uint8, 40 x 60 px")


def test_a_line_that_fails_shows_in_the_exit_status(
    seg_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("/masks\n"))
    assert COMMAND([str(seg_model)]) == 1
    assert "DataError: /masks: nothing was answered yet. Ask a question first." in capsys.readouterr().out


def test_a_folder_that_is_no_model_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert COMMAND([str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "Error: " in error and str(tmp_path) in error
