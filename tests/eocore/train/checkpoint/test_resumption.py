"""Going on equals never having stopped (R1), on other numbers of ranks too (R2), and only where it fits (R14)."""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from safetensors.torch import load_file
from tolerances import ACROSS_RANKS, IN_BF16

from eocore.data.loading.sampler import GlobalBatchSampler, LikeLengths
from eocore.data.loading.shard import Shard
from eocore.errors import CheckpointError, ConfigError
from eocore.log import get_logger
from eocore.registry import HOOKS
from eocore.train.checkpoint import files as checkpoint_files
from eocore.train.checkpoint.files import read_state
from eocore.train.checkpoint.resumption import data_position, find_differences
from eocore.train.launch import dry_run, train


@pytest.mark.parametrize("like", [None, LikeLengths(lengths=lambda epoch: np.ones(8))])
def test_the_order_of_the_data_is_written_down(like: LikeLengths | None) -> None:
    sampler: Any = GlobalBatchSampler(num_samples=8, batch_size=2, shard=Shard(world_size=2), like_lengths=like)
    loader = SimpleNamespace(batch_sampler=sampler)
    expected = {"batches": 6, "accumulation": 2, "global_batch": 4, "by_length": like is not None, "plan": None}
    assert data_position(loader, SimpleNamespace(iter=3, accumulation=2)) == expected  # type: ignore[arg-type]


def losses(work_dir: Path) -> list[tuple[float, ...]]:
    records = [json.loads(line) for line in (work_dir / "scalars.jsonl").read_text().splitlines()]
    return [(record["step"], record["loss"], record["lr"], record.get("grad_norm", 0.0)) for record in records]


def samples(folder: Path) -> dict[int, list[str]]:
    """Step -> samples of all ranks, in order."""
    found: dict[int, list[str]] = {}
    for path in folder.glob("ids_*.jsonl"):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            found.setdefault(entry["step"], []).extend(entry["ids"])
    return {step: sorted(ids) for step, ids in found.items()}


def ids_of(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    return folder


@pytest.mark.fault
@pytest.mark.parametrize(("ranks", "workers", "zero", "accumulation"), [(1, 0, 0, 1), (2, 0, 2, 1), (2, 2, 2, 1), (2, 0, 3, 2)])
def test_ten_and_ten_steps_equal_twenty(faulty: ModuleType, tmp_path: Path, ranks: int, workers: int, zero: int, accumulation: int) -> None:
    """Loss, learning rate, norm of the gradient and samples of every step, and the last weights, bit by bit; dropout is on."""

    def config(ids: str) -> dict[str, Any]:
        task = {"num_workers": workers, "id_folder": str(ids_of(tmp_path, ids))}
        settings = {"max_iters": 20, "deepspeed": f"deepspeed_zero{zero}", "accumulation": accumulation}
        return faulty.make_config(task, {"interval": 10, "keep": 5}, **settings)

    straight = faulty.run_ranks(config("straight_ids"), tmp_path / "straight", ranks=ranks, timeout_s=300)
    assert [rank.code for rank in straight] == [0] * ranks, straight[0].text[-3000:]
    shutil.copytree(tmp_path / "straight", tmp_path / "parts")
    shutil.rmtree(tmp_path / "parts" / "iter_000020")
    resumed = faulty.run_ranks(config("parts_ids"), tmp_path / "parts", ranks=ranks, resume="auto", timeout_s=300)
    assert [rank.code for rank in resumed] == [0] * ranks, resumed[0].text[-3000:]
    assert "resuming from iter_000010: newest of 1 in" in resumed[0].text
    assert losses(tmp_path / "parts") == losses(tmp_path / "straight")
    whole = samples(tmp_path / "straight_ids")
    assert samples(tmp_path / "parts_ids") == {step: ids for step, ids in whole.items() if step > 10}
    last = load_file(tmp_path / "straight" / "iter_000020" / "trainable.safetensors")
    again = load_file(tmp_path / "parts" / "iter_000020" / "trainable.safetensors")
    assert all(torch.equal(value, again[name]) for name, value in last.items())


@pytest.mark.fault
@pytest.mark.parametrize(
    ("before", "after", "zero", "precision"),
    [(2, 1, 2, "fp32"), (1, 2, 2, "fp32"), (2, 1, 3, "fp32"), (1, 2, 0, "fp32"), (2, 1, 2, "bf16"), (1, 2, 0, "bf16"), (2, 1, 3, "bf16")],
)
def test_another_number_of_ranks_takes_the_same_samples(
    faulty: ModuleType, tmp_path: Path, before: int, after: int, zero: int, precision: str
) -> None:
    def config(ranks: int, ids: str) -> dict[str, Any]:
        task = {"batch_size": 4 // ranks, "dropout": 0.0, "id_folder": str(ids_of(tmp_path, ids))}
        training = {"deepspeed": f"deepspeed_zero{zero}", "precision": precision}
        return faulty.make_config(task, {"interval": 5, "keep": 5}, max_iters=10, **training)

    straight = faulty.run_ranks(config(before, "straight_ids"), tmp_path / "straight", ranks=before)
    assert [rank.code for rank in straight] == [0] * before, straight[0].text[-3000:]
    shutil.copytree(tmp_path / "straight", tmp_path / "parts")
    shutil.rmtree(tmp_path / "parts" / "iter_000010")
    resumed = faulty.run_ranks(config(after, "parts_ids"), tmp_path / "parts", ranks=after, resume="auto")
    assert [rank.code for rank in resumed] == [0] * after, resumed[0].text[-3000:]
    assert samples(tmp_path / "parts_ids") == {step: ids for step, ids in samples(tmp_path / "straight_ids").items() if step > 5}
    for found, expected in zip(losses(tmp_path / "parts"), losses(tmp_path / "straight"), strict=True):
        assert found[:2] == pytest.approx(expected[:2], **(ACROSS_RANKS if precision == "fp32" else IN_BF16).approx)


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """What is warned of."""
    found: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda entry: found.append(entry.getMessage())  # type: ignore[method-assign]
    get_logger().addHandler(handler)
    yield found
    get_logger().removeHandler(handler)


@pytest.fixture(scope="module")
def run(faulty: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work_dir = tmp_path_factory.mktemp("fit") / "run"
    train(Config(faulty.make_config(max_iters=3), format_python_code=False), work_dir)
    return work_dir / "iter_000003"


def resume(faulty: ModuleType, run: Path, tmp_path: Path, changes: dict[str, Any], *allow: str, **training: Any) -> None:
    config = Config(faulty.make_config(**{"max_iters": 3} | training), format_python_code=False)
    config.merge_from_dict(changes)
    train(config, tmp_path / "new", resume=str(run), allow=allow)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task.width": 9}, "frozen weights .sha256.: .* then, .* now"),
        ({"task.trainable": ["head"]}, "frozen weights .sha256."),
        ({"seed": 4}, "frozen weights .sha256.: .*; seed: 3 then, 4 now"),
        ({"training.max_iters": 5}, "max_iters: 3 then, 5 now"),
        ({"optimizer.lr": 0.02}, "optimizer.lr: 0.01 then, 0.02 now"),
        (
            {"schedule.warmup_ratio": 0.5, "optimizer.weight_decay": 0.1},
            "optimizer.weight_decay: 0.05 then, 0.1 now; schedule.warmup_ratio",
        ),
        ({"task.batch_size": 3}, "samples per update: 2 then, 3 now"),
        ({"training.accumulation": 2}, "samples per update: 2 then, 4 now"),
        ({"training.clip_norm": 0.5}, "training.clip_norm: 1.0 then, 0.5 now"),
        ({"training.precision": "bf16"}, "precision: fp32 then, bf16 now"),
        ({"guard.spike_sigmas": 3.0}, "guard.spike_sigmas: 6.0 then, 3.0 now"),
        ({"task.dropout": 0.1}, "task.dropout: 0.3 then, 0.1 now"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_list(
    faulty: ModuleType, run: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(CheckpointError, match=f"does not fit this run: .*{message}.*accept it by: --allow"):
        resume(faulty, run, tmp_path, changes)


def test_the_flags_to_add_are_those_of_what_was_refused(faulty: ModuleType, run: Path, tmp_path: Path) -> None:
    changes = {"training.clip_norm": 0.5, "guard.spike_window": 64, "task.dropout": 0.1, "optimizer.lr": 0.02}
    expected = (
        f"{run} does not fit this run: training.clip_norm: 1.0 then, 0.5 now; guard.spike_window: 128 then, 64 now; "
        "task.dropout: 0.3 then, 0.1 now. Resuming would not produce what the run would have without the stop. Use the config and the "
        "data it was trained with, or accept it by: --allow training --allow task (training: another clip norm, guard or other option of "
        "the updates, from here on; task: other options of the task from here on)."
    )
    with pytest.raises(CheckpointError) as refused:
        resume(faulty, run, tmp_path, changes, "schedule")
    assert str(refused.value) == expected


HARMLESS = {
    "task.num_workers": 1,
    "task.sleep": 0.0,
    "training.deepspeed": "deepspeed_zero1",
    "training.timeout_s": 60,
    "training.loader_timeout_s": 60,
    "training.hang_timeout_s": 300,
    "training.load_from": {"path": "gone"},
    "guard.max_in_a_row": 7,
    "hooks.metrics.interval": 2,
    "hooks.checkpoint.interval": 2,
    "hooks.checkpoint.keep": 5,
    "tracking": [{"type": "TensorboardVisBackend"}],
    "task.dropout": 0.3,
    "training.clip_norm": 1,
    "schedule.final_ratio": 0.0,
    "optimizer.betas": [0.9, 0.999],
    "evaluation": {"batch_size": 3},
}
"""Options that change no result, and some at the value they have by default."""


def test_harmless_differences_are_not_asked_about(faulty: ModuleType, run: Path, tmp_path: Path) -> None:
    resume(faulty, run, tmp_path, HARMLESS | {"hooks.curve": {"type": "LossCurveHook"}}, "schedule", max_iters=4)
    state = read_state(tmp_path / "new" / "iter_000004")
    (entry,) = state["allowed"]
    assert entry == {"step": 3, "checkpoint": "iter_000003", "differences": {"schedule": ["max_iters: 3 then, 4 now"]}}


def test_what_was_allowed_is_said_once_and_stays_in_the_checkpoints(
    faulty: ModuleType, run: Path, tmp_path: Path, warnings: list[str]
) -> None:
    resume(faulty, run, tmp_path, {"task.dropout": 0.1}, "task", "schedule", "data", max_iters=4)
    assert [text for text in warnings if "resuming" in text] == [
        "resuming from iter_000003 although it differs, as --allow schedule --allow task allows: max_iters: 3 then, 4 now; "
        "task.dropout: 0.3 then, 0.1 now"
    ]
    train(Config(faulty.make_config({"dropout": 0.1}, max_iters=5)), tmp_path / "new", resume="auto", allow=["task", "schedule"])
    first, second = read_state(tmp_path / "new" / "iter_000005")["allowed"]
    assert first["differences"] == {"schedule": ["max_iters: 3 then, 4 now"], "task": ["task.dropout: 0.3 then, 0.1 now"]}
    assert second == {"step": 4, "checkpoint": "iter_000004", "differences": {"schedule": ["max_iters: 4 then, 5 now"]}}


def older(run: Path, tmp_path: Path) -> Path:
    """The checkpoint as versions wrote it that did not record options and data."""
    copy = tmp_path / "iter_000003"
    shutil.copytree(run, copy)
    state = {name: value for name, value in read_state(copy).items() if name not in ("options", "content", "allowed")}
    checkpoint_files.write_json(copy / "trainer.json", state)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"]["trainer.json"] = checkpoint_files._describe(copy / "trainer.json")
    checkpoint_files.write_json(copy / "manifest.json", manifest)
    return copy


def test_an_older_checkpoint_resumes_and_what_it_does_not_tell_is_said(
    faulty: ModuleType, run: Path, tmp_path: Path, warnings: list[str]
) -> None:
    resume(faulty, older(run, tmp_path), tmp_path, {"task.dropout": 0.1}, "schedule", max_iters=4)
    missing = "options of task, model, losses, processor and training, precision, annotation files"
    expected = f"iter_000003 was written by an older version, which did not record: {missing}. These are not compared."
    assert [text for text in warnings if "older version" in text] == [expected]
    assert read_state(tmp_path / "new" / "iter_000004")["allowed"][0]["not_compared"] == missing


def test_an_older_checkpoint_still_tells_its_schedule_and_seed(faulty: ModuleType, run: Path, tmp_path: Path) -> None:
    message = r"optimizer\.lr: 0\.01 then, 0\.02 now; frozen weights .*; seed: 3 then, 4 now\. Resuming"
    with pytest.raises(CheckpointError, match=message):
        resume(faulty, older(run, tmp_path), tmp_path, {"seed": 4, "optimizer.lr": 0.02})


def test_an_unknown_kind_is_answered_with_the_choices(faulty: ModuleType, run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--allow everything names no kind of difference\. Choices: schedule, training, data, frozen"):
        resume(faulty, run, tmp_path, {}, "everything")


def test_a_trial_of_one_step_shows_what_differs(faulty: ModuleType, run: Path, tmp_path: Path) -> None:
    config = Config(faulty.make_config(max_iters=3), format_python_code=False)
    config.training.clip_norm = 0.5
    with pytest.raises(CheckpointError, match=r"training\.clip_norm: 1\.0 then, 0\.5 now"):
        dry_run(config, run.parent, resume="auto")
    assert "loss_square: " in dry_run(config, run.parent, resume="auto", allow=["training"])
    assert "loss_square: " in dry_run(config, tmp_path / "empty", resume="auto")


def test_a_hook_that_acts_on_the_training_counts_and_one_that_looks_on_does_not(faulty: ModuleType, run: Path, tmp_path: Path) -> None:
    @HOOKS.register_module(force=True)
    class ActingHook(Hook):
        def __init__(self, *, decay: float = 0.9) -> None:
            self.decay = decay

    with pytest.raises(CheckpointError, match=r"hooks: 0 entries then, 1 now.*--allow training"):
        resume(faulty, run, tmp_path, {"hooks.acting": {"type": "ActingHook"}})


def test_that_nothing_was_frozen_is_told_in_words() -> None:
    same = {"options": {}, "data": {"global_batch": None, "accumulation": 1}}
    then, now = {**same, "frozen_hash": hashlib.sha256().hexdigest()}, {**same, "frozen_hash": "ab" * 32}
    assert find_differences(then, now) == {"frozen": ["frozen weights (sha256): none are frozen then, abababababab now"]}


def test_other_shapes_are_refused_whatever_is_allowed(faulty: ModuleType, run: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"hidden\.weight: \(8, 8\) in the file, \(9, 9\) in the model"):
        resume(faulty, run, tmp_path, {"task.width": 9}, "frozen", "task")


def test_missing_moments_are_named(faulty: ModuleType, run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "iter_000003"
    shutil.copytree(run, copy)
    (copy / "optimizer.safetensors").unlink()
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["files"]["optimizer.safetensors"]
    checkpoint_files.write_json(copy / "manifest.json", manifest)
    with pytest.raises(CheckpointError, match=r"has no optimizer\.safetensors, so training cannot resume from it"):
        resume(faulty, copy, tmp_path, {})


def test_an_allowed_schedule_continues_as_if_it_had_always_been_so(faulty: ModuleType, run: Path, tmp_path: Path) -> None:
    resume(faulty, run, tmp_path, {}, "schedule", max_iters=6)
    train(Config(faulty.make_config(max_iters=6), format_python_code=False), tmp_path / "whole")
    assert [entry[2] for entry in losses(tmp_path / "new")] == [entry[2] for entry in losses(tmp_path / "whole")][3:]


def test_config_text_of_a_checkpoint_is_never_executed(faulty: ModuleType, run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "iter_000003"
    shutil.copytree(run, copy)
    state = json.loads((copy / "trainer.json").read_text())
    state["config"] = f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n"
    checkpoint_files.write_json(copy / "trainer.json", state)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"]["trainer.json"] = checkpoint_files._describe(copy / "trainer.json")
    checkpoint_files.write_json(copy / "manifest.json", manifest)
    resume(faulty, copy, tmp_path, {})
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_holds_no_pickle(run: Path) -> None:
    assert {path.suffix for path in run.iterdir()} == {".json", ".safetensors"}
