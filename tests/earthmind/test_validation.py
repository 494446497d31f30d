"""An EarthMind training that answers held-out questions while it trains."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from earthmind_models import SMALLER
from mmengine.config import Config
from PIL import Image
from safetensors.torch import load_file

from earthmind.predictor import EarthMindPredictor
from eocore.config import load_config
from eocore.errors import ConfigError
from eocore.evaluate.engine.config_run import run_config
from eocore.evaluate.predictions import read_predictions
from eocore.export.convert import Choices, convert
from eocore.predict.validation import ScoredAnswers
from eocore.synthetic.world import write_world
from eocore.system import PredictorOptions, systems_of_config
from eocore.train.checkpoint.files import resolve_checkpoint
from eocore.train.launch import dry_run, train

STEPS = 2
SETTINGS = {"sar": ["sar"], "fused": ["multispectral", "sar"]}
SMALL: dict[str, Any] = {
    "task.num_workers": 0,
    "task.batch_size": 2,
    **SMALLER,
    "+task.lora": {"rank": 2, "alpha": 4, "dropout": 0.5},
    "+task.trainable": ["projector", "fusion", "seg_head"],
    "+task.gradient_checkpointing": "full",
    "training.max_iters": STEPS,
    "training.precision": "fp32",
    "training.validation.every": 2,
    "training.validation.settings": SETTINGS,
    "training.validation.samples": 2,
    "+training.validation.loss_samples": 3,
    "+training.validation.pictures": 2,
    "training.validation.batch_size": 2,
    "training.validation.max_new_tokens": 4,
    "training.validation.best": "fused/loss_text",
}
PACKED = {"+task.packing": {"max_tokens": 1024, "folder": None}, "task.batch_size": 1, "task.row_length": None}


@pytest.fixture(autouse=True)
def kept_environment() -> Iterator[None]:
    """A training started alone sets the variables of a group of one; later tests must not inherit them."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    write_world(root, {"train": 3, "val": 2}, size=48)
    return root


def make_config(world: Path, **changes: Any) -> Config:
    repo = Path(__file__).resolve().parents[2]
    with mock.patch.dict(os.environ, {"SYNTHETIC_ROOT": str(world)}):
        config = load_config(repo / "configs" / "earthmind" / "earthmind_tiny_validated.py", SMALL | changes)
    config.tracking = []
    config.hooks = {"metrics": {"type": "MetricsHook", "interval": 1}, "checkpoint": {"type": "CheckpointHook", "interval": 100, "keep": 1}}
    systems_of_config(config)
    return config


def lines(work_dir: Path, name: str) -> list[dict[str, float]]:
    found = [json.loads(line) for line in (work_dir / "scalars.jsonl").read_text().splitlines()]
    return [line for line in found if name in line]


def results(work_dir: Path) -> list[dict[str, float]]:
    return [{name: value for name, value in line.items() if not name.endswith("_s")} for line in lines(work_dir, "val/loss")]


@pytest.fixture(scope="module")
def run(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of packed samples with LoRA, its dropout and recomputed activations."""
    work_dir = tmp_path_factory.mktemp("run")
    with mock.patch.dict(os.environ):
        train(make_config(world, **PACKED), work_dir, answers=ScoredAnswers)
    return work_dir


def test_losses_and_answers_are_known_under_each_setting(run: Path) -> None:
    (found,) = results(run)
    for setting in SETTINGS:
        assert {f"val/{setting}/{name}" for name in ("loss", "loss_text", "loss_mask", "referring/miou", "mcq/accuracy")} <= set(found)
        assert 0 <= found[f"val/{setting}/mcq/accuracy"] <= 1 and found[f"val/{setting}/loss_text"] > 1
    parts = [found[f"val/loss_{name}"] for name in ("text", "alignment", "mask", "dice", "attention")]
    assert found["val/loss"] == pytest.approx(sum(parts))
    assert resolve_checkpoint(run / "best").name == "iter_000002"


def test_answers_and_pictures_are_left_in_the_run(run: Path) -> None:
    predictions = read_predictions(run / "validation" / "predictions.jsonl")
    by_setting = {setting: [item for item in predictions if item.sensor == setting] for setting in SETTINGS}
    assert {len(items) for items in by_setting.values()} == {4}, "two of each data set"
    assert len({tuple(sorted(item.sample_id for item in items)) for items in by_setting.values()}) == 1, "the same under each setting"
    assert all(item.prediction is not None for item in predictions)
    assert [path.name for path in sorted((run / "validation").iterdir())] == ["predictions.jsonl", "step_000002.png"]
    picture = np.asarray(Image.open(run / "validation" / "step_000002.png"))
    assert picture.shape[0] > 500 and picture.std() > 20


@pytest.mark.slow
def test_the_training_is_the_same_with_and_without(run: Path, world: Path, tmp_path: Path) -> None:
    """After a validation too: one comes after the first update."""
    train(make_config(world, **PACKED, **{"training.validation.every": 1}), tmp_path / "with", answers=ScoredAnswers)
    without = make_config(world, **PACKED)
    without.training.validation = None
    train(without, tmp_path / "without")
    kept = ("step", "loss", "loss_text", "loss_mask", "grad_norm", "lr")
    folders = (run, tmp_path / "with", tmp_path / "without")
    trained = [[{name: line[name] for name in kept} for line in lines(folder, "loss")] for folder in folders]
    assert trained[0] == trained[1] == trained[2] and len(trained[0]) == STEPS
    ours, *others = (load_file(folder / f"iter_{STEPS:06d}" / "trainable.safetensors") for folder in folders)
    for other in others:
        assert ours.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in ours.items())


@pytest.mark.slow
def test_a_trial_tells_what_would_be_answered(world: Path) -> None:
    told = dry_run(make_config(world), answers=ScoredAnswers)
    assert (
        "12 questions answered: optical/referring/miou, optical/mcq/accuracy, sar/referring/miou, sar/mcq/accuracy, fused/referring/miou"
        in told
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"metrics": ["refering"]},
            r"names 'refering', but the held-out data asks no such task\. Did you mean 'referring'\? Tasks: mcq, ref",
        ),
        ({"metrics": ["mcq/acuracy"]}, r"no measure of its task\. Did you mean 'mcq/accuracy'\? Choices: mcq, mcq/accuracy"),
        ({"best": "fused/mcq/f1"}, r"best is 'fused/mcq/f1', which no validation of this run has.*fused/mcq/accuracy"),
        ({"settings": {"thermal": ["sar"]}}, r"thermal"),
        ({"generation": {"num_beam": 2}}, r"num_beam"),
    ],
)
def test_mistakes_are_told_before_the_training(change: dict[str, Any], message: str, world: Path) -> None:
    config = make_config(world)
    config.training.validation.update(change)
    with pytest.raises(ConfigError, match=message):
        dry_run(config, answers=ScoredAnswers)


@pytest.mark.slow
def test_answers_are_those_of_the_converted_model(run: Path, world: Path, tmp_path: Path) -> None:
    """The best checkpoint, converted and evaluated on the same questions, gives the words and masks that validation was given."""
    config = make_config(world, **PACKED)
    convert(config, run / "best", out_dir=tmp_path / "model", choices=Choices(verify=False))
    chosen = config.training.validation
    config.evaluation = {name: chosen[name] for name in ("settings", "batch_size", "max_new_tokens")} | {"datasets": chosen.data}
    predictor = EarthMindPredictor(tmp_path / "model", PredictorOptions(device="cpu", float32_on_cpu=True))
    run_config(config, predictor, model=tmp_path / "model", out=tmp_path / "out")
    answers = {item.key: item for item in read_predictions(tmp_path / "out" / "predictions.jsonl")}
    last = read_predictions(run / "validation" / "predictions.jsonl")
    assert resolve_checkpoint(run / "best").name == f"iter_{STEPS:06d}", "the answers left are those of the last validation"
    assert [answers[item.key].prediction for item in last] == [item.prediction for item in last]
    assert [answers[item.key].prediction_masks for item in last] == [item.prediction_masks for item in last]


@pytest.mark.slow
def test_two_ranks_validate_as_one_does(world: Path, tmp_path: Path) -> None:
    """To the bit, of weights that are the same to the bit: updates this small leave them as they were drawn."""
    import forked
    from ports import free_port

    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(tests=str(Path(__file__).parent)))
    found = {}
    for ranks in (1, 2):
        environment = {"SYNTHETIC_ROOT": str(world)}
        with mock.patch.dict(os.environ, environment):
            done = forked.run_ranks([program, str(world), str(tmp_path / str(ranks))], ranks=ranks, cwd=tmp_path, port=free_port())
        assert [item.returncode for item in done] == [0] * ranks, done[0].stderr[-3000:]
        found[ranks] = results(tmp_path / str(ranks))
    assert found[1] == found[2] and len(found[1]) == 1


PROGRAM = """
import sys
from pathlib import Path

sys.path.insert(0, {tests!r})
from test_validation import make_config
from eocore.predict.validation import ScoredAnswers
from eocore.train.launch import train

world, out = map(Path, sys.argv[1:])
config = make_config(world, **{{"training.max_iters": 2, "optimizer.lr": 1e-30, "training.deepspeed": "deepspeed_zero3"}})
train(config, out, answers=ScoredAnswers)
"""
