"""Every command: listed with a line, its --help at once and without torch, thin in tools/."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from eocore.command import Command
from eocore.commands.catalogue import COMMANDS, EO
from eocore.evaluate.__main__ import COMMANDS as EVALUATION

ROOT = Path(__file__).resolve().parents[3]
HEAVY = ("torch", "transformers", "deepspeed", "mmengine", "numpy", "rasterio", "rich", "huggingface_hub")
"""What no --help may import: seconds."""
HELP = """
import sys
from eocore.commands.catalogue import EO
try:
    EO({words})
except SystemExit as ended:
    assert not ended.code
sys.stderr.write(" ".join(name for name in {heavy} if name in sys.modules))
"""
QUICK = [[name] for name in COMMANDS] + [["evaluate", name] for name in EVALUATION]


def run_help(*words: str) -> subprocess.CompletedProcess[str]:
    code = HELP.format(words=[*words, "--help"], heavy=HEAVY)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT / "projects")})


@pytest.mark.parametrize("words", QUICK, ids="-".join)
def test_help_says_how_to_call_it_and_imports_nothing_heavy(words: list[str]) -> None:
    found = run_help(*words)
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith(f"usage: eo {' '.join(words)} ")
    assert found.stderr == ""


def test_help_of_eo_lists_every_command_with_a_line() -> None:
    found = run_help()
    assert (found.returncode, found.stderr) == (0, "")
    assert all(f"  {name} " in found.stdout and entry.summary in found.stdout for name, entry in COMMANDS.items())


def test_names_of_commands_are_those_they_are_called_by() -> None:
    for name, entry in [*COMMANDS.items(), *EVALUATION.items()]:
        loaded = entry.load()
        assert not isinstance(loaded, Command) or (loaded.name == name and loaded.description.strip())


@pytest.mark.parametrize(
    "words", [["estimate-memory", "c.py", "--gpus", "0"], ["estimate-memory", "c.py", "--rows", "x"], ["plan-run", "c.py", "--gpus", "-1"]]
)
def test_a_count_that_is_none_is_refused_before_anything_is_read(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        EO(words)
    assert ended.value.code == 2
    assert f"{words[-1]!r} is no whole number of at least 1" in capsys.readouterr().err


def test_an_unknown_command_ends_as_argparse_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert EO(["trian"]) == 2
    assert capsys.readouterr().err.startswith("eo: no command 'trian'. Did you mean 'train'? Commands: train, test, ")


def test_every_file_of_the_room_is_a_command_that_is_listed() -> None:
    files = {path.stem for path in (ROOT / "projects" / "eocore" / "commands").glob("*.py")} - {
        "__init__",
        "__main__",
        "arguments",
        "catalogue",
        "in_process",
    }
    listed = {entry.load.__name__.removeprefix("_") for entry in COMMANDS.values()}
    assert files == listed - {"evaluate"}


def test_the_script_of_a_command_does_nothing_else() -> None:
    """tools/X.py of a command imports it and calls it."""
    for path in (ROOT / "tools").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported = [node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)]
        if any(name.startswith("eocore.commands.") for name in imported):
            assert len(tree.body) == 4, f"{path.name} does more than to call its command"
