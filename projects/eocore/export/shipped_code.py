"""The Python files of a checkpoint: those of a model package and the modules of `eocore.portable` they import, in one flat folder.

In the repository they import portable code as `from eocore.portable.name import ...`; in a checkpoint all files lie side by side, so this
becomes `from .name import ...`, which is how transformers finds the files of a model (it looks for relative imports alone).
"""

import ast
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import eocore.portable
from eocore.errors import CheckpointError

CODE_LIBRARIES = frozenset({"torch", "transformers", "numpy", "PIL"})
"""What shipped code may import besides the standard library and its own files."""

PORTABLE = "eocore.portable"
PORTABLE_FOLDER = Path(next(iter(eocore.portable.__path__)))
_PORTABLE_IMPORT = re.compile(rb"from[ \t]+eocore\.portable\.(\w+)(?=[ \t]+import\b)")


@dataclass(frozen=True, kw_only=True)
class ShippedFile:
    """One Python file of a checkpoint.

    Attributes:
        source: the file in the repository.
        text: what the checkpoint holds, its imports rewritten.
        is_portable: it comes from `eocore.portable`, not from the model package.
    """

    source: Path
    text: str
    is_portable: bool

    @property
    def name(self) -> str:
        """Name of the module."""
        return self.source.stem


def collect_code(package: Path, *, libraries: Collection[str] = ()) -> list[ShippedFile]:
    """The files of a model package and, found through their imports, of `eocore.portable`, ready for a flat folder.

    Args:
        package: folder of the model's code; all of it but `__init__.py` is shipped.
        libraries: that it may import besides `CODE_LIBRARIES`; a user of the checkpoint must install them.

    Raises:
        CheckpointError: there are none; two files have one name; one imports a library that users of a checkpoint need not have, a module
            that is not shipped, or in a form that cannot be rewritten.
    """
    own = sorted(path for path in package.glob("*.py") if path.name != "__init__.py")
    if not own:
        raise CheckpointError(f"{package} holds no Python files, so nobody could load the checkpoint. Give the folder of the model's code.")
    portable = _portable_modules(own)
    for path in own:
        if path.stem in portable:
            raise CheckpointError(
                f"{path} and {portable[path.stem]} have one name, but a checkpoint holds all its files in one folder; one would replace "
                "the other. Rename the file of the model."
            )
    names = {path.stem for path in own} | set(portable)
    files = [ShippedFile(source=path, text=flat_imports(path, names, libraries=libraries), is_portable=False) for path in own]
    files += [ShippedFile(source=path, text=flat_imports(path, set(portable)), is_portable=True) for path in portable.values()]
    return sorted(files, key=lambda file: file.name)


def _portable_modules(files: list[Path]) -> dict[str, Path]:
    """Name -> file of the portable modules that `files` import, directly or through each other."""
    found: dict[str, Path] = {}
    left = list(files)
    while left:
        path = left.pop()
        for node in _imports(path):
            if not isinstance(node, ast.ImportFrom):
                continue
            is_portable = node.level == 0 and (node.module or "").startswith(f"{PORTABLE}.")
            beside = node.level == 1 and path.parent == PORTABLE_FOLDER
            if not is_portable and not beside:
                continue
            name = (node.module or "").removeprefix(f"{PORTABLE}.")
            file = PORTABLE_FOLDER / f"{name}.py"
            if name and not file.is_file():
                raise CheckpointError(f"{path}:{node.lineno} imports {PORTABLE}.{name}, which does not exist; correct the import.")
            if name and name not in found:
                found[name] = file
                left.append(file)
    return dict(sorted(found.items()))


def flat_imports(path: Path, names: Collection[str], *, libraries: Collection[str] = ()) -> str:
    """Text of a file in which `from eocore.portable.name import ...` has become `from .name import ...`.

    Args:
        path: the file.
        names: modules that lie beside it in the checkpoint.
        libraries: see `collect_code`.

    Raises:
        CheckpointError: an import could not work there.
    """
    source = path.read_bytes()
    lines = source.splitlines(keepends=True)
    for node in _imports(path):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").startswith(f"{PORTABLE}."):
            _flatten(lines, node, path=path)
        else:
            _require_available(node, names, path=path, libraries=CODE_LIBRARIES | set(libraries))
    return b"".join(lines).decode("utf-8")


def _flatten(lines: list[bytes], node: ast.ImportFrom, *, path: Path) -> None:
    line, column = lines[node.lineno - 1], node.col_offset  # ast counts columns in bytes
    match = _PORTABLE_IMPORT.match(line, column)
    if match is None or match[1].decode() != (node.module or "").removeprefix(f"{PORTABLE}."):
        raise CheckpointError(
            f"{path}:{node.lineno} imports {node.module} in a form that cannot be rewritten for a checkpoint. Write it in one line as "
            f"'from {PORTABLE}.name import ...'."
        )
    lines[node.lineno - 1] = line[:column] + b"from ." + match[1] + line[match.end() :]


def _require_available(node: ast.Import | ast.ImportFrom, names: Collection[str], *, path: Path, libraries: Collection[str]) -> None:
    level, modules = (node.level, [node.module or ""]) if isinstance(node, ast.ImportFrom) else (0, [name.name for name in node.names])
    for module in modules:
        if level == 0 and module.split(".")[0] == "eocore":
            raise CheckpointError(
                f"{path}:{node.lineno} imports {module}, which a checkpoint cannot hold in this form. Shipped code imports of eocore only "
                f"portable modules, as 'from {PORTABLE}.name import ...'."
            )
        if level == 0 and module.split(".")[0] not in {*libraries, *sys.stdlib_module_names}:
            raise CheckpointError(
                f"{path}:{node.lineno} imports {module}, which a machine with only {', '.join(sorted(libraries))} does not have; the "
                "checkpoint would not load there. Do without it in shipped code."
            )
        if level > 0 and (level > 1 or module not in names):
            raise CheckpointError(
                f"{path}:{node.lineno} imports {'.' * level}{module}, which does not travel with it; the checkpoint would not load. "
                "Shipped files lie in one folder and import each other by `from .name import ...`."
            )


def _imports(path: Path) -> Iterator[ast.Import | ast.ImportFrom]:
    """Every import of a file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_bytes(), filename=str(path))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node


def require_classes(auto_map: Mapping[str, str], files: list[ShippedFile]) -> None:
    """Raise CheckpointError if the auto map names a class that none of the files defines."""
    classes = {f"{file.name}.{node.name}" for file in files for node in ast.parse(file.text).body if isinstance(node, ast.ClassDef)}
    missing = sorted(set(auto_map.values()) - classes)
    if missing:
        raise CheckpointError(f"auto_map names {', '.join(missing)}, which no shipped file defines; loading would fail. Correct the map.")
