"""Only the rows of named tokens train: through a step, a checkpoint and conversion, with tied and untied tables."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from safetensors.torch import load_file, save_file

from earthmind.checkpoints.parity_check import parity_outputs
from earthmind.task import EarthMindTask
from eocore.config import load_config
from eocore.errors import ConfigError
from eocore.export.convert import Choices, convert
from eocore.models.freeze import trainable_names
from eocore.models.token_rows import RowEmbedding
from eocore.registry import TASKS

TOKENS = ["[SEG]", "<p>", "</p>"]
TABLES = ("language_model.model.embed_tokens.weight", "language_model.lm_head.weight")
CHOICES = {"trainable": ["seg_head.projector"], "lora": {"rank": 2, "alpha": 4, "dropout": 0.0}}


@pytest.fixture(params=[True, False], ids=["tied", "untied"])
def tied(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def base(tied: bool, make_tiny: Callable[..., Any], tmp_path: Path) -> Path:
    """A pretrained folder with its tokenizer."""
    made = make_tiny(tie=tied)
    made.model.save_pretrained(tmp_path / "base")
    made.tokenizer.save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@pytest.fixture
def config(base: Path) -> Config:
    task = {
        "type": "EarthMindTask",
        "model": {"pretrained": str(base)},
        "tokenizer": {"type": "PretrainedTokenizer", "path": str(base)},
        "processor": {"max_tiles": 1},
        "trainable_tokens": TOKENS,
        **CHOICES,
    }
    path = base.parent / "rows.py"
    path.write_text(f"seed = 0\nsystems = ['earthmind']\ntask = {task!r}\n")
    return load_config(path, trust=True)


def build(config: Config) -> EarthMindTask:
    torch.manual_seed(0)
    return TASKS.build(dict(config.task))


def update(task: EarthMindTask, make_scenes: Callable[..., Any], square_mask: Any) -> None:
    """One step of plain descent on a sample with a mask."""
    turns = [("user", "<image>\nPlease segment it."), ("assistant", "<p>it</p>[SEG]")]
    sample = task.processor.encode(make_scenes("rgb"), turns, masks=[square_mask])._replace(seed=1)
    losses = task.train()(task.collator()([sample]))
    task.parse_losses(losses)[0].backward()
    torch.optim.SGD([part for part in task.parameters() if part.requires_grad], lr=1.0).step()


def test_a_step_a_checkpoint_and_a_conversion(
    config: Config, tied: bool, base: Path, make_scenes: Callable[..., Any], square_mask: Any, tmp_path: Path
) -> None:
    task = build(config)
    names = trainable_names(task)
    rows = [name for name in names if name.endswith(".rows")]
    assert rows == [f"model.{table.replace('weight', 'rows')}" for table in TABLES][: 1 if tied else 2]
    assert not {f"model.{table}" for table in TABLES} & set(names)
    update(task, make_scenes, square_mask)
    saved = {name: task.get_parameter(name).detach().clone() for name in names}
    save_file(saved, tmp_path / "trainable.safetensors")
    convert(
        config, tmp_path / "trainable.safetensors", out_dir=tmp_path / "out", choices=Choices(verify=False)
    )  # the logits are compared below
    before, after = load_file(base / "model.safetensors"), load_file(tmp_path / "out" / "model.safetensors")
    ids = set(task.processor.tokenizer.convert_tokens_to_ids(TOKENS))
    for table in TABLES[: 1 if tied else 2]:
        changed = set((after[table] != before[table]).any(1).nonzero().flatten().tolist())
        assert changed == ids, table
    compare_logits(task, tmp_path / "out")


def compare_logits(task: EarthMindTask, folder: Path) -> None:
    """The converted model computes what the trained one does."""
    from earthmind.model.modeling_earthmind import EarthMindForConditionalGeneration

    converted = EarthMindForConditionalGeneration.from_pretrained(folder)
    with torch.no_grad():
        expected, found = parity_outputs(task.model.eval(), task.processor), parity_outputs(converted, task.processor)
    for name in ("logits", "mask_logits"):
        torch.testing.assert_close(found[name], expected[name], rtol=0, atol=1e-4, msg=partial("{}: {}".format, name))


def test_a_base_in_half_precision_keeps_trained_rows_whole(
    config: Config, base: Path, make_scenes: Callable[..., Any], square_mask: Any, tmp_path: Path
) -> None:
    weights = {name: value.bfloat16() for name, value in load_file(base / "model.safetensors").items()}
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    settings = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**settings, "dtype": "bfloat16"}))
    task = build(config)
    assert task.model.dtype == torch.bfloat16
    update(task.float(), make_scenes, square_mask)
    save_file({name: task.get_parameter(name).detach().clone() for name in trainable_names(task)}, tmp_path / "trainable.safetensors")
    convert(config, tmp_path / "trainable.safetensors", out_dir=tmp_path / "out", choices=Choices(verify=False))
    table = load_file(tmp_path / "out" / "model.safetensors")[TABLES[0]]
    embedding = task.model.get_input_embeddings()
    assert isinstance(embedding, RowEmbedding)
    assert torch.equal(table[embedding.token_ids], embedding.rows)
    compare_logits(task, tmp_path / "out")


def test_both_whole_tables_train_by_choice(config: Config, tied: bool) -> None:
    config.task.trainable_tokens = []
    config.task.trainable = [*CHOICES["trainable"], "language_model.model.embed_tokens", "language_model.lm_head"][: 2 if tied else 3]
    names = trainable_names(build(config))
    assert {f"model.{table}" for table in TABLES[: 1 if tied else 2]} <= set(names)


def test_rows_and_whole_tables_together_are_refused(config: Config) -> None:
    config.task.trainable = ["language_model.model.embed_tokens"]
    with pytest.raises(ConfigError, match="the input embedding trains as a whole and rows of it are named too"):
        build(config)


def test_a_token_that_is_none_is_named(config: Config) -> None:
    config.task.trainable_tokens = ["[SEG]", "[SEGMENT]"]
    with pytest.raises(ConfigError, match=r"the tokenizer has no token \[SEGMENT\], so no row of the model is meant"):
        build(config)
