"""tools/make_benchmarks.py writes every file that a benchmark of the registry reads."""

from pathlib import Path

import forked

from eocore.evaluate.benchmarks.loading import load_benchmarks

ROOT = Path(__file__).resolve().parents[2]


def test_every_benchmark_finds_its_files(tmp_path: Path) -> None:
    words = ["--out", str(tmp_path), "--scenes", "2", "--size", "48"]
    environment = {"PYTHONPATH": str(ROOT / "projects"), "PATH": ""}
    forked.run([ROOT / "tools/make_benchmarks.py", *words], cwd=tmp_path, environment=environment).check_returncode()
    assert {name: item.absent(str(tmp_path)) for name, item in load_benchmarks(["earthmind"]).items() if item.absent(str(tmp_path))} == {}
