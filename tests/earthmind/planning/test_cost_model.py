"""The cost of samples: the formulas give what counters counted, and what trains costs more."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from earthmind.model.hca_fusion import FusionWords
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


def test_a_location_fused_to_one_tile_s_tokens_counts_what_it_compares(
    make_tiny: Callable[..., Any], make_scenes: Callable[..., Any]
) -> None:
    plain, fused = make_tiny(fusion="concat"), make_tiny(fusion="hca")
    chat = [("user", "<image>\nWhat?"), ("assistant", "It is.")]
    batch = fused.processor.collate([fused.processor.encode(make_scenes("rgb", "sar"), chat)])
    tokens = fused.model.encode(batch.vision.tiles).detach().requires_grad_()
    words = FusionWords(torch.zeros(0, tokens.shape[-1]), batch.vision.fusion._replace(positions=torch.zeros(0), num_words=[0]))
    with FlopCounterMode(display=False) as counter:
        fused.model.fusion(tokens, batch.vision.tile_group, words=words).tokens.sum().backward()
    products = sum(count for operation, count in counter.get_flop_counts()["Global"].items() if "mm" in str(operation))
    more = sample_cost(fused.model).tile - sample_cost(plain.model).tile
    assert 0 < products / len(tokens) <= more <= 3 * products / len(tokens)
    assert sample_cost(fused.model).token == sample_cost(plain.model).token
