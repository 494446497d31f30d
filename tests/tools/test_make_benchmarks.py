"""tools/make_benchmarks.py writes every file that a benchmark of the registry reads."""

import json
from pathlib import Path

import forked

ROOT = Path(__file__).resolve().parents[2]
ABSENT = """
import json, sys
from eocore.evaluate.benchmarks.loading import load_benchmarks
found = {name: item.absent(sys.argv[1]) for name, item in load_benchmarks(["earthmind"]).items()}
print(json.dumps({name: [str(path) for path in paths] for name, paths in found.items() if paths}))
"""


def test_every_benchmark_finds_its_files(tmp_path: Path) -> None:
    words = ["--out", str(tmp_path), "--scenes", "2", "--size", "48"]
    environment = {"PYTHONPATH": str(ROOT / "projects"), "PATH": ""}
    forked.run([ROOT / "tools/make_benchmarks.py", *words], cwd=tmp_path, environment=environment).check_returncode()
    # in a process of its own: what other tests registered does not count
    absent = forked.run(["-c", ABSENT, str(tmp_path)], cwd=tmp_path, environment=environment)
    absent.check_returncode()
    assert json.loads(absent.stdout) == {}
