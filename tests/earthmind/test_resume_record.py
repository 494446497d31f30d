"""What an EarthMind training records for a resumption: whatever changes its result shows under its kind, the rest does not."""

import inspect
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from mmengine.config import Config

from eocore.config import load_config
from eocore.data.image_sources import ImageSource
from eocore.data.loading.error_policy import FaultOptions
from eocore.data.loading.packing import PackingOptions
from eocore.data.mixture import PartOptions
from eocore.registry import DATASETS, TASKS, options_of
from eocore.resolve import declared
from eocore.synthetic.world import write_world
from eocore.system import systems_of_config
from eocore.train.checkpoint.resumption import find_differences
from eocore.train.checkpoint.run_record import RunRecord, record_run
from eocore.train.resilience.guard import GuardOptions
from eocore.train.runner import TrainingOptions

SMALL = {
    "task.model.vision_config.num_hidden_layers": 1,
    "task.model.text_config.num_hidden_layers": 1,
    "task.num_workers": 0,
    "+task.lora": {"rank": 2, "alpha": 4},
}
CONFIG = Path("configs") / "earthmind" / "earthmind_tiny_synthetic.py"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    write_world(root, {"train": 6}, size=48)
    return root


@pytest.fixture
def copy(world: Path, tmp_path: Path) -> Path:
    """The same data in another place, to be edited."""
    return Path(shutil.copytree(world, tmp_path / "moved"))


def record(root: Path, changes: dict[str, Any], edit: Callable[[Any], None] = lambda config: None) -> RunRecord:
    repo = Path(__file__).resolve().parents[2]
    with mock.patch.dict(os.environ, {"SYNTHETIC_ROOT": str(root)}):
        config = load_config(repo / CONFIG, SMALL | changes)
    edit(config)
    systems_of_config(config)
    task = TASKS.build(config.task)
    loader = task.build_loader(rank=0, world_size=1, seed=0, start_step=0)
    return record_run(config, task, loader=loader, sections={})


@pytest.fixture(scope="module")
def base(world: Path) -> RunRecord:
    return record(world, {})


def differences(old: RunRecord, new: RunRecord) -> dict[str, list[str]]:
    same = {"data": {"global_batch": None, "accumulation": 1}, "frozen_hash": ""}
    then, now = ({"options": part.options, "content": part.content, **same} for part in (old, new))
    return find_differences(json.loads(json.dumps(then)), now, record=new)


STRETCH = "task.processor.presentation.multispectral.stretch.high"


@pytest.mark.parametrize(
    ("changes", "kind", "line"),
    [
        ({"task.lora.alpha": 40}, "model", "task.lora.alpha: 4 then, 40 now"),
        ({"+task.lora.dropout": 0.5}, "model", "task.lora.dropout: 0.05 then, 0.5 now"),
        ({"+task.lora.target_modules": ["q_proj"]}, "model", "task.lora.target_modules: all-linear then, ['q_proj'] now"),
        ({"+task.trainable_tokens": ["[SEG]"], "+task.trainable": ["projector"]}, "model", "task.trainable_tokens: [] then, ['[SEG]'] now"),
        ({"task.model.fusion": "concat"}, "model", "task.model.fusion: mutual_attention then, concat now"),
        (
            {"task.model.fusion": "hca", "task.processor.token_order": "place"},
            "model",
            "task.model.fusion: mutual_attention then, hca now",
        ),
        ({"task.losses.dice": 3.0}, "losses", "task.losses.dice: 1.0 then, 3.0 now"),
        ({"+task.losses.text_mean": "tokens"}, "losses", "task.losses.text_mean: samples then, tokens now"),
        ({STRETCH: 0.7}, "processor", "task.processor.presentation.multispectral.stretch.high: 0.5 then, 0.7 now"),
        ({"+task.processor.use_thumbnail": False}, "processor", "task.processor.use_thumbnail: True then, False now"),
        ({"task.max_length": 900}, "data", "task.max_length: 1024 then, 900 now"),
        ({"task.length_window": 4}, "data", "task.length_window: None then, 4 now"),
        ({"+task.data_faults": {"policy": "skip"}}, "data", "task.data_faults.policy: stop then, skip now"),
        ({"task.data.parts.0.data.max_questions": 3}, "data", "task.data.parts.0.data.max_questions: 16 then, 3 now"),
        ({"+task.data.parts.1.weight": 2.0}, "data", "task.data.parts.1.weight: 1.0 then, 2.0 now"),
        ({"task.data.parts.0.data.datasets.3.question": "region{number}?"}, "data", "task.data.parts.0.data.datasets.3.question"),
    ],
)
def test_whatever_changes_the_result_shows(world: Path, base: RunRecord, changes: dict[str, Any], kind: str, line: str) -> None:
    found = differences(base, record(world, changes))
    assert any(text.startswith(line) for text in found[kind]), found


def test_another_chat_template_shows(world: Path, base: RunRecord) -> None:
    found = differences(base, record(world, {"+task.processor.template": "chatml"}))
    assert any(line.startswith("task.processor.template: phi3_chat then, chatml now") for line in found["processor"])


def test_what_changes_no_result_and_options_at_their_defaults_do_not_show(copy: Path, base: RunRecord) -> None:
    harmless = {
        "task.num_workers": 2,
        "+task.prefetch": 4,
        "task.batch_size": 3,
        "+task.gradient_checkpointing": "full",
        "+task.lora.dropout": 0.05,
        "+task.lora.target_modules": "all-linear",
        "+task.losses.text": 1.0,
        "+task.processor.use_thumbnail": True,
        "+task.data.parts.0.weight": 1,
        "+task.data.parts.0.name": "renamed",
        "+task.data.seed": 0,
        "+task.data_faults": {"policy": "stop", "max_share": 0.5},
        "+task.compile": "none",
        "task.tokenizer.vocab_size": 300,
        "+evaluation.batch_size": 3,
    }
    assert differences(base, record(copy, harmless)) == {}


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines(keepends=True)


def shorten(train: Path) -> None:
    lines = lines_of(train / "referring.jsonl")
    (train / "referring.jsonl").write_text("".join(lines[: len(lines) // 2]))


def reorder(train: Path) -> None:
    (train / "referring.jsonl").write_text("".join(lines_of(train / "referring.jsonl")[::-1]))


def answer_otherwise(train: Path) -> None:
    entries = json.loads((train / "vqa.json").read_text())
    entries[0]["conversations"][1]["value"] = "something else"
    (train / "vqa.json").write_text(json.dumps(entries))


def replace(train: Path) -> None:
    shutil.copy(train / "caption.json", train / "vqa.json")


def shrink_images(train: Path) -> None:
    for path in (train / "rgb").iterdir():
        path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (shorten, "data set 'referring': referring.jsonl (sha256) "),
        (reorder, "data set 'referring': referring.jsonl (sha256) "),
        (answer_otherwise, "data set 'vqa': vqa.json (sha256) "),
        (replace, "data set 'vqa': "),
        (shrink_images, "data set 'vqa': names and sizes of image files (sha256) "),
    ],
)
def test_changed_annotations_show(copy: Path, base: RunRecord, edit: Callable[[Path], None], told: str) -> None:
    edit(copy / "train")
    found = differences(base, record(copy, {}))
    assert list(found) == ["data"] and any(line.startswith(told) for line in found["data"]), found


def test_a_data_set_taken_out_or_put_in_shows(world: Path, base: RunRecord) -> None:
    fewer = record(world, {}, edit=lambda config: config.task.data.parts[0].data.datasets.pop(1))
    (gone,) = (line for line in differences(base, fewer)["data"] if "data set" in line)
    assert gone.startswith("data set 'vqa': ") and gone.endswith(" records of vqa.json then, gone or moved now")
    (new,) = (line for line in differences(fewer, base)["data"] if "data set" in line)
    assert new.startswith("data set 'vqa': not at this position then, ")


def test_another_tokenizer_shows(copy: Path, base: RunRecord) -> None:
    path = copy / "tokenizer" / "tokenizer.json"
    content = json.loads(path.read_text())
    content["normalizer"] = None
    path.write_text(json.dumps(content))
    assert differences(base, record(copy, {}))["processor"][0].startswith("task.tokenizer.sha256: ")


def test_exceptions_name_options_that_exist() -> None:
    systems_of_config(Config({"systems": ["earthmind"]}))
    factories = [*DATASETS.module_dict.values(), *TASKS.module_dict.values(), TrainingOptions, GuardOptions, FaultOptions, PackingOptions]
    checked = [factory for factory in [*factories, ImageSource, PartOptions] if factory.__module__.startswith(("eocore", "earthmind"))]
    assert len(checked) > 12
    for factory in checked:
        unknown = set(declared(factory, "uncompared")) - set(inspect.signature(options_of(factory)).parameters)
        assert not unknown, f"{factory.__name__}.uncompared names {unknown}"


def test_all_of_it_is_json(base: RunRecord) -> None:
    assert json.loads(json.dumps(base.options)) == base.options and json.loads(json.dumps(base.content)) == base.content


def test_a_template_that_is_only_written_in_another_way_does_not_show(world: Path, base: RunRecord) -> None:
    older = record(world, {})
    template = older.options["task"]["processor"]["chat_template"]
    older.options["task"]["processor"]["chat_template"] = template.replace("{%- generation -%}", "").replace("{%- endgeneration -%}", "")
    assert "processor" not in differences(older, base)
    older.options["task"]["processor"]["chat_template"] = template.replace("<|end|>", "<|done|>")
    assert any(line.startswith("task.processor.chat_template") for line in differences(older, base)["processor"])
