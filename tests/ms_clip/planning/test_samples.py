"""Plans of a training of pairs: from captions alone, and from supposed sizes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from eocore.commands.plan_run import COMMAND
from eocore.data.records import Record
from eocore.errors import AlignmentError, ConfigError, LengthError
from eocore.train.planning.batches import read_batches, supposed_batches
from ms_clip.planning.samples import PairMeasurer


@pytest.fixture
def config(make_fields: Callable[..., dict[str, Any]]) -> Config:
    fields = {"type": "MsClipTask", **make_fields()}
    fields["tokenizer"] = {**fields["tokenizer"], "vocab_size": 400}
    return Config({"systems": ["ms_clip"], "seed": 3, "task": fields, "training": {"max_iters": 1}})


def test_sizes_are_those_of_the_samples_and_no_image_is_opened(config: Config, make_task: Callable[..., Any], tmp_path: Path) -> None:
    loader = make_task(captions="first").build_loader(rank=1, world_size=2, seed=3, start_step=0)
    batch = next(iter(loader))
    config.task["captions"] = "first"
    config.task["data"]["images"]["multispectral"]["root"] = str(tmp_path)  # where no image is
    planned = read_batches(config, num_gpus=2, num_workers=0)
    groups = list(planned.groups())
    assert len(planned.table) == 20 and len(groups) == 20 // 8
    assert planned.table[groups[0][1], 0].tolist() == batch.attention_mask.sum(1).tolist()
    assert planned.room(groups[0][1]) == batch.input_ids.numel()
    assert (planned.table[:, 1] == 1).all() and (planned.useful > 0).all()


def test_captions_that_are_drawn_count_as_the_longest(make_task: Callable[..., Any]) -> None:
    processor = make_task().processor
    record = Record("a", (), task="caption", source="table.csv:4", captions=("water", "water in the north of the scene"))
    both, first = (PairMeasurer(processor, choice=choice)(record, ())["tokens"] for choice in ("draw", "first"))
    assert first == processor.tokens(["water"])["input_ids"].shape[1] < both


def test_a_missing_and_a_long_caption_are_named(make_task: Callable[..., Any]) -> None:
    measure = PairMeasurer(make_task().processor, choice="draw")
    with pytest.raises(AlignmentError, match=r"table\.csv:4: the record has no caption"):
        measure(Record("a", (), task="caption", source="table.csv:4"), ())
    with pytest.raises(LengthError, match=r"table\.csv:5: b: a text has \d+ tokens, the model reads at most 32"):
        measure(Record("b", (), task="caption", source="table.csv:5", captions=("water " * 60,)), ())


def test_supposed_samples_need_no_data_and_no_tokenizer(config: Config, tmp_path: Path) -> None:
    config.task["data"]["annotations"] = str(tmp_path / "none.csv")
    config.task["tokenizer"]["path"] = str(tmp_path / "none")
    planned = supposed_batches(config, num_gpus=2, num_samples=40, sizes={"tokens": 20, "tiles": 1})
    assert len(list(planned.groups())) == 5 and len(set(planned.useful.tolist())) == 1
    with pytest.raises(ConfigError, match=r"a sample has no size 'token'\. Did you mean 'tokens'\? Choices: tokens, tiles"):
        supposed_batches(config, num_gpus=2, num_samples=40, sizes={"token": 20})
    with pytest.raises(ConfigError, match=r"is tokens=-1, expected a whole number of at least 0"):
        supposed_batches(config, num_gpus=2, num_samples=40, sizes={"tokens": -1})


def test_the_command_tells_hours_and_the_speed_of_data(repo_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [str(repo_root / "configs" / "ms_clip" / "ms_clip_tiny_synthetic.py"), "--gpus", "4"]
    sizes = ["--sizes", "tokens=20", "tiles=1", "--json", str(tmp_path / "plan.json")]
    assert COMMAND([*given, "--samples", "1280", *sizes, "--plot", str(tmp_path / "plan.png")]) == 0
    shown, plan = capsys.readouterr().out, json.loads((tmp_path / "plan.json").read_text())
    assert "40 of 32.0 samples" in shown and "samples/s that loaders must give" in shown
    assert (plan["packed"], plan["updates"], plan["balance"]) == (False, 10.0, 1.0)
    assert plan["samples_per_s"] == pytest.approx(4 * 989.4 * 0.4 / (plan["tflop"] / 1280))
    assert (tmp_path / "plan.png").is_file()
    assert COMMAND([*given, "--samples", "1280"]) == 1
    assert "--samples and --sizes belong together" in capsys.readouterr().err
