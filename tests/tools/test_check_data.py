"""tools/check_data.py on the synthetic world, whole and broken."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from eocore.synthetic.world import write_world

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_check_data_tells_good_from_broken(tmp_path: Path) -> None:
    write_world(tmp_path / "world", {"train": 3, "test": 2}, size=48)

    def run() -> subprocess.CompletedProcess[str]:
        config = ROOT / "configs" / "earthmind" / "earthmind_tiny_synthetic.py"
        environment = os.environ | {"SYNTHETIC_ROOT": str(tmp_path / "world"), "PYTHONPATH": str(ROOT / "projects")}
        command = [sys.executable, str(ROOT / "tools" / "check_data.py"), str(config), "--out", str(tmp_path / "out"), "--workers", "1"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    good = run()
    assert good.returncode == 0, good.stdout + good.stderr
    image = sorted((tmp_path / "world" / "train" / "sar").iterdir())[0]
    image.write_bytes(image.read_bytes()[:200])
    lines = (tmp_path / "world" / "train" / "referring.jsonl").read_text().splitlines()
    (tmp_path / "world" / "train" / "referring.jsonl").write_text("\n".join([*lines, lines[0]]))
    broken = run()
    assert broken.returncode == 1, broken.stdout + broken.stderr
    assert f"duplicate id: {tmp_path}/world/train/referring.jsonl:{len(lines) + 1}: sample id" in broken.stdout
    assert str(image) in broken.stdout
    kinds = {problem["kind"] for dataset in json.loads((tmp_path / "out" / "report.json").read_text()) for problem in dataset["problems"]}
    assert kinds == {"duplicate id", "image"}
