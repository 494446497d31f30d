"""What documents say of files: every path they name is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("projects/*/README.md"), *ROOT.glob("data/*.md")])
HISTORY = ("CHANGELOG.md", "moving_over.md")
"""These name files of other versions and of upstream too."""
PATH = re.compile(r"`((?:projects|eocore|earthmind|profiling|tools|configs|scripts_eval|docs)/[\w./-]*\w\.(?:py|sh|md|json|toml|jinja)|"
                  r"(?:projects|eocore|earthmind|profiling|tools|configs|scripts_eval|docs)/(?:[\w-]+/)*)`")  # fmt: skip
FOLDERS = ("", "projects", "tests")
IN_COMMAND = re.compile(r"(?<![\w/.])(?:tests|tools|profiling|scripts_eval)/[\w/-]+\.(?:py|sh)")
"""A file of the repository that a command names, wherever it stands."""
TEST = re.compile(r"`((?:[\w-]+/)*test_\w+\.py)(?:::(\w+))?")
"""A test file, by its path or the end of it, and a test in it."""


def missing(text: str) -> list[str]:
    """The paths in backquotes or commands that lie neither in the repository nor below projects/ or tests/."""
    absent = {path for path in PATH.findall(text) if not any((ROOT / folder / path).exists() for folder in FOLDERS)}
    return sorted(absent | {path for path in IN_COMMAND.findall(text) if not any((ROOT / folder / path).exists() for folder in FOLDERS)})


def missing_tests(text: str) -> list[str]:
    """The test files and tests in backquotes that are not under tests/."""
    files = list((ROOT / "tests").rglob("test_*.py"))
    absent = []
    for name, test in TEST.findall(text):
        found = [path for path in files if f"/{path.relative_to(ROOT)}".endswith(f"/{name}")]
        if not any(not test or f"def {test}(" in path.read_text(encoding="utf-8") for path in found):
            absent.append(f"{name}::{test}" if test else name)
    return sorted(set(absent))


@pytest.mark.parametrize("document", [path for path in DOCUMENTS if path.name not in HISTORY], ids=lambda path: str(path.relative_to(ROOT)))
def test_every_named_path_is_there(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert missing(text) == [] and missing_tests(text) == []


def test_a_missing_path_is_seen() -> None:
    assert missing("`eocore/nowhere.py` and `tools/none/`, `tools/train.py`, `eocore/data/`") == ["eocore/nowhere.py", "tools/none/"]
    assert missing("`python -m pytest -s tests/test_docs.py tests/test_none.py`, `bash tools/none.sh`") == [
        "tests/test_none.py",
        "tools/none.sh",
    ]
    assert missing_tests("`test_docs.py::test_a_missing_path_is_seen`, `tests/test_docs.py::test_none`, `a/test_docs.py`") == [
        "a/test_docs.py",
        "tests/test_docs.py::test_none",
    ]
