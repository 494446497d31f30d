"""tools/earthfm/launch_training.sh: upstream's hyperparameters, as the parser of train.py takes them; what is given behind them wins."""

import os
import runpy
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("olmoearth_pretrain_minimal")


def test_its_flags_are_taken_and_may_be_changed(repo_root: Path, tmp_path: Path) -> None:
    printer = tmp_path / "python"
    printer.write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$@"\n')
    printer.chmod(0o755)
    script = repo_root / "tools" / "earthfm" / "launch_training.sh"
    environment = {**os.environ, "PYTHON": str(printer), "DATA_DIR": "somewhere"}
    done = subprocess.run(["bash", str(script), "--num_epochs", "3"], env=environment, capture_output=True, text=True, check=True)
    program, *words = done.stdout.splitlines()
    assert program == "tools/earthfm/train.py"
    found = runpy.run_path(str(repo_root / program))["build_parser"]().parse_args(words)
    assert (str(found.data_dir), found.num_epochs, found.learning_rate, found.warmup_steps) == ("somewhere", 3, 2e-5, 100)
