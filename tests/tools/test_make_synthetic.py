"""The command that writes the synthetic world."""

import forked


def test_the_command_writes_all_splits(repo_root, tmp_path):
    command = [str(repo_root / "tools/make_synthetic.py"), "--out", str(tmp_path), "--size", "64"]
    counts = ["--train", "2", "--val", "1", "--test", "1"]
    environment = {"PYTHONPATH": str(repo_root / "projects"), "PATH": "/usr/bin:/bin"}
    done = forked.run(command + counts, cwd=tmp_path, environment=environment)
    done.check_returncode()
    assert [len(list((tmp_path / split / "rgb").iterdir())) for split in ("train", "val", "test")] == [2, 1, 1]
    assert f"{tmp_path / 'train'}: 2 scenes, vqa.json" in done.stdout
