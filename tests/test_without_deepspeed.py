"""All but training works where DeepSpeed and what else only training needs is not installed: `.[eval]` alone."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HIDING = ROOT / "tests" / "without_packages.py"
TRAINING_ONLY = "deepspeed,tensorboard,psutil"
"""The extra `train` without matplotlib, which `eval` has too."""
DEEPSPEED = ("deepspeed", "mmengine._strategy.deepspeed")
_TRAINING = ("strategy", "engine", "zero.linear", "zero.state", "runner", "launch", "hooks")
_VALIDATION = ("validation.hook", "validation.undisturbed", "validation.validation", "zero.loss_scale", "zero.whole")
_CHECKPOINTS = ("checkpoint.hook", "checkpoint.snapshot", "checkpoint.writer")
NEEDS_DEEPSPEED = {f"eocore.train.{name}" for name in (*_TRAINING, *_VALIDATION, *_CHECKPOINTS)}
"""Modules that cannot be imported without DeepSpeed: the training itself. Another one here cuts something off from `.[eval]`."""
EVERY_HELP = """
import contextlib, io
from eocore.commands.catalogue import COMMANDS, EO
names = [[name] for name in COMMANDS] + [["evaluate", name] for name in ("run", "score", "compare", "merge", "report")]
for words in [[], *names]:
    shown = io.StringIO()
    try:
        with contextlib.redirect_stdout(shown):
            status = EO([*words, "--help"])
    except SystemExit as end:
        status = end.code
    assert status in (0, None) and "usage" in shown.getvalue().lower(), (words, status)
print(len(names))
"""


def imported_at_once(source: str, package: str) -> Iterator[str]:
    """Dotted names of what a module imports when it is imported; of `from a import b` both `a` and `a.b`."""
    waiting = list(ast.parse(source).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]


def modules_needing(packages: tuple[str, ...], sources: dict[str, str]) -> set[str]:
    """Modules that import one of the packages when they are imported, themselves or by way of others.

    Args:
        packages: dotted names.
        sources: module -> its text.
    """
    imports = {name: set(imported_at_once(text, name.rpartition(".")[0])) for name, text in sources.items()}
    needing: set[str] = set()
    while True:
        found = {name for name, imported in imports.items() if any(_is_in(item, packages) or item in needing for item in imported)}
        if found == needing:
            return needing
        needing = found


def _is_in(name: str, packages: tuple[str, ...]) -> bool:
    return any(f"{name}.".startswith(f"{package}.") for package in packages)


def test_only_training_needs_deepspeed() -> None:
    paths = (ROOT / "projects").rglob("*.py")
    sources = {".".join(path.relative_to(ROOT / "projects").with_suffix("").parts): path.read_text() for path in paths}
    assert modules_needing(DEEPSPEED, sources) == NEEDS_DEEPSPEED


def test_the_search_follows_modules_but_not_functions() -> None:
    sources = {
        "a.direct": "import deepspeed.ops\n",
        "a.through": "try:\n    from .direct import x\nexcept ImportError:\n    pass\n",
        "b.far": "from a import through\n",
        "b.later": "def f():\n    import deepspeed\n",
        "b.types": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import deepspeed\n",
        "b.other": "import deepspeed_like\n",
    }
    assert modules_needing(("deepspeed",), sources) == {"a.direct", "a.through", "b.far"}


def run_without(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """A Python program that finds none of TRAINING_ONLY."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "projects"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HIDING), TRAINING_ONLY, *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def test_every_help_is_shown(tmp_path: Path) -> None:
    (tmp_path / "helps.py").write_text(EVERY_HELP)
    done = run_without(["helps.py"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 15


def test_answers_are_scored(tmp_path: Path) -> None:
    lines = [{"answer": answer, "gt": "yes"} for answer in ("yes", "yes", "no", "yes")]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    words = ["evaluate", "score", "--task", "vqa", "--predictions", "answers.jsonl", "--out", "scores.json"]
    done = run_without(["-m", "eocore.commands", *words], tmp_path)
    assert done.returncode == 0, done.stderr
    assert (
        json.loads((tmp_path / "scores.json").read_text())["settings"]["optical"]["vqa"]["overall"]["metrics"]["accuracy"]["value"] == 0.75
    )


def test_training_says_what_is_missing(tmp_path: Path) -> None:
    done = run_without(["-m", "eocore.commands", "train", "earthmind_tiny_synthetic"], tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "DeepSpeed is not installed" in done.stderr and "[train]" in done.stderr


@pytest.mark.parametrize("hidden", TRAINING_ONLY.split(","))
def test_hidden_packages_are_not_found(tmp_path: Path, hidden: str) -> None:
    (tmp_path / "look.py").write_text(
        f"import importlib.metadata, importlib.util\nassert importlib.util.find_spec({hidden!r}) is None\n"
        f"try:\n    importlib.metadata.version({hidden!r})\nexcept importlib.metadata.PackageNotFoundError:\n    print('gone')\n"
    )
    assert run_without(["look.py"], tmp_path).stdout == "gone\n"
