"""The command that prepares land-cover tiles."""

import json
from subprocess import CompletedProcess

import forked


def run(repo_root, *arguments: str) -> CompletedProcess[str]:
    environment = {"PYTHONPATH": str(repo_root / "projects"), "PATH": "/usr/bin:/bin"}
    return forked.run([repo_root / "tools/prepare/landcover.py", *arguments], cwd=repo_root, environment=environment)


def test_the_command_prepares_the_tiles(repo_root, shared_dir, tmp_path):
    done = run(
        repo_root,
        "--source",
        str(shared_dir / "tiles"),
        "--out",
        str(tmp_path),
        "--split",
        "test",
        "--rgb",
        "",
        "--copy",
        "--classes",
        "tiles",
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "test").iterdir() if path.is_dir()) == ["multispectral", "referring", "sar"]
    assert len(json.loads((tmp_path / "test/caption.json").read_text())) == 3


def test_a_scheme_that_is_not_told_is_one_clear_line(repo_root, shared_dir, tmp_path):
    done = run(repo_root, "--source", str(shared_dir / "tiles"), "--out", str(tmp_path))
    assert done.returncode == 1 and "Name the scheme the maps follow with --classes." in done.stderr and "Traceback" not in done.stderr


def test_a_wrong_folder_is_one_clear_line(repo_root, tmp_path):
    done = run(repo_root, "--source", str(tmp_path), "--out", str(tmp_path / "out"))
    assert done.returncode == 1
    assert done.stderr.strip().endswith("Name the folder of the land-cover maps.")
    assert "Traceback" not in done.stderr
