"""Which commit the code is at: told in a checkout, and never that of a repository that lies around an installed package."""

from pathlib import Path

import pytest

from eocore import checkout
from eocore.evaluate.engine.manifest import code_commit
from eocore.train.work_dir import git_state


def test_the_tests_run_from_a_checkout(repo_root: Path) -> None:
    assert repo_root == checkout.CHECKOUT
    commit = checkout.ask_git("rev-parse", "HEAD")
    if commit is not None:  # a source distribution is in no repository
        assert len(commit.strip()) == 40
        assert git_state()["commit"] == commit.strip() == code_commit().removesuffix("+changes")


def test_an_installed_package_is_in_no_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkout, "CHECKOUT", None)
    assert checkout.ask_git("rev-parse", "HEAD") is None
    assert (git_state(), code_commit()) == ({}, "")


def test_a_folder_without_repository_and_a_machine_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(checkout, "CHECKOUT", tmp_path)
    assert checkout.ask_git("rev-parse", "HEAD") is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert checkout.ask_git("--version") is None
