"""A training that is validated: the same training, with its best checkpoint, its early end and its interruptions."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from mmengine.config import Config
from safetensors.torch import load_file

from eocore.errors import CheckpointError, ConfigError, DataError
from eocore.train.checkpoint.files import read_state, resolve_checkpoint
from eocore.train.launch import dry_run, train
from eocore.train.work_dir import read_status

EVERY, STEPS = 2, 10


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def config(faulty: ModuleType, *, data: dict[str, Any] | None = None, stage: int = 2, **options: Any) -> Config:
    """Ten updates, validated after every second; one checkpoint stays beside the best."""
    validation = {"every": EVERY, "data": {"type": "Numbers", **(data or {})}, "best": "loss", **options}
    training = {"deepspeed": f"deepspeed_zero{stage}", "validation": validation}
    return Config(faulty.make_config(None, {"interval": 4, "keep": 1}, max_iters=STEPS, **training))


def lines(work_dir: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (work_dir / "scalars.jsonl").read_text().splitlines()]


def trained(work_dir: Path) -> list[tuple[float, ...]]:
    return [(line["step"], line["loss"], line["lr"], line.get("grad_norm", 0.0)) for line in lines(work_dir) if "loss" in line]


def validated(work_dir: Path) -> list[tuple[float, float]]:
    return [(line["step"], line["val/loss"]) for line in lines(work_dir) if "val/loss" in line]


def weights(work_dir: Path, step: int = STEPS) -> dict[str, torch.Tensor]:
    return load_file(work_dir / f"iter_{step:06d}" / "trainable.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.fixture(scope="module")
def run(faulty: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose held-out loss falls to the end."""
    work_dir = tmp_path_factory.mktemp("run")
    assert train(config(faulty), work_dir)
    return work_dir


@pytest.fixture(scope="module")
def worse(faulty: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with the highest loss for the best: that of the first validation."""
    work_dir = tmp_path_factory.mktemp("worse")
    train(config(faulty, lower_is_better=False), work_dir)
    return work_dir


@pytest.mark.parametrize("stage", [2, 3])
def test_the_training_is_the_same_with_and_without(stage: int, run: Path, faulty: ModuleType, tmp_path: Path) -> None:
    """Dropout is on: a random number drawn by validation, or a mode it leaves behind, would show."""
    without = config(faulty, stage=stage)
    without.training.validation = None
    train(without, tmp_path / "without")
    if stage == 3:
        train(config(faulty, stage=3), tmp_path / "with")
    other = run if stage == 2 else tmp_path / "with"
    assert trained(tmp_path / "without") == trained(other)
    assert same(weights(tmp_path / "without"), weights(other))
    assert [step for step, _ in validated(other)] == [2, 4, 6, 8, 10] and not validated(tmp_path / "without")


def test_the_best_checkpoint_is_the_best_of_the_curve_and_stays(run: Path, worse: Path) -> None:
    for folder, choose in ((run, min), (worse, max)):
        step, value = choose(validated(folder), key=lambda pair: pair[1])
        best = resolve_checkpoint(folder / "best")
        assert best.name == f"iter_{step:06d}" and read_state(best)["validation"]["best"] == {"name": "loss", "step": step, "value": value}
        assert resolve_checkpoint(folder / "latest").name == "iter_000010"
        assert {path.name for path in folder.glob("iter_*")} == {best.name, "iter_000010"}, "keep=1, and the best"
    assert resolve_checkpoint(worse / "best").name == "iter_000002"


def test_a_run_that_gets_no_better_ends_by_itself_and_stays_ended(worse: Path, faulty: ModuleType, tmp_path: Path) -> None:
    patient = config(faulty, lower_is_better=False, patience=2)
    assert train(patient, tmp_path / "run"), "an end of its own, not one it was told to"
    status = read_status(tmp_path / "run")
    assert (status["state"], status["step"], status["checkpoint"]) == ("finished", 6, "iter_000006")
    assert status["reason"].startswith("stopped early: loss was not better in 2 validations in a row; the best is")
    assert validated(tmp_path / "run") == validated(worse)[:3] and (tmp_path / "run" / "best").read_text() == "iter_000002\n"
    assert train(patient, tmp_path / "run", resume="auto")
    assert read_status(tmp_path / "run")["reason"] == status["reason"] and len(trained(tmp_path / "run")) == 6
    assert train(config(faulty, lower_is_better=False, patience=9), tmp_path / "run", resume="auto")
    assert read_status(tmp_path / "run")["reason"] == "" and validated(tmp_path / "run") == validated(worse)
    assert same(weights(tmp_path / "run"), weights(worse))


def test_a_run_told_to_stop_while_it_validates_does_so_first_when_it_resumes(run: Path, faulty: ModuleType, tmp_path: Path) -> None:
    """Told twice: in the first validation, and when the resumed run makes it first."""
    marker = tmp_path / "struck"
    told = config(faulty, data={"faults": [{"kind": "SIGTERM", "index": 7, "marker": str(marker)}]})
    for resume in (None, "auto"):
        marker.unlink(missing_ok=True)
        assert not train(told, tmp_path / "run", resume=resume)
        status = read_status(tmp_path / "run")
        assert (status["state"], status["step"], status["checkpoint"]) == ("preempted", 2, "iter_000002")
        assert not validated(tmp_path / "run") and not (tmp_path / "run" / "best").exists()
    assert train(told, tmp_path / "run", resume="auto")
    assert validated(tmp_path / "run") == validated(run) and trained(tmp_path / "run") == trained(run)
    assert (tmp_path / "run" / "best").read_text() == (run / "best").read_text() and same(weights(tmp_path / "run"), weights(run))


def test_a_run_resumed_from_an_older_checkpoint_has_the_best_of_that_time(worse: Path, faulty: ModuleType, tmp_path: Path) -> None:
    shutil.copytree(worse, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "iter_000010")
    (tmp_path / "run" / "best").write_text("iter_000004\n")
    train(config(faulty, lower_is_better=False), tmp_path / "run", resume="auto")
    assert (tmp_path / "run" / "best").read_text() == "iter_000002\n" and validated(tmp_path / "run") == validated(worse)


@pytest.mark.fault
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_run_killed_while_it_validates_goes_on_exactly(ranks: int, faulty: ModuleType, tmp_path: Path) -> None:
    def options(*faults: dict[str, Any]) -> dict[str, Any]:
        return config(faulty, data={"faults": list(faults)}).to_dict()

    fault = {"kind": "kill", "index": 7, "marker": str(tmp_path / "struck")}
    assert [rank.code for rank in faulty.run_ranks(options(), tmp_path / "straight", ranks=ranks)] == [0] * ranks
    assert any(rank.code != 0 for rank in faulty.run_ranks(options(fault), tmp_path / "run", ranks=ranks))
    assert not validated(tmp_path / "run")
    again = faulty.run_ranks(options(fault), tmp_path / "run", ranks=ranks, resume="auto")
    assert [rank.code for rank in again] == [0] * ranks, again[0].text[-3000:]
    assert validated(tmp_path / "run") == validated(tmp_path / "straight")
    assert same(weights(tmp_path / "run"), weights(tmp_path / "straight"))


@pytest.mark.slow
@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_two_ranks_train_the_same_with_and_without(stage: int, faulty: ModuleType, tmp_path: Path) -> None:
    with_it = config(faulty, stage=stage)
    without = config(faulty, stage=stage)
    without.training.validation = None
    for name, options in (("with", with_it), ("without", without)):
        assert [rank.code for rank in faulty.run_ranks(options.to_dict(), tmp_path / name)] == [0, 0]
    assert trained(tmp_path / "with") == trained(tmp_path / "without")
    assert same(weights(tmp_path / "with"), weights(tmp_path / "without"))


def test_two_ranks_validate_as_one_does(faulty: ModuleType, tmp_path: Path) -> None:
    """To the bit, of weights that are the same to the bit: updates this small leave them as they were drawn."""
    found = {}
    for ranks in (1, 2):
        options = config(faulty, stage=3).to_dict()
        options["optimizer"]["lr"] = 1e-30
        options["training"]["max_iters"] = EVERY
        assert [rank.code for rank in faulty.run_ranks(options, tmp_path / str(ranks), ranks=ranks)] == [0] * ranks
        found[ranks] = validated(tmp_path / str(ranks))
    assert found[1] == found[2] and len(found[1]) == 1


def test_a_broken_held_out_sample_is_named_and_ends_the_run(faulty: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"validation: dataset 'numbers', index 3, sample 'n3' .*numbers\.bin: holds letters"):
        train(config(faulty, data={"faults": [{"kind": "data_error", "index": 3}]}), tmp_path)


def test_what_cannot_be_is_told_before_the_training(faulty: ModuleType, tiny: ModuleType, tmp_path: Path) -> None:
    unkept = config(faulty)
    unkept.hooks.checkpoint = None
    with pytest.raises(ConfigError, match="no CheckpointHook among `hooks` would keep its checkpoint"):
        train(unkept, tmp_path / "a")
    with pytest.raises(ConfigError, match="but this program gave `train` nothing that scores answers"):
        train(config(faulty, metrics=["mcq"]), tmp_path / "b")
    with pytest.raises(ConfigError, match="best is 'accuracy', which no validation of this run has as a result"):
        train(config(faulty, best="accuracy"), tmp_path / "c")
    unable = tiny.tiny_config(validation={"every": 1, "data": {"type": "x"}})
    with pytest.raises(ConfigError, match="TinyTask makes no batches of held-out data"):
        train(unable, tmp_path / "d")
    with pytest.raises(CheckpointError, match="best does not exist: the run keeps no best checkpoint, or has not validated yet"):
        resolve_checkpoint(tmp_path / "best")


def test_a_trial_builds_it_and_tells(faulty: ModuleType) -> None:
    told = dry_run(config(faulty, loss_samples=12))
    assert "validation every 2 updates\n  loss of 12 samples\n  best checkpoint by loss, the lowest\n" in told


def test_its_time_is_in_no_speed_but_in_what_is_left(run: Path) -> None:
    records = lines(run)
    seconds = {line["step"]: line["val/validation_s"] for line in records if "val/loss" in line}
    steps = [line for line in records if "loss" in line]
    left = [line["eta_s"] - line["step_s"] * (STEPS - line["step"]) for line in steps if line["step"] == 3]
    assert left == [pytest.approx(seconds[2] / EVERY * 7)]
