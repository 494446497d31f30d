import os
from pathlib import Path

import pytest

from eocore.commands.in_process import CommandError, run_command


def test_what_it_says_goes_to_the_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "new" / "log.txt"
    run_command(f"make-synthetic --out '{tmp_path}/a world' --train 1 --val 1 --test 1 --size 48", log=log)
    run_command("train --help", log=log)
    said = log.read_text()
    assert "a world/train: 1 scenes" in said and "usage: eo train" in said
    os.write(2, b"after")
    assert capfd.readouterr() == ("", "after")


@pytest.mark.parametrize(
    ("words", "cause"), [("trian x", "Did you mean 'train'"), ("train nowhere.py", "nowhere.py does not exist"), ("train", "required")]
)
def test_a_failure_ends_with_its_cause(words: str, cause: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=f"eo {words}\nended with status [12], not 0") as failed:
        run_command(words, log=tmp_path / "log.txt")
    assert cause in str(failed.value)
