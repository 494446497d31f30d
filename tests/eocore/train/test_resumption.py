"""Going on equals never having stopped (R1), on other numbers of ranks too (R2), and only where it fits (R14)."""

import json
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tolerances import ACROSS_RANKS

from eocore.errors import CheckpointError
from eocore.train.launch import train


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
    assert "going on from iter_000010: newest of 1 in" in resumed[0].text
    assert losses(tmp_path / "parts") == losses(tmp_path / "straight")
    whole = samples(tmp_path / "straight_ids")
    assert samples(tmp_path / "parts_ids") == {step: ids for step, ids in whole.items() if step > 10}
    last = load_file(tmp_path / "straight" / "iter_000020" / "trainable.safetensors")
    again = load_file(tmp_path / "parts" / "iter_000020" / "trainable.safetensors")
    assert all(torch.equal(value, again[name]) for name, value in last.items())


@pytest.mark.fault
@pytest.mark.parametrize(("before", "after", "zero"), [(2, 1, 2), (1, 2, 2), (2, 1, 3), (1, 2, 0)])
def test_another_number_of_ranks_takes_the_same_samples(faulty: ModuleType, tmp_path: Path, before: int, after: int, zero: int) -> None:
    def config(ranks: int, ids: str) -> dict[str, Any]:
        task = {"batch_size": 4 // ranks, "dropout": 0.0, "id_folder": str(ids_of(tmp_path, ids))}
        return faulty.make_config(task, {"interval": 5, "keep": 5}, max_iters=10, deepspeed=f"deepspeed_zero{zero}")

    straight = faulty.run_ranks(config(before, "straight_ids"), tmp_path / "straight", ranks=before)
    assert [rank.code for rank in straight] == [0] * before, straight[0].text[-3000:]
    shutil.copytree(tmp_path / "straight", tmp_path / "parts")
    shutil.rmtree(tmp_path / "parts" / "iter_000010")
    resumed = faulty.run_ranks(config(after, "parts_ids"), tmp_path / "parts", ranks=after, resume="auto")
    assert [rank.code for rank in resumed] == [0] * after, resumed[0].text[-3000:]
    assert samples(tmp_path / "parts_ids") == {step: ids for step, ids in samples(tmp_path / "straight_ids").items() if step > 5}
    for found, expected in zip(losses(tmp_path / "parts"), losses(tmp_path / "straight"), strict=True):
        assert found[:2] == pytest.approx(expected[:2], **ACROSS_RANKS.approx)


@pytest.fixture(scope="module")
def run(faulty: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from mmengine.config import Config

    work_dir = tmp_path_factory.mktemp("fit") / "run"
    train(Config(faulty.make_config(max_iters=3)), work_dir)
    return work_dir / "iter_000003"


def resume(faulty: ModuleType, run: Path, tmp_path: Path, changes: dict[str, Any], *allow: str, **training: Any) -> None:
    from mmengine.config import Config

    config = Config(faulty.make_config(**{"max_iters": 3} | training))
    config.merge_from_dict(changes)
    train(config, tmp_path / "new", resume=str(run), allow=allow)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task.width": 9}, "frozen weights .sha256.: .* then, .* now"),
        ({"task.trainable": ["head"]}, "frozen weights .sha256."),
        ({"seed": 4}, "frozen weights .sha256."),
        ({"training.max_iters": 5}, "max_iters: 3 then, 5 now"),
        ({"optimizer.lr": 0.02}, "optimizer.lr: 0.01 then, 0.02 now"),
        (
            {"schedule.warmup_ratio": 0.5, "optimizer.weight_decay": 0.1},
            "optimizer.weight_decay: 0.05 then, 0.1 now; schedule.warmup_ratio",
        ),
        ({"task.batch_size": 3}, "samples per update: 2 then, 3 now"),
        ({"training.accumulation": 2}, "samples per update: 2 then, 4 now"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_list(
    faulty: ModuleType, run: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(CheckpointError, match=f"does not fit this run: .*{message}.*accept it by: --allow"):
        resume(faulty, run, tmp_path, changes)


def test_other_shapes_are_refused_whatever_is_allowed(faulty: ModuleType, run: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"hidden\.weight: \(8, 8\) in the file, \(9, 9\) in the model"):
        resume(faulty, run, tmp_path, {"task.width": 9}, "frozen")


def test_missing_moments_are_named(faulty: ModuleType, run: Path, tmp_path: Path) -> None:
    from eocore.train import checkpoint_files

    copy = tmp_path / "iter_000003"
    shutil.copytree(run, copy)
    (copy / "optimizer.safetensors").unlink()
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["files"]["optimizer.safetensors"]
    checkpoint_files.write_json(copy / "manifest.json", manifest)
    with pytest.raises(CheckpointError, match=r"has no optimizer\.safetensors, so training cannot go on from it"):
        resume(faulty, copy, tmp_path, {})


def test_an_allowed_schedule_goes_on_as_if_it_had_always_been_so(faulty: ModuleType, run: Path, tmp_path: Path) -> None:
    from mmengine.config import Config

    resume(faulty, run, tmp_path, {}, "schedule", max_iters=6)
    train(Config(faulty.make_config(max_iters=6)), tmp_path / "whole")
    assert [entry[2] for entry in losses(tmp_path / "new")] == [entry[2] for entry in losses(tmp_path / "whole")][3:]


def test_config_text_of_a_checkpoint_is_never_executed(faulty: ModuleType, run: Path, tmp_path: Path) -> None:
    from eocore.train import checkpoint_files

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
