"""The command `eo serve-users`: what it shows is what the file keeps."""

from pathlib import Path

import pytest

from eocore.commands.serve_users import COMMAND
from eocore.serve.access.accounts import Accounts


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["eo serve-users", *words])
    return COMMAND()


def test_a_token_is_shown_once_it_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, str(tmp_path / "users.json"), "token", "script") == 0
    token = capsys.readouterr().out.strip()
    assert Accounts.read(tmp_path / "users.json").token_name(token) == "script"


def test_a_token_that_cannot_be_kept_is_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    assert run(monkeypatch, str(tmp_path / "file" / "users.json"), "token", "script") == 1
    said = capsys.readouterr()
    assert not said.out
    assert said.err.splitlines()[-1].startswith(f"OutputError: {tmp_path}/file/users.json")
