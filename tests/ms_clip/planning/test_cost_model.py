"""The cost of pairs: what torch counts for a step of the model, of whatever trains."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from ms_clip.planning.cost_model import sample_cost
from ms_clip.planning.samples import sample_work

TOKENS, PAIRS = 24, 3


def counted(task: Any) -> float:
    """Operations of a forward and backward pass for one pair, of matrices alone: attention scores apart, which kernels count unlike."""
    model, size = task.model, task.processor.options.image_size
    ids = torch.zeros(PAIRS, TOKENS, dtype=torch.long)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        output = model(ids, torch.zeros(PAIRS, len(task.processor.options.channels), size, size))
        (output.image_embeds.sum() + output.text_embeds.sum()).backward()
    names = counter.get_flop_counts()["Global"]
    products = sum(count for name, count in names.items() if "bmm" not in str(name))
    return (products - 2 * PAIRS**2 * output.image_embeds.shape[1]) / PAIRS  # without the cosines


def computed(task: Any) -> float:
    cost = sample_cost(task.model)
    config = task.model.config
    tokens, vision = config.grid**2 + 1, config.vision_config
    trains = any(parameter.requires_grad for parameter in task.model.vision_model.parameters())
    scores = 4 * tokens**2 * vision.hidden_size * vision.num_hidden_layers * (3 if trains else 1)
    return cost.token * TOKENS + cost.tile - scores


@pytest.mark.parametrize(
    "trainable",
    [["*"], ["model.vision_model", "model.visual_projection"], ["model.text_projection", "model.vision_model.embeddings.patch_embedding"]],
    ids=["all", "the vision side", "first and last"],
)
def test_it_is_what_a_step_counts(make_task: Callable[..., Any], trainable: Sequence[str]) -> None:
    task = make_task(trainable=[name.removeprefix("model.") for name in trainable])
    assert computed(task) == pytest.approx(counted(task), rel=0.01)


def test_attention_grows_with_the_square_and_recomputing_costs_a_third_more(make_task: Callable[..., Any]) -> None:
    task = make_task()
    cost = sample_cost(task.model)
    text = task.model.config.text_config
    assert cost.square == pytest.approx(0.5 * 3 * 4 * text.hidden_size * text.num_hidden_layers)
    again = sample_cost(task.model, recomputed=True)
    assert again.token == pytest.approx(4 / 3 * cost.token) and again.square == pytest.approx(4 / 3 * cost.square)
    assert cost.tile < again.tile <= 1.5 * cost.tile


@pytest.mark.parametrize("choice", [{"gradient_cache": 2}, {"gradient_checkpointing": True}, {"gradient_checkpointing": "attention"}])
def test_what_is_computed_twice_costs_more_and_is_not_useful(make_task: Callable[..., Any], choice: dict[str, Any]) -> None:
    pair = np.array([[20, 1, 0, 0, 0]])
    plain, work = sample_work(make_task()), sample_work(make_task(**choice))
    assert work.rules.cost(pair) > work.useful(pair) == plain.useful(pair) == plain.rules.cost(pair)
