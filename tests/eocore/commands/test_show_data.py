"""The commands that draw and check data, and those that write made-up data: where they may not write they say so before the work."""

import argparse
from pathlib import Path
from types import ModuleType

import pytest

from eocore.commands import check_data, make_benchmarks, make_synthetic, show_data
from eocore.errors import OutputError

CONFIG = ["configs/earthmind/earthmind_tiny_synthetic.py"]


@pytest.mark.parametrize(
    ("module", "words"),
    [(show_data, CONFIG), (check_data, CONFIG), (make_synthetic, ["--train", "1"]), (make_benchmarks, ["--scenes", "1"])],
)
def test_a_folder_that_cannot_be_written_is_told_first(
    module: ModuleType, words: list[str], tmp_path: Path, repo_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repo_root)
    (tmp_path / "file").touch()
    parser = argparse.ArgumentParser()
    module.COMMAND.add_arguments(parser)
    with pytest.raises(OutputError, match=r"file/out: the .* cannot be written: a file is in the place of a folder\. Nothing was done yet"):
        module.COMMAND.run(parser.parse_args([*words, "--out", str(tmp_path / "file" / "out")]))
