"""Several processes on this machine: started with their ranks, waited for, with the cores shared."""

import argparse
import os
from pathlib import Path

import pytest

from eocore.commands.arguments import starts_processes
from eocore.errors import ConfigError
from eocore.train.device import has_gpu
from eocore.train.processes import environment, start

PROGRAM = """
import os, pathlib, sys
rank = os.environ["RANK"]
(pathlib.Path(sys.argv[1]) / rank).write_text(os.environ["WORLD_SIZE"] + " " + os.environ["LOCAL_WORLD_SIZE"])
sys.exit(int(sys.argv[2]))
"""


def test_every_process_has_a_rank_and_a_failure_is_told(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    for status in (0, 3):
        out = tmp_path / str(status)
        out.mkdir()
        assert start([str(tmp_path / "program.py"), str(out), str(status)], num_processes=2) == (1 if status else 0)
        if not status:
            assert {path.name: path.read_text() for path in out.iterdir()} == {"0": "2 2", "1": "2 2"}


@pytest.mark.skipif(has_gpu(), reason="cores are shared where there is no GPU")
def test_cores_are_shared_and_the_users_choice_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert environment(3)["OMP_NUM_THREADS"] == "2" and environment(16)["OMP_NUM_THREADS"] == "1"
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert environment(3)["OMP_NUM_THREADS"] == environment(3)["MKL_NUM_THREADS"] == "5" and environment(3)["DS_ACCELERATOR"] == "cpu"


class TestGpus:
    """--gpus of a command: it starts processes once; in them it means nothing more."""

    @pytest.mark.parametrize(("gpus", "started", "expected"), [(None, None, False), (2, None, True), (2, "2", False), (None, "4", False)])
    def test_processes_are_started_once(
        self, monkeypatch: pytest.MonkeyPatch, gpus: int | None, started: str | None, expected: bool
    ) -> None:
        monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
        if started is not None:
            monkeypatch.setenv("LOCAL_WORLD_SIZE", started)
        assert starts_processes(argparse.Namespace(gpus=gpus)) is expected

    @pytest.mark.parametrize(("gpus", "started"), [(0, None), (2, "4")])
    def test_another_number_than_a_launcher_started_is_named(self, monkeypatch: pytest.MonkeyPatch, gpus: int, started: str | None) -> None:
        monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
        if started is not None:
            monkeypatch.setenv("LOCAL_WORLD_SIZE", started)
        with pytest.raises(ConfigError, match=rf"--gpus {gpus}: expected a number from 1 on"):
            starts_processes(argparse.Namespace(gpus=gpus))
