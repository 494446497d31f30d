"""A training of MS-CLIP that validates while it trains: held-out losses, retrieval and zero-shot accuracy, the best one kept, any ranks."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from eocore.config import load_config
from eocore.data.loading.held_out import HeldOut
from eocore.data.loading.shard import Shard
from eocore.predict.validation import ScoredAnswers
from eocore.synthetic.chips import write_chips
from eocore.system import systems_of_config
from eocore.train.launch import train

SMALL = {
    "task.num_workers": 0,
    "task.batch_size": 4,
    "task.model.vision_config.num_hidden_layers": 1,
    "task.model.text_config.num_hidden_layers": 1,
    "training.max_iters": 2,
    "training.precision": "fp32",
    "training.validation.every": 1,
}


@pytest.fixture(autouse=True)
def kept_environment() -> Iterator[None]:
    """A training started alone sets the variables of a group of one; later tests must not inherit them."""
    with mock.patch.dict(os.environ):
        yield


def test_losses_recall_and_accuracy_of_a_model_in_training(tmp_path: Path) -> None:
    write_chips(tmp_path / "chips", {"train": 20, "val": 10, "test": 10})
    repo = Path(__file__).resolve().parents[2]
    with mock.patch.dict(os.environ, {"SYNTHETIC_ROOT": str(tmp_path)}):
        config = load_config(repo / "configs" / "ms_clip" / "ms_clip_tiny_validated.py", SMALL)
    config.tracking = []
    config.hooks = {"metrics": {"type": "MetricsHook", "interval": 1}, "checkpoint": {"type": "CheckpointHook", "interval": 100, "keep": 1}}
    systems_of_config(config)
    train(config, tmp_path / "run", answers=ScoredAnswers)
    lines = [json.loads(line) for line in (tmp_path / "run" / "scalars.jsonl").read_text().splitlines()]
    found = next(line for line in lines if any(name.startswith("val/") for name in line))
    names = {name.removeprefix("val/") for name in found if name.startswith("val/")}
    assert {"loss", "accuracy_image_to_text", "multispectral/classification/accuracy"} <= names, names
    assert any(name.startswith("multispectral/retrieval/") for name in names), names
    assert (tmp_path / "run" / "best").is_file()


def test_the_number_of_ranks_does_not_matter(make_task: Callable[..., Any], make_fields: Callable[..., dict[str, Any]]) -> None:
    torch.manual_seed(0)
    task = make_task(batch_size=4).eval()

    def sums(world_size: int) -> list[tuple[str, float, float]]:
        found = []
        for rank in range(world_size):
            shard = Shard(rank=rank, world_size=world_size, seed=0)
            held_out = task.build_held_out(HeldOut(data=make_fields()["data"], roles=("multispectral",), limit=None, shard=shard))
            with torch.no_grad():
                found += [(name, *pair) for batch in held_out.loader for name, pair in task.loss_sums(batch).items()]
        return sorted(found)

    alone = sums(1)
    assert alone == sums(2) and {name for name, _, _ in alone} == {"loss_pairs", "accuracy_image_to_text", "accuracy_text_to_image"}
    assert sum(number for name, _, number in alone if name == "loss_pairs") == 20


def test_a_model_in_training_answers_as_the_converted_one(make_task: Callable[..., Any], tmp_path: Path) -> None:
    from eocore.evaluate.protocols import Embeds
    from eocore.system import PredictorOptions
    from ms_clip.system import SYSTEM

    task = make_task().eval()
    task.model.save_pretrained(tmp_path / "model")
    task.processor.save_pretrained(tmp_path / "model")
    assert SYSTEM.predictor and SYSTEM.training_predictor
    converted = SYSTEM.predictor(tmp_path / "model", PredictorOptions())
    training = SYSTEM.training_predictor(task, PredictorOptions())
    assert isinstance(training, Embeds) and training.roles == converted.roles
    texts = ["water in the north", "forest"]
    assert (training.embed_texts(texts) == converted.embed_texts(texts)).all()
    pixels = torch.randn(2, 10, 48, 48)
    assert (training.embed_images(pixels) == converted.embed_images(pixels)).all()
