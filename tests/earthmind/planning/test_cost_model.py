"""The cost of samples: the formulas give what counters counted, and what trains costs more."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from earthmind.planning.cost_model import sample_cost
from earthmind.planning.meta_task import outline
from earthmind.task import EarthMindTask
from eocore.config import load_config
from eocore.system import systems_of_config


def test_the_4b_costs_what_was_counted(repo_root: Path) -> None:
    """Counted with torch's FlopCounterMode on meta tensors, at full size."""
    config = load_config(repo_root / "configs" / "earthmind" / "earthmind_4b_sft.py")
    systems_of_config(config)
    cost = sample_cost(outline(config.task).model)
    assert cost.tile == pytest.approx(0.7236e12 + 3 * 6.44e9, rel=0.001), "tower forward; the projector trains"
    assert cost.token == pytest.approx(2 * 5.55e9 + 3 * 0.479e9, rel=0.002), "frozen layers twice, LoRA three times"
    assert cost.square == pytest.approx(1.5 * 294_912, rel=0.001)
    assert cost.scored == pytest.approx(3 * 0.621e9, rel=0.002)
    assert cost.mask_image == pytest.approx(1.825e12, rel=0.04), "without neck and stage transitions"
    # a question about one tile: what the language model, its head and the vision tower cannot do without
    assert cost(np.array([[320, 1, 0, 0, 12]]))[0] == pytest.approx(4.82e12, rel=0.01)


def test_it_is_what_a_step_of_a_small_model_counts(make_task: Callable[..., EarthMindTask]) -> None:
    task = make_task(model={"tie": False})
    ids = torch.randint(1, 100, (1, 64))
    cost = sample_cost(task.model)
    with FlopCounterMode(display=False) as counter:
        states = task.model.decode(task.model.get_input_embeddings()(ids), torch.arange(64)[None])
        states.sum().backward()
    products = sum(count for operation, count in counter.get_flop_counts()["Global"].items() if "mm" in str(operation))
    assert products == pytest.approx(64 * cost.token, rel=0.01)


def test_frozen_parts_cost_less_and_recomputing_costs_more(make_task: Callable[..., EarthMindTask]) -> None:
    trained, frozen = make_task(), make_task(trainable=["projector"])
    for part in ("token", "tile", "mask_image"):
        assert getattr(sample_cost(frozen.model), part) < getattr(sample_cost(trained.model), part)
    again = sample_cost(trained.model, recomputed=True)
    assert again.token == pytest.approx(4 / 3 * sample_cost(trained.model).token)
    assert again.tile == sample_cost(trained.model).tile
