"""Chips, untrained models, and a way to call a command of tools/ms_clip in this process."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ms_clip_models import band_model, chips, make_fields, picture_model, save_model  # noqa: F401  (fixtures)

from eocore.command import command

TOOLS = Path(__file__).resolve().parents[3] / "tools" / "ms_clip"


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The exit status of a command, by its name, with these arguments."""

    def run(name: str, *arguments: str | Path) -> int:
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
        return command(runpy.run_path(str(TOOLS / f"{name}.py"))["main"])()

    return run
