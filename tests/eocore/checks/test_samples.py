"""What the check of data refuses is what training refuses: each broken record is given to both."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from unittest import mock

import numpy as np
import pytest
from mmengine.config import Config

from eocore.checks.facts import DatasetFacts
from eocore.checks.sample_pictures import AFTER, BEFORE, augmented_rows, read_augmented
from eocore.checks.samples import TrainingSamples, augments, check_samples, count_unsafe_words, open_samples
from eocore.commands.check_data import check
from eocore.config import load_config
from eocore.data.dataset import SampleKey
from eocore.errors import DataError, EOError
from eocore.synthetic.world import write_world
from eocore.system import system_of_config, systems_of_config

Change = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, {"train": 2}, size=48)
    return folder


def conversation(question: str, answer: str) -> Change:
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return lambda entry: entry | {"conversations": turns}


def phrase(**fields: Any) -> Change:
    return lambda entry: entry | fields


GOOD: dict[str, Change] = {
    "vqa: good": lambda entry: entry,
    "vqa: image shown first where no placeholder says where": conversation("What is it?", "Water."),
    "referring: good": lambda entry: entry,
}
BROKEN: dict[str, Change] = {
    "vqa: no such image": phrase(image="gone.json"),
    "vqa: no image field": lambda entry: {key: value for key, value in entry.items() if key != "image"},
    "vqa: image outside the root": phrase(image="../../secret"),
    "vqa: two placeholders": conversation("<image><image>\nWhat is it?", "Water."),
    "vqa: placeholder in the answer": conversation("<image>\nWhat is it?", "<image> Water."),
    "vqa: empty answer": conversation("<image>\nWhat is it?", ""),
    "vqa: mask that is not there": conversation("<image>\nSegment it.", "[SEG]"),
    "vqa: longer than the limit": conversation("<image>\nWhat is it?", "water " * 2000),
    "vqa: window outside the image": phrase(window=[40, 40, 20, 20]),
    "vqa: no object": lambda _: ["a", "list"],
    "referring: rle of another size": phrase(mask={"size": [8, 8], "counts": [0, 64]}),
    "referring: rle that ends early": phrase(mask={"size": [48, 48], "counts": [5, 5]}),
    "referring: polygon far outside": phrase(mask=[[0, 0, 1e9, 0, 5, 5]]),
    "referring: box without area": phrase(mask=[10, 10, 10, 20]),
    "referring: no phrase": phrase(expression=" "),
    "referring: mask file outside": phrase(mask={"path": "../../x.png", "value": 1}),
}


def config_of(world: Path, folder: Path, entry: Any, *, referring: bool) -> Config:
    """The tiny config on a data set of one record."""
    path = folder / "one.json"
    path.write_text(json.dumps([entry]))
    sources = {
        role: {"root": str(world / "train" / role), "sensor": sensor}
        for role, sensor in (("multispectral", "sentinel2_l2a"), ("sar", "sentinel1_grd"))
    }
    one = {"type": "ReferringJsonlDataset" if referring else "LlavaDataset", "annotations": str(path), "images": sources}
    compose = {"type": "ComposeReferring", "num_expressions": 1}
    data = one | {"transforms": [compose]} if referring else one
    with mock.patch.dict(os.environ, {"SYNTHETIC_ROOT": str(world)}):
        config = load_config("earthmind_tiny_synthetic", {"task.num_workers": 0, "task.batch_size": 1})
    config.task["data"], config.evaluation = data, None
    return config


def refused_by_training(config: Config) -> str:
    """What the training's loader says of the first batch; "" where it makes it."""
    systems_of_config(config)
    planning = system_of_config(config).planning
    assert planning is not None
    try:
        next(iter(planning().data_task(config).build_loader(rank=0, world_size=1, seed=0, start_step=0)))
    except EOError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", [*GOOD, *BROKEN])
def test_check_and_training_refuse_the_same_records(world: Path, tmp_path: Path, name: str) -> None:
    referring = name.startswith("referring")
    text = (world / "train" / ("referring.jsonl" if referring else "vqa.json")).read_text()
    entry = json.loads(text.splitlines()[0]) if referring else json.loads(text)[0]
    config = config_of(world, tmp_path, (GOOD | BROKEN)[name](entry), referring=referring)
    refused = refused_by_training(config)
    problems = [problem for facts, _ in check(config, 0) for problem in facts.problems]
    assert bool(refused) == (name in BROKEN), refused
    assert bool(problems) == bool(refused), problems
    assert all(problem.kind != "unforeseen" for problem in problems)


def test_samples_that_cannot_be_made_are_told_once_with_their_line(world: Path, tmp_path: Path) -> None:
    entries = json.loads((world / "train" / "vqa.json").read_text())[:3]
    entries[1] = conversation("<image>\nWhat is it?", "water " * 2000)(entries[1])
    entries[2] = phrase(image="gone.json")(entries[2])
    config = config_of(world, tmp_path, entries[0], referring=False)
    (tmp_path / "one.json").write_text(json.dumps(entries))
    (of_file, _), (of_samples, _) = check(config, 0)
    assert [problem.locations for problem in of_file.problems] == [(f"{tmp_path}/one.json#2",)] * 2, "both images"
    assert [(problem.kind, problem.locations) for problem in of_samples.problems] == [("sample", (f"{tmp_path}/one.json#1",))]
    assert "max_length" in of_samples.problems[0].message or "tokens" in of_samples.problems[0].message


def test_rows_and_statistics_of_the_world_are_found(world: Path, tmp_path: Path) -> None:
    entry = json.loads((world / "train" / "vqa.json").read_text())[0]
    facts, _ = check(config_of(world, tmp_path, entry, referring=False), 0)[0]
    assert set(facts.bands) >= {("sar", "VV"), ("sar", "VH"), ("multispectral", "B02")} and facts.warnings == []
    assert np.isfinite([item.mean for item in facts.bands.values()]).all()


class FailingLater:
    """Samples of which the second is broken in the second epoch, as a transform that draws can break it."""

    seed = 0

    def __len__(self) -> int:
        return 3

    def __getitem__(self, key: SampleKey) -> int:
        if key == SampleKey(1, 1):
            raise DataError("x.jsonl:2: a crop without any data")
        return key.index

    def describe(self, key: SampleKey) -> str:
        return f"sample {key.index} of epoch {key.epoch}"


@pytest.mark.parametrize(("epochs", "problems"), [(1, 0), (2, 1), (3, 1)])
def test_later_epochs_are_made_where_they_are_asked_for(epochs: int, problems: int) -> None:
    facts, made = DatasetFacts("samples", "", ""), list[int]()
    samples = TrainingSamples(cast(Any, FailingLater()), lambda batch: batch)
    check_samples(samples, facts, known=(), num_workers=0, on_sample=made.append, epochs=epochs)
    assert len(made) == 3 * epochs and [problem.locations for problem in facts.problems] == [("sample 1 of epoch 1",)] * problems


def test_a_training_that_augments_is_known_counted_and_shown_before_and_after(world: Path) -> None:
    with mock.patch.dict(os.environ, {"SYNTHETIC_ROOT": str(world)}):
        plain = load_config("earthmind_tiny_synthetic")
        turned = [{"type": "RandomOrientation", "probability": 1.0}, {"type": "RandomCrop"}]
        config = load_config("earthmind_tiny_synthetic", {"+task.augmentation": turned})
    systems_of_config(config)
    assert augments(config) and not augments(plain)
    facts, samples = open_samples(config)
    assert samples is not None
    count_unsafe_words(samples, facts)
    assert any(warning.startswith("RandomCrop: 2 of 2 records looked at in 'caption'") for warning in facts.warnings)
    source = samples.prepared.dataset
    before, after = read_augmented(source, 0, seed=config.seed)
    assert (before.label, after.label) == (BEFORE, AFTER) and before.record is not after.record
    assert after.scenes[0].grid_changes and not before.scenes[0].grid_changes
    rows = augmented_rows(source, 2, seed=config.seed)
    assert len(rows) == 4 and rows[0].title.endswith("(before augmentation)") and rows[1].title.endswith("(after augmentation)")
    assert any(words.label == "left as it is" and "whole image" in words.text for words in rows[1].words)
