"""Dummy tiles and masks: they weigh nothing, and every part is run as if they were real."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from earthmind.datasets.dummy_inputs import complete_batch, dummy_masks, dummy_vision
from earthmind.losses import weighted
from earthmind.model.batching import Batch
from earthmind.task import EarthMindTask
from eocore.losses.text import token_cross_entropy


@pytest.fixture(scope="module", params=["first", "gated"])
def task(request: pytest.FixtureRequest, make_task: Callable[..., EarthMindTask]) -> EarthMindTask:
    return make_task(model={"grounding_fusion": request.param}, losses={"num_points": 32})


@pytest.fixture
def text_batch(task: EarthMindTask) -> Batch:
    return task.collator()([task.processor.encode({}, [("user", "Hello"), ("assistant", "water.")], masks=[])])


@pytest.fixture
def whole_batch(task: EarthMindTask, make_scenes: Callable[..., Any], square_mask: np.ndarray) -> Batch:
    turns = [("user", "<image>\nsegment"), ("assistant", "[SEG]")]
    return task.collator()([task.processor.encode(make_scenes("rgb", "sar"), turns, masks=[square_mask])])


def gradients(task: EarthMindTask, loss: torch.Tensor) -> dict[str, torch.Tensor | None]:
    task.zero_grad(set_to_none=True)
    loss.backward()
    return {name: parameter.grad for name, parameter in task.named_parameters()}


def text_loss_alone(task: EarthMindTask, batch: Batch) -> torch.Tensor:
    """The text loss by the language model alone."""
    states = task.model.decode(task.model.merge_embeddings(batch.input_ids), batch.position_ids).flatten(0, 1)
    logits = task.model.get_output_embeddings()(states[batch.supervised.positions])
    loss = token_cross_entropy(logits, batch.supervised.targets, weights=batch.supervised.weights)
    return sum(weighted({"text": loss}, task.loss_settings).values())


def test_they_change_neither_loss_nor_gradient(task: EarthMindTask, text_batch: Batch) -> None:
    expected = gradients(task, text_loss_alone(task, text_batch))
    losses = task(text_batch)
    assert {name: losses[name].item() for name in ("loss_mask", "loss_dice", "loss_attention", "loss_alignment")} == dict.fromkeys(
        ("loss_mask", "loss_dice", "loss_attention", "loss_alignment"), 0.0
    )
    assert losses["num_masks"] == 0
    found = gradients(task, task.parse_losses(losses)[0])
    for name, gradient in found.items():
        if gradient is not None:
            torch.testing.assert_close(gradient, torch.zeros_like(gradient) if expected[name] is None else expected[name])


def test_they_reach_every_parameter_that_real_samples_reach(task: EarthMindTask, text_batch: Batch, whole_batch: Batch) -> None:
    reached = [
        {name for name, gradient in gradients(task, task.parse_losses(task(batch))[0]).items() if gradient is not None}
        for batch in (text_batch, whole_batch)
    ]
    assert reached[0] == reached[1]
    assert {"model.fusion.queries", "model.seg_head.projector.0.weight"} <= reached[0]


def test_gradients_arrive_in_the_order_of_real_samples(task: EarthMindTask, text_batch: Batch, whole_batch: Batch) -> None:
    """ZeRO 1-3 send gradients as they arrive; ranks must agree on which comes when."""
    orders = []
    for batch in (text_batch, whole_batch):
        order: list[str] = []
        hooks = [
            parameter.register_post_accumulate_grad_hook(lambda _, name=name, order=order: order.append(name))
            for name, parameter in task.named_parameters()
        ]
        gradients(task, task.parse_losses(task(batch))[0])
        for hook in hooks:
            hook.remove()
        orders.append(order)
    assert orders[0] == orders[1] and len(orders[0]) > 100


def test_they_have_the_keys_and_kinds_of_real_inputs(task: EarthMindTask, whole_batch: Batch) -> None:
    dummies = (dummy_vision(task.model.config), *dummy_masks(task.model.config))
    for dummy, real in zip(dummies, (whole_batch.vision, whole_batch.grounding, whole_batch.segments), strict=True):
        for name, value in dummy._asdict().items():
            if isinstance(value, torch.Tensor):
                given = getattr(real, name)
                assert value.dtype == given.dtype and value.dim() == given.dim(), name
                assert value.shape[value.dim() - 2 :] == given.shape[value.dim() - 2 :] or value.dim() < 3, name


def test_a_batch_that_has_everything_stays_as_it_is(task: EarthMindTask, whole_batch: Batch) -> None:
    assert complete_batch(whole_batch, task.model.config) is whole_batch


def test_a_frozen_image_encoder_is_left_out_where_there_is_nothing_to_see(
    make_task: Callable[..., EarthMindTask], text_batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    for trainable, runs in ((["*"], 1), (["seg_head.sam.mask_decoder", "projector"], 0)):
        task = make_task(trainable=trainable, losses={"num_points": 32})
        encode = task.model.seg_head.encode
        monkeypatch.setattr(task.model.seg_head, "encode", lambda images, encode=encode: calls.append(len(images)) or encode(images))
        calls.clear()
        task.parse_losses(task(text_batch))[0].backward()
        assert len(calls) == runs
        decoder = task.model.seg_head.sam.mask_decoder
        assert decoder.conv_s0.weight.grad is not None and not decoder.conv_s0.weight.grad.any()


def test_under_zero_3_every_rank_runs_the_encoder(make_task: Callable[..., EarthMindTask], text_batch: Batch) -> None:
    """Its weights are gathered by all ranks together; the mark is DeepSpeed's."""
    task = make_task(trainable=["seg_head.sam.mask_decoder", "projector"], losses={"num_points": 32})
    ran: list[bool] = []
    task.model.seg_head.sam.vision_encoder.register_forward_hook(lambda *_: ran.append(True))
    next(task.model.seg_head.sam.vision_encoder.parameters()).ds_id = 0
    task(text_batch)
    assert ran == [True]
