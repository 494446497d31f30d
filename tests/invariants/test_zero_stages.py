"""The same course of training under every ZeRO stage and number of ranks, by the commands a user types."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from eocore.data.synthetic import write_world

SMALLER = """_base_ = ["{base}"]
training = dict(max_iters={steps}, precision="fp32")
hooks = dict(metrics=dict(type="MetricsHook", interval=1), checkpoint=None, loss_curve=None)
tracking = []
task = dict(
    batch_size={batch_size},
    num_workers=0,
    length_window=2,
    model=dict(
        vision_config=dict(num_hidden_layers=1, hidden_size=32, intermediate_size=64),
        text_config=dict(num_hidden_layers=2, hidden_size=64, intermediate_size=128),
    ),
    losses=dict(num_points=256),
)
"""
GLOBAL_BATCH = 8
STEPS = 10
QUICK_STEPS = 4
TOLERANCE = 1e-5
"""Relative, of every part of the loss at every step, float32: sums in another order. Found over ten steps: at most 2e-6."""
LOSSES = ("loss", "loss_text", "loss_mask", "loss_dice", "loss_attention", "loss_alignment")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    write_world(root, {"train": 6, "test": 1}, size=64)
    return root


def train(world: Path, work_dir: Path, repo_root: Path, *, stage: int, ranks: int, steps: int) -> list[dict[str, float]]:
    """The lines of scalars.jsonl."""
    config = work_dir / "config.py"
    base = repo_root / "configs" / "earthmind" / "earthmind_tiny_synthetic.py"
    work_dir.mkdir()
    config.write_text(SMALLER.format(base=base, steps=steps, batch_size=GLOBAL_BATCH // ranks))
    # one thread: two that wait for each other on busy cores make a step ten times as long
    environment = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    environment |= {"SYNTHETIC_ROOT": str(world), "DEEPSPEED": f"deepspeed_zero{stage}", "CUDA_VISIBLE_DEVICES": ""}
    command = [
        "bash",
        str(repo_root / "tools" / "dist.sh"),
        "train",
        str(config),
        str(ranks),
        "--trust-config",
        "--work-dir",
        str(work_dir / "run"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, env=os.environ | environment, cwd=work_dir)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in (work_dir / "run" / "scalars.jsonl").read_text().splitlines()]


def largest_deviation(found: list[dict[str, float]], expected: list[dict[str, float]]) -> float:
    """Relative, over all parts of the loss and steps; a part is 0 in a step without masks or pairs."""
    assert [line["step"] for line in found] == [line["step"] for line in expected]
    pairs = [(line[name], other[name]) for line, other in zip(found, expected, strict=True) for name in LOSSES]
    return max(abs(value - other) / max(abs(value), abs(other)) for value, other in pairs if value or other)


def check(found: list[dict[str, float]], expected: list[dict[str, float]], record_property: Callable[[str, object], None]) -> None:
    deviation = largest_deviation(found, expected)
    record_property("largest_relative_deviation", deviation)
    print(f"largest relative deviation over {len(found)} steps: {deviation:.1e}")
    assert deviation <= TOLERANCE


def test_two_ranks_of_zero_2_train_as_one_does(
    world: Path, tmp_path: Path, repo_root: Path, record_property: Callable[[str, object], None]
) -> None:
    alone = train(world, tmp_path / "alone", repo_root, stage=0, ranks=1, steps=QUICK_STEPS)
    together = train(world, tmp_path / "together", repo_root, stage=2, ranks=2, steps=QUICK_STEPS)
    assert len(alone) == QUICK_STEPS and len({line["loss"] for line in alone}) == QUICK_STEPS
    check(together, alone, record_property)


@pytest.fixture(scope="module")
def alone(world: Path, tmp_path_factory: pytest.TempPathFactory, repo_root: Path) -> list[dict[str, float]]:
    """One rank, no ZeRO: the reference."""
    return train(world, tmp_path_factory.mktemp("alone") / "work", repo_root, stage=0, ranks=1, steps=STEPS)


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "ranks"), [(1, 2), (2, 2), (3, 2), (2, 1), (3, 1)])
def test_every_stage_and_number_of_ranks_trains_alike(
    stage: int,
    ranks: int,
    alone: list[dict[str, float]],
    world: Path,
    tmp_path: Path,
    repo_root: Path,
    record_property: Callable[[str, object], None],
) -> None:
    check(train(world, tmp_path / "work", repo_root, stage=stage, ranks=ranks, steps=STEPS), alone, record_property)
