"""The trial of one step, and what it tells."""

import re
from types import ModuleType

import pytest
import torch

from eocore.train.launch import describe_batch, describe_parts, dry_run
from eocore.train.task import PartCount


def test_a_trial_makes_one_real_step_and_tells_what_it_saw(tiny: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    step = tiny.TinyTask.parse_losses
    monkeypatch.setattr(tiny.TinyTask, "parse_losses", lambda self, losses: steps.append(1) or step(self, losses))
    text = dry_run(tiny.tiny_config({"trainable": ["head", "extra"]}))
    assert len(steps) == 1
    for line in ("total                 84               12", "encoder               56                0", "inputs: (4, 6) float32"):
        assert line in text
    assert "loss_square: " in text and "peak memory: host " in text


def test_a_trial_has_a_name_and_says_nothing_of_its_hooks(tiny: ModuleType, capfd: pytest.CaptureFixture[str]) -> None:
    dry_run(tiny.tiny_config({"trainable": ["head", "extra"]}))
    shown = capfd.readouterr().err
    assert re.search(r"run dry_run\S*: 1 rank\(s\)", shown) and "Hooks" not in shown and "MetricsHook" not in shown


def test_counts_are_summed_above_their_parts() -> None:
    rows = describe_parts([PartCount(name="a", total=1_000, trainable=0), PartCount(name="bb", total=24, trainable=24)])
    assert [row.split() for row in rows[2:]] == [["total", "1,024", "24"], ["a", "1,000", "0"], ["bb", "24", "24"]]


def test_a_batch_is_told_by_its_shapes() -> None:
    batch = {"ids": torch.zeros(2, 3, dtype=torch.long), "masks": [torch.zeros(4, 4)], "owner": {"index": (1, 2)}, "name": "x"}
    assert describe_batch(batch) == [
        "batch",
        "  ids: (2, 3) int64",
        "  masks: list of 1",
        "    [0]: (4, 4) float32",
        "  owner",
        "    index: tuple of 2",
        "      [0]: int",
        "  name: str",
    ]
