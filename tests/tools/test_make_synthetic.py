"""The command that writes the synthetic world."""

from pathlib import Path

import forked
import pytest

from eocore.commands.in_process import CommandError, run_command


def test_the_command_writes_all_splits(repo_root, tmp_path):
    command = [str(repo_root / "tools/make_synthetic.py"), "--out", str(tmp_path), "--size", "64"]
    counts = ["--train", "2", "--val", "1", "--test", "1"]
    environment = {"PYTHONPATH": str(repo_root / "projects"), "PATH": "/usr/bin:/bin"}
    done = forked.run(command + counts, cwd=tmp_path, environment=environment)
    done.check_returncode()
    assert [len(list((tmp_path / split / "rgb").iterdir())) for split in ("train", "val", "test")] == [2, 1, 1]
    assert f"{tmp_path / 'train'}: 2 scenes, vqa.json" in done.stdout


@pytest.mark.parametrize("share", ["1.5", "-0.1", "half", "nan"])
def test_a_fraction_of_clouds_is_a_number_from_0_to_1(share: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError) as failed:
        run_command(f"make-synthetic --cloudy={share}", log=tmp_path / "log.txt")
    assert f"'{share}' is no number from 0 to 1" in str(failed.value)
