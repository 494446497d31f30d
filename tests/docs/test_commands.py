"""Commands in the shell blocks of documents: the real parser of each takes them."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_lines import parse

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [path for path in (ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("projects/*/README.md"), ROOT / "data/README.md")]
BLOCK = re.compile(r"^```bash\n(.*?)^```", re.M | re.S)
PROGRAM = re.compile(r"^(?:\w+=\S* )*(?:(?P<eo>eo) |python3? (?=tools/|-m eocore))")
OF_EO = ["-m", "eocore.commands"]
LOOPS = ("$", ";", "|", "&", ">", "...")
"""What a shell, not the command's parser, reads; and what stands for more."""


def commands(text: str) -> Iterator[str]:
    """The lines of shell blocks, continued ones joined, without comments."""
    for block in BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            yield re.split(r"\s#\s", line)[0].strip()


def shown() -> list[tuple[str, str]]:
    """(document, command) of the programs of this project."""
    found = [(str(path.relative_to(ROOT)), line) for path in sorted(DOCUMENTS) for line in commands(path.read_text(encoding="utf-8"))]
    plain = [(path, line) for path, line in found if PROGRAM.match(line) and not any(sign in line for sign in LOOPS)]
    return list(dict.fromkeys(plain))


@pytest.mark.parametrize(("document", "command"), shown())
def test_its_parser_takes_it(document: str, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = PROGRAM.match(command)
    assert found is not None
    words = shlex.split(command[found.end() :])
    if "--help" not in words:
        assert vars(parse([*OF_EO, *words] if found["eo"] else words, monkeypatch))


def test_a_command_that_is_wrong_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit):
        parse(["tools/predict.py", "--model", "MODEL", "--text", "x"], monkeypatch)
