"""The cost of samples: what torch counts for a step of the model, of whatever trains."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from aerith_models import MODEL, PARTS
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from aerith.planning.cost_model import sample_cost
from aerith.planning.meta_task import example_batch
from aerith.planning.samples import sample_work
from eocore.train.planning.estimate import StepShape

TOKENS, SUPERVISED = 48, 8
FIRST_LAYER = 0.05
"""Share of what the inputs of the first of two layers of the language model would cost in gradients, which LoRA alone does not ask for."""
LEVELS = {"num_levels": 3, "num_queries": [5, 4, 3]}


def counted(task: Any) -> float:
    """Operations of a forward and backward pass of one sample, of matrices alone: attention scores apart, which kernels count unlike."""
    batch = example_batch(task, StepShape(tokens=TOKENS, rows=1, samples=1, supervised=SUPERVISED, masks=0))
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        task.model(batch).logits.sum().backward()
    names = counter.get_flop_counts()["Global"]
    return sum(count for name, count in names.items() if "bmm" not in str(name))


def scores(task: Any) -> float:
    """Operations with attention scores in what a picture costs."""
    towers, pooler = task.model.vision.towers, task.model.vision.pooler
    clip, dinov3 = towers.sizes.clip, towers.sizes.dinov3
    patches = (clip.image_size // clip.patch_size) ** 2
    found = 4 * (patches + 1) ** 2 * clip.hidden_size * clip.num_hidden_layers * (towers.sizes.fusion != "dinov3")
    others = 1 + dinov3.num_register_tokens
    found += 4 * (patches + others) ** 2 * dinov3.hidden_size * dinov3.num_hidden_layers * (towers.sizes.fusion != "clip")
    read = sum(4 * queries * (queries + patches) for queries in pooler.sizes.num_queries) * pooler.sizes.width * pooler.sizes.num_layers
    trains = any(parameter.requires_grad for parameter in pooler.parameters())
    return found + read * (3 if trains else 1)


@pytest.mark.parametrize(
    ("model", "trainable"),
    [
        ({}, ["vision.pooler"]),
        ({}, []),
        (LEVELS, ["vision.pooler"]),
        ({"fusion": "clip"}, ["vision.pooler"]),
        ({"fusion": "dinov3"}, ["vision.pooler"]),
    ],
    ids=["the pooler", "LoRA alone", "three levels", "CLIP alone", "DINOv3 alone"],
)
def test_it_is_what_a_step_counts(make_task: Callable[..., Any], model: dict[str, Any], trainable: Sequence[str]) -> None:
    task = make_task(model={**MODEL, **model, "parts": {**PARTS, "pooler": "new"}}, trainable=list(trainable))
    cost = sample_cost(task.model)
    computed = cost.token * TOKENS + cost.scored * SUPERVISED + cost.tile - scores(task)
    assert computed == pytest.approx(counted(task), rel=FIRST_LAYER)


def test_recomputing_costs_more_and_is_not_useful(make_task: Callable[..., Any]) -> None:
    sample = np.array([[TOKENS, 1, 0, 0, SUPERVISED]])
    plain, again = sample_work(make_task()), sample_work(make_task(gradient_checkpointing=True))
    assert again.rules.cost(sample) > again.useful(sample) == plain.useful(sample) == plain.rules.cost(sample)
