"""The cost of samples: what torch counts for a step of the model, of whatever trains."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from torch.utils.flop_counter import FlopCounterMode

pytest.importorskip("olmoearth_pretrain_minimal")
from earthfm_samples import ENCODER

from earthfm.planning.cost_model import sample_cost
from earthfm.planning.samples import sample_work


def counted(task: Any) -> tuple[float, np.ndarray]:
    """Operations of a step of one sample, of matrices alone: attention scores apart, which kernels count unlike; and its sizes."""
    loader = task.build_loader(rank=0, world_size=1, seed=0, start_step=0)
    batch = next(iter(loader))
    with FlopCounterMode(display=False) as counter:
        task.parse_losses(task(batch))[0].backward()
    names = counter.get_flop_counts()["Global"]
    products = sum(count for name, count in names.items() if "bmm" not in str(name) and "attention" not in str(name))
    patches = batch.images.sentinel2_l2a_missing[0].numel() * task.model.encoder.sizes.num_band_sets["sentinel2_l2a"]
    labels = len(batch.prompts.supervised.positions)
    return float(products), np.array([[batch.prompts.num_tokens, patches, 0, 0, labels]])


@pytest.mark.parametrize("version", [{"version": "v1.1"}, {"version": "v1", "pixel_hidden_sizes": []}], ids=["v1.1", "v1"])
@pytest.mark.parametrize(
    "trainable",
    [["connector", "language_model"], ["connector", "language_model", "encoder.model.blocks", "encoder.model.patch_embeddings"]],
    ids=["frozen encoder", "all"],
)
def test_it_is_what_a_step_counts(make_task: Callable[..., Any], make_fields: Any, version: dict[str, Any], trainable: list[str]) -> None:
    model = {**make_fields()["model"], "encoder": {**ENCODER, "drop_path": 0.0, **version}}
    task = make_task(model=model, trainable=trainable, batch_size=1)
    found, sizes = counted(task)
    cost = sample_cost(task.model)
    tokens, tiles = sizes[0, 0], sizes[0, 1]
    connector = task.model.connector.sizes
    scores = cost.text.square * tokens**2 + cost.tile_square * tiles**2 + 3 * 4 * connector.num_queries * connector.width * tiles
    assert float(cost(sizes)[0]) - scores == pytest.approx(found, rel=0.03)


def test_series_cost_more_than_in_proportion_and_recomputing_a_third_more(make_task: Callable[..., Any]) -> None:
    task = make_task()
    one, twelve = (sample_cost(task.model)(np.array([[40, 3072 * dates, 0, 0, 8]]))[0] for dates in (1, 12))
    assert twelve > 12 * one
    text, again = sample_cost(task.model).text, sample_cost(task.model, recomputed=True).text
    assert again.token == pytest.approx(4 / 3 * text.token)


def test_what_is_computed_twice_is_not_useful(make_task: Callable[..., Any]) -> None:
    size = np.array([[40, 64, 0, 0, 8]])
    plain, work = sample_work(make_task()), sample_work(make_task(gradient_checkpointing=True))
    assert work.rules.cost(size) > work.useful(size) == plain.useful(size) == plain.rules.cost(size)
