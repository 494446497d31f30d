"""The rules of the layout, read from the source: who may import whom, and what a file may hold."""

import ast
import graphlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECTS = ROOT / "projects"
SYSTEMS = ("earthmind", "ms_clip", "aerith", "earthfm")
UPSTREAM_NAMES = ("aerithvlm",)
"""Packages that give what a system has the name by which upstream's users import it; nothing here imports them."""
CHECKPOINT_LIBRARIES = {"torch", "transformers", "numpy", "PIL"}
"""What the files that travel inside a converted checkpoint may import besides the standard library and each other."""
FURTHER_LIBRARIES = {"earthfm": {"olmoearth_pretrain_minimal"}}
"""System -> what its files that travel may import besides; the card of its checkpoints says so."""
CORE_LAYERS = (
    {"sensors", "portable", "losses", "jobs"},
    {"data", "models"},
    {"checkpoints"},
    {"train", "evaluate"},
    {"export", "predict", "synthetic"},
    {"converters", "checks", "onboarding", "search", "scenes", "long_inputs"},
    {"serve"},
    {"commands"},
)
"""Folders of eocore, lowest first: each may import those of lower layers, none of its own layer or above."""
ABOVE_THE_FOLDERS = {"system", "command"}
"""Modules of eocore itself that may import its folders; the others are what the folders are built on."""
SPANNING_FOLDERS = {"docs", "invariants", "parity", "systems"}
"""Folders of tests of what several modules do together: documents, promises that hold everywhere, other implementations, whole systems."""
SPANNING = {
    "aerith/test_training.py": "the stages after one another, validated and resumed",
    "earthfm/test_training.py": "a training of the bridge in bfloat16, from config to checkpoint",
    "earthmind/checkpoints/key_maps/test_sam2_hf.py": "the core's key map, on folders with the sizes of EarthMind's SAM 2",
    "earthmind/checkpoints/test_import_memory.py": "plan and writer of an import",
    "earthmind/checkpoints/test_sam2_sources.py": "layouts and plan of an import",
    "earthmind/model/test_exact_tables.py": "the portable tables in the model",
    "earthmind/model/test_generation_options.py": "the portable options in the model",
    "earthmind/model/test_hca_model.py": "the fusion hca from prompt to answer",
    "earthmind/model/test_injection.py": "every way by which text reaches the model",
    "earthmind/model/test_prompt_ids.py": "processor, templates and tokenizer against recorded ids",
    "earthmind/model/test_repeated_images.py": "processor and model",
    "earthmind/model/test_row_inputs.py": "the portable rows between processor and model",
    "earthmind/model/test_shared_prefix.py": "the portable prefixes in the model",
    "earthmind/test_bad_input.py": "a training from files on",
    "earthmind/test_benchmark_suites.py": "the scripts of scripts_eval/",
    "earthmind/test_data_path.py": "files to batches",
    "earthmind/test_evaluation.py": "a converted model to scores",
    "earthmind/test_harnesses.py": "the core's harnesses with a converted model",
    "earthmind/test_precision.py": "all choices of a task in bfloat16",
    "earthmind/test_resume.py": "trainings with packs, LoRA and few bits, stopped and resumed",
    "earthmind/test_resume_record.py": "what a training records for a resumption",
    "earthmind/test_trainable_tokens.py": "step, checkpoint and conversion",
    "earthmind/test_validation.py": "a training that answers held-out questions",
    "eocore/evaluate/engine/test_vector_runs.py": "runs through Scores and Embeds",
    "eocore/evaluate/metrics/test_any_text.py": "every reader of answers",
    "eocore/serve/page/test_series.py": "two dates from the desk to the mask",
    "eocore/serve/test_fuzz.py": "every address of the server",
    "ms_clip/test_scene_vectors.py": "vectors of scenes and an index of them by a converted model",
    "ms_clip/test_search.py": "an index of images by a converted model",
    "ms_clip/test_band_order.py": "reader, processor and predictor",
    "ms_clip/test_validation.py": "a training that is validated on held-out pairs",
    "profiling/earthmind/test_ratios.py": "all ratios with two sides",
    "profiling/ms_clip/test_ratios.py": "all ratios with two sides",
    "tools/prepare/test_benchmark_releases.py": "the commands of tools/prepare",
}
"""Tests outside of these folders that mirror no single file, and what they span."""
SUFFIXES = (".py", ".sh")
MAX_FILE_LINES = 500
MAX_BODY_LINES = 60


def imports(source: str) -> Iterator[tuple[int, int, str]]:
    """(line, relative level, dotted name) of every import in `source`, wherever it stands; the name is "" for `from . import x`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, 0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.level, node.module or ""


def imported_packages(source: str) -> Iterator[tuple[int, str]]:
    """(line, top-level package) of every absolute import in `source`."""
    return ((line, name.split(".")[0]) for line, level, name in imports(source) if level == 0)


def module_imports(folder: Path) -> dict[str, set[str]]:
    """Dotted name of each module under `folder` -> those of them that it imports when it is imported itself."""
    root = ROOT if folder == ROOT / "profiling" else folder
    modules = {".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path for path in folder.rglob("*.py")}
    graph: dict[str, set[str]] = {}
    for module, path in modules.items():
        package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
        graph[module] = {name for name in names_at_import(path.read_text(), package) if name in modules and name != module}
    return graph


def names_at_import(source: str, package: list[str]) -> Iterator[str]:
    """Dotted names that a module of `package` imports when it is imported: not in functions, not for type checkers alone."""
    waiting = list(ast.parse(source).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) + 1 - node.level] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            yield from (name for alias in node.names for name in (base, f"{base}.{alias.name}"))
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]


def logic(source: str) -> list[int]:
    """Lines of `source` with a statement that is neither a docstring, an import, `__all__` nor what imports on demand (PEP 562)."""
    lines = []
    for node in ast.parse(source).body:
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        is_list = isinstance(node, ast.Assign) and all(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets)
        on_demand = isinstance(node, ast.FunctionDef) and node.name == "__getattr__" and any(imports(ast.unparse(node)))
        if not (is_text or is_list or on_demand or isinstance(node, ast.Import | ast.ImportFrom)):
            lines.append(node.lineno)
    return lines


def prints(source: str) -> list[int]:
    """Lines of `source` that call print."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]


def long_bodies(source: str) -> list[str]:
    """Functions of `source` whose body, without docstring, is longer than MAX_BODY_LINES."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
            if body and (body[-1].end_lineno or 0) - body[0].lineno >= MAX_BODY_LINES:
                found.append(node.name)
    return found


def mirrored(test: Path) -> bool:
    """Whether a file stands at the mirrored path of a test, given from tests/ on: test_main.py is that of __main__.py."""
    name = test.stem.removeprefix("test_")
    stems = (name, f"__{name}__")
    return any(
        (root / test.parent / stem).with_suffix(suffix).is_file() for root in (PROJECTS, ROOT) for stem in stems for suffix in SUFFIXES
    )


def sources(*folders: str) -> list[Path]:
    """All Python files under the folders of the repository."""
    files = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert files, f"no Python file under {folders}: the layout has changed, and this test with it"
    return files


def importers(folder: str, packages: set[str]) -> list[str]:
    """file:line of every absolute import of one of `packages` under the folder."""
    found = ((path, line, name) for path in sources(folder) for line, name in imported_packages(path.read_text()))
    return [place(path, line) for path, line, name in found if name in packages]


def place(path: Path, line: int | str) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def test_shared_core_imports_no_system() -> None:
    assert importers("projects/eocore", {*SYSTEMS, *UPSTREAM_NAMES}) == []


@pytest.mark.parametrize("system", [system for system in SYSTEMS if (PROJECTS / system).is_dir()])
def test_a_system_imports_no_other(system: str) -> None:
    assert importers(f"projects/{system}", {*SYSTEMS, *UPSTREAM_NAMES} - {system}) == []


def test_folders_of_the_core_import_downwards() -> None:
    level = {folder: number for number, folders in enumerate(CORE_LAYERS) for folder in folders}
    folders = {path.name for path in (PROJECTS / "eocore").iterdir() if (path / "__init__.py").is_file()}
    assert folders <= set(level), "a new folder of eocore needs its layer in CORE_LAYERS"
    wrong = []
    for path in sources("projects/eocore"):
        own = path.relative_to(PROJECTS / "eocore").parts[0].removesuffix(".py")
        for line, level_of_import, name in imports(path.read_text()):
            other = name.split(".")[1] if level_of_import == 0 and name.startswith("eocore.") else own
            from_below = own in level and level.get(other, -1) < level[own]
            among_modules = own not in level and (other not in level or own in ABOVE_THE_FOLDERS)
            if other != own and not from_below and not among_modules:
                wrong.append(f"{place(path, line)} {own} imports {other}")
    assert wrong == []


def test_no_modules_import_each_other() -> None:
    graph = {module: imported for folder in ("projects", "profiling") for module, imported in module_imports(ROOT / folder).items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names them


@pytest.mark.parametrize("folder", ["projects", "tools", "profiling"])
def test_nothing_but_tests_replaces_parts_by_mocks(folder: str) -> None:
    assert importers(folder, {"unittest"}) == []


def test_checkpoint_files_import_only_what_a_bare_environment_has() -> None:
    wrong = []
    for path in sources("projects/earthmind/model", "projects/eocore/portable", "projects/ms_clip/model", "projects/earthfm/model"):
        allowed = CHECKPOINT_LIBRARIES | sys.stdlib_module_names | FURTHER_LIBRARIES.get(path.parent.parent.name, set())
        for line, level, name in imports(path.read_text()):
            external = level == 0 and name.split(".")[0] not in allowed and not name.startswith("eocore.portable.")
            not_flat = level > 1 or (level == 1 and "." in name)
            if external or not_flat:
                wrong.append(f"{place(path, line)} {'.' * level}{name}")
    assert wrong == []


def test_checkpoint_files_lie_in_one_flat_folder() -> None:
    rooms = (PROJECTS / "earthmind" / "model", PROJECTS / "eocore" / "portable")
    assert [path for room in rooms for path in room.iterdir() if path.is_dir() and path.name != "__pycache__"] == []


def test_only_the_strategy_touches_deepspeed() -> None:
    allowed = tuple(
        f"projects/eocore/train/{name}.py:" for name in ("strategy", "zero/linear", "zero/loss_scale", "zero/state", "zero/whole")
    )
    assert [entry for entry in importers("projects", {"deepspeed"}) if not entry.startswith(allowed)] == []


@pytest.mark.parametrize("folder", ["projects", "tools", "tests", "configs"])
def test_nothing_imports_torchvision(folder: str) -> None:
    assert importers(folder, {"torchvision"}) == []


def test_packages_hold_no_logic_in_init() -> None:
    files = [path for path in sources("projects") if path.name == "__init__.py"]
    assert [place(path, line) for path in files for line in logic(path.read_text())] == []


def test_packages_do_not_print() -> None:
    assert [place(path, line) for path in sources("projects") for line in prints(path.read_text())] == []


def test_files_stay_readable() -> None:
    counts = {path: len(path.read_text().splitlines()) for path in sources("projects", "tools", "tests", "configs")}
    assert [place(path, count) for path, count in counts.items() if count > MAX_FILE_LINES] == []


def test_functions_stay_readable() -> None:
    assert [place(path, name) for path in sources("projects", "tools") for name in long_bodies(path.read_text())] == []


def test_tests_stand_where_the_file_they_test_does() -> None:
    apart = []
    for path in sources("tests"):
        test = path.relative_to(ROOT / "tests")
        if path.name.startswith("test_") and len(test.parts) > 1 and test.parts[0] not in SPANNING_FOLDERS and not mirrored(test):
            apart.append(test.as_posix())
    assert sorted(apart) == sorted(SPANNING), "move the test to the path of the file it tests, or say in SPANNING what it spans"


class TestTheReading:
    """The rules above see what they look for."""

    def test_imports_inside_functions_count(self) -> None:
        assert list(imports("def f():\n    from earthmind.model import x\n    import a.b\n")) == [(2, 0, "earthmind.model"), (3, 0, "a.b")]

    def test_relative_imports_are_no_packages(self) -> None:
        source = "from . import x\nfrom ..earthmind import y\nimport torch.nn\n"
        assert list(imported_packages(source)) == [(3, "torch")]
        assert list(imports(source))[:2] == [(1, 1, ""), (2, 2, "earthmind")]

    def test_what_is_imported_later_is_no_circle(self) -> None:
        source = "from . import a\nif TYPE_CHECKING:\n    import b\ndef f():\n    import c\nclass X:\n    import d.e\n"
        assert set(names_at_import(source, ["pack"])) == {"pack", "pack.a", "d.e"}

    def test_logic_is_all_but_docstring_imports_and_all(self) -> None:
        assert logic('"""Doc."""\nfrom a import b\n__all__ = ["b"]\nVALUE = 3\n') == [4]
        on_demand = "def __getattr__(name):\n    from a import b\n    return b\n"
        assert logic(on_demand) == [] and logic("def __getattr__(name):\n    return 1\n") == [1]

    def test_print_is_found_and_a_method_of_that_name_is_not(self) -> None:
        assert prints("print(1)\nconsole.print(2)\n") == [1]

    def test_a_docstring_is_not_part_of_the_body(self) -> None:
        body = "".join(f"    x = {n}\n" for n in range(MAX_BODY_LINES))
        assert long_bodies(f'def f():\n    """Doc."""\n{body}') == []
        assert long_bodies(f"def f():\n{body}    return x\n") == ["f"]
