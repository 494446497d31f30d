"""The contract of systems, read from the source: what every system's package holds, and who may name a system."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from eocore.system import System, find_systems

ROOT = Path(__file__).resolve().parent.parent
FILES = ("system.py", "task.py", "losses.py", "predictor.py", "export.py", "benchmarks.py", "pretrained.py", "README.md")
FOLDERS = ("model", "datasets", "checkpoints")
ALL_SYSTEMS = find_systems()
OWN = [system for system in ALL_SYSTEMS if (ROOT / "projects" / system.name).is_dir()]


def trees(folder: str) -> Iterator[tuple[str, ast.AST]]:
    for path in sorted((ROOT / folder).rglob("*.py")):
        yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


def calls(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == name:
            yield node


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""


@pytest.mark.parametrize("system", OWN, ids=lambda system: system.name)
def test_every_system_has_the_same_files(system: System) -> None:
    package = ROOT / "projects" / system.name
    assert [name for name in FILES if not (package / name).is_file()] == []
    assert [name for name in FOLDERS if not (package / name).is_dir()] == []
    others = {path.name for path in package.glob("*.py")} - {*FILES, "__init__.py"}
    assert not others, "they belong in a folder that says what they are"


@pytest.mark.parametrize("system", OWN, ids=lambda system: system.name)
def test_the_page_of_a_system_fits_a_page_and_names_what_is_there(system: System) -> None:
    text = (ROOT / "projects" / system.name / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 80
    for path in re.findall(r"`((?:projects|configs|docs|tools|profiling)/[\w./]+)`", text):
        assert (ROOT / path).exists(), f"{path} does not exist"


@pytest.mark.parametrize("system", OWN, ids=lambda system: system.name)
def test_model_types_are_those_of_its_models(system: System) -> None:
    configurations = (ROOT / "projects" / system.name / "model").glob("configuration_*.py")
    found = {kind for path in configurations for kind in re.findall(r'^    model_type = "(\w+)"', path.read_text(), re.MULTILINE)}
    assert found == set(system.model_types)


def test_no_tool_imports_a_system_but_its_own() -> None:
    """tools/<system>/ is a system's own folder."""
    names = {system.name for system in ALL_SYSTEMS}
    wrong = [
        f"{path} imports {module}"
        for path, tree in trees("tools")
        for module in imported(tree)
        if (name := module.partition(".")[0]) in names and not path.startswith(f"tools/{name}/")
    ]
    assert wrong == []


def test_nothing_in_packages_takes_a_module_apart_or_imports_by_text() -> None:
    """Entry points apart, which `eocore.system` loads."""
    wrong = []
    for path, tree in trees("projects"):
        wrong += [f"{path}:{call.lineno}" for call in calls(tree, "import_module")]
        wrong += [f"{path}:{call.lineno}" for call in calls(tree, "__import__")]
        modules = [call for call in calls(tree, "getattr") if call.args and ast.unparse(call.args[0]) in module_names(tree)]
        wrong += [f"{path}:{call.lineno}" for call in modules]
        wrong += [f"{path} imports {module}" for module in imported(tree) if module.startswith("unittest")]
    assert wrong == []


def module_names(tree: ast.AST) -> set[str]:
    """Names that a file gives to modules: `import a.b`, `import a as b`; and `from a import b` where b is a module of ours."""
    names = {alias.asname or alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            folder = ROOT / "projects" / node.module.replace(".", "/")
            names |= {alias.asname or alias.name for alias in node.names if (folder / f"{alias.name}.py").is_file()}
    return names


def test_the_reading_sees_what_it_looks_for() -> None:
    source = "import numpy as np\nfrom eocore import config\ngetattr(np, 0)\ngetattr(config, 1)\nimportlib.import_module(2)\n"
    tree = ast.parse(source)
    assert {"np", "config"} <= module_names(tree)
    assert [ast.unparse(call.args[0]) for call in calls(tree, "getattr")] == ["np", "config"]
    assert len(list(calls(tree, "import_module"))) == 1 and "numpy" in list(imported(tree))
