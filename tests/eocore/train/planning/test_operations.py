"""Operations: the formulas give what torch counts for layers as they are."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from eocore.data.loading.sample_stats import FIELDS
from eocore.train.planning.operations import (
    MULTIPLY_ADD,
    SampleCost,
    attention_scores,
    count_weights,
    passes,
    patch_operations,
    trains,
)


def counted(step: nn.Module, inputs: torch.Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        step(inputs).sum().backward()
    return counter.get_total_flops()


def test_a_layer_costs_three_passes_or_two() -> None:
    layer, inputs = nn.Linear(8, 16, bias=False), torch.randn(5, 8, requires_grad=True)
    forward = MULTIPLY_ADD * 5 * count_weights(layer)
    assert counted(layer, inputs) == passes(layer) * forward == 3 * forward
    layer.requires_grad_(False)
    assert counted(layer, inputs) == 2 * forward
    assert passes(layer) == 1 and not trains(layer)


def test_adapters_are_counted_apart() -> None:
    layer = nn.ModuleDict({"base": nn.Linear(4, 4), "layer": nn.ModuleDict({"lora_A": nn.Linear(4, 2, bias=False)})})
    layer["base"].requires_grad_(False)
    assert (count_weights(layer), count_weights(layer, adapters=True)) == (16, 8)
    assert trains(layer) and not trains(layer, adapters=False)


def test_scores_are_queries_with_keys_and_weights_with_values() -> None:
    states = torch.randn(1, 2, 7, 4)
    with FlopCounterMode(display=False) as counter:
        functional.softmax(states @ states.mT, dim=-1) @ states
    assert counter.get_total_flops() == attention_scores([8], tokens=7)


def test_a_patch_embedding_is_a_product_for_each_patch() -> None:
    embedding = nn.Conv2d(3, 8, kernel_size=4, stride=4, bias=False)
    with FlopCounterMode(display=False) as counter:
        embedding(torch.zeros(1, 3, 8, 12))
    assert counter.get_total_flops() == patch_operations(patches=6, pixels=48, width=8)


def test_a_sample_costs_the_sum_of_what_it_holds() -> None:
    cost = SampleCost(token=1, square=10, scored=100, tile=1000, mask_image=10_000, mask=100_000)
    sizes = {"tokens": 2, "tiles": 3, "mask_images": 4, "masks": 5, "scored": 6}
    assert cost(np.array([[sizes[name] for name in FIELDS]])) == pytest.approx([2 + 40 + 600 + 3000 + 40_000 + 500_000])
