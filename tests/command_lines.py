"""Command lines that documents show, given to the real parser of their program."""

import argparse
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


class Parsed(BaseException):
    """Ends a program once its command line is parsed."""


def parse(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    """What the parser of a program makes of `[-m] PROGRAM ARGUMENTS...`; the program does nothing else."""
    original = argparse.ArgumentParser.parse_args

    def parse_and_end(self: argparse.ArgumentParser, *given: Any, **named: Any) -> None:
        raise Parsed(original(self, *given, **named))

    is_module = arguments[0] == "-m"
    program, *rest = arguments[1:] if is_module else arguments
    with monkeypatch.context() as patch, pytest.raises(Parsed) as parsed:
        patch.setattr(argparse.ArgumentParser, "parse_args", parse_and_end)
        patch.setattr(sys, "argv", [program, *rest])
        if is_module:
            patch.delitem(sys.modules, f"{program}.__main__", raising=False)  # where another test has imported it
            runpy.run_module(program, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(str(ROOT / program), run_name="__main__")
    namespace = parsed.value.args[0]
    assert isinstance(namespace, argparse.Namespace)
    return namespace
