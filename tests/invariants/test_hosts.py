"""Training on two machines: two network namespaces joined by a cable, and what Slurm would start."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from ports import free_port

STEPS = 3
ADDRESSES = ("10.213.77.1", "10.213.77.2")
"""Of the two ends of the cable; they exist in the namespaces alone."""
SRUN = """#!/usr/bin/env bash
# Stands for Slurm's srun: notes its flags, then runs the command once for each task.
while [[ $1 != bash ]]; do
    echo "$1" >> "$NOTES"
    [[ $1 == --ntasks ]] && tasks=$2
    shift
done
pids=()
for ((task = 0; task < tasks; task++)); do
    SLURM_PROCID=$task SLURM_LOCALID=0 SLURM_NTASKS=$tasks SLURM_NNODES=$tasks SLURM_STEP_NODELIST=nodes "$@" &
    pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || exit; done
"""
SCONTROL = """#!/bin/sh
echo 127.0.0.1
"""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def join(names: list[str], cables: list[str]) -> None:
    """Two namespaces, one end of a cable in each."""
    for name in names:
        ip("netns", "add", name)
    ip("link", "add", cables[0], "netns", names[0], "type", "veth", "peer", "name", cables[1], "netns", names[1])
    for name, cable, address in zip(names, cables, ADDRESSES, strict=True):
        ip("-n", name, "address", "add", f"{address}/24", "dev", cable)
        ip("-n", name, "link", "set", cable, "up")
        ip("-n", name, "link", "set", "lo", "up")


@pytest.fixture
def machines() -> Iterator[list[str]]:
    """Names of two network namespaces that reach each other and nothing else."""
    if shutil.which("ip") is None:
        pytest.skip("needs the command ip (iproute2), which is not there")
    names = [f"eo{os.getpid()}m{number}" for number in range(2)]
    try:
        join(names, [f"eo{os.getpid()}c{number}" for number in range(2)])
        yield names
    except subprocess.CalledProcessError as error:
        pytest.skip(f"network namespaces cannot be made here ({' '.join(error.cmd)}: {error.stderr.strip()})")
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def start(small: ModuleType, machines: list[str], world: Path, config: Path, **environment: str) -> list[subprocess.Popen[bytes]]:
    """tools/dist.sh on both machines; each run writes to the log of its machine, beside the config."""
    meeting = {"NNODES": "2", "MASTER_ADDR": ADDRESSES[0]} | environment
    command = ["bash", small.ROOT / "tools" / "dist.sh", "train", config, "1"]
    return [
        small.start(["ip", "netns", "exec", name, *command], world, log_of(config, number), NODE_RANK=str(number), **meeting)
        for number, name in enumerate(machines)
    ]


def log_of(config: Path, machine: int) -> Path:
    return config.with_name(f"machine{machine}.log")


@pytest.mark.net
@pytest.mark.slow
@pytest.mark.parametrize("deepspeed", ["deepspeed_zero2", "deepspeed_zero3", "deepspeed_zero2_offload"])
def test_two_machines_train_as_one_does(deepspeed: str, machines: list[str], small: ModuleType, world: Path, tmp_path: Path) -> None:
    """One rank on each machine and two ranks on one: the same losses, bit by bit."""
    here = small.train(world, tmp_path / "here", deepspeed=deepspeed, ranks=2, steps=STEPS)
    config = small.write_config(tmp_path / "there", ranks=2, steps=STEPS)
    runs = start(small, machines, world, config, DEEPSPEED=deepspeed, PORT="29511")
    texts = [small.finish(run, log_of(config, number)) for number, run in enumerate(runs)]
    for number, text in enumerate(texts):
        assert f"GLOO_SOCKET_IFNAME=eo{os.getpid()}c{number}" in text, "the cable, not the loopback that the machine's name may lead to"
    there = small.scalars(tmp_path / "there")
    assert len(there) == STEPS and len({line["loss"] for line in there}) == STEPS
    assert small.largest_deviation(there, here) == 0.0


@pytest.mark.net
@pytest.mark.slow
@pytest.mark.fault
def test_a_rank_killed_on_one_machine_is_started_again_on_both(machines: list[str], small: ModuleType, world: Path, tmp_path: Path) -> None:
    steps, kill_at = 12, 3
    here = small.train(world, tmp_path / "here", deepspeed="deepspeed_zero2", ranks=2, steps=steps)
    config = small.write_config(tmp_path / "there", ranks=2, steps=steps, saved_every=2)
    runs = start(small, machines, world, config, DEEPSPEED="deepspeed_zero2", PORT="29513", RESTARTS="1")
    while len(small.scalars(tmp_path / "there")) < kill_at:
        assert all(run.poll() is None for run in runs), log_of(config, 1).read_text()[-3000:]
        time.sleep(0.02)
    (rank,) = Path(f"/proc/{runs[1].pid}/task/{runs[1].pid}/children").read_text().split()
    os.kill(int(rank), signal.SIGKILL)
    for number, run in enumerate(runs):
        small.finish(run, log_of(config, number))
    starts = [json.loads(line)["resumed_from"] for line in (tmp_path / "there" / "run" / "runs.jsonl").read_text().splitlines()]
    assert len(starts) == 2 and starts[0] is None and starts[1].startswith("iter_")
    assert small.largest_deviation(small.scalars(tmp_path / "there"), here) == 0.0


@pytest.mark.slow
def test_slurm_trains_one_rank_for_each_task(small: ModuleType, world: Path, tmp_path: Path) -> None:
    """srun is a stand-in; all that it starts is real."""
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    here = small.train(world, tmp_path / "here", deepspeed="deepspeed_zero2", ranks=2, steps=STEPS)
    work_dir = tmp_path / "slurm"
    command = ["bash", small.ROOT / "tools" / "slurm.sh", "gpu", "train", small.write_config(work_dir, ranks=2, steps=STEPS), "2"]
    settings = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "NOTES": str(tmp_path / "notes"),
        "PORT": str(free_port()),
        "GPUS_PER_NODE": "1",
    }
    log = work_dir / "launcher.log"
    small.finish(small.start(command, world, log, DEEPSPEED="deepspeed_zero2", **settings), log)
    assert small.largest_deviation(small.scalars(work_dir), here) == 0.0
    notes = (tmp_path / "notes").read_text().split("\n")
    assert notes[:10] == ["-p", "gpu", "--job-name", "train", "--gres", "gpu:1", "--ntasks", "2", "--ntasks-per-node", "1"]
