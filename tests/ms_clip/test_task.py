"""The task: a batch of the synthetic chips, its losses, options that do not fit, and what a checkpoint compares."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from eocore.errors import AlignmentError, ConfigError, LengthError
from ms_clip.datasets.preparation import Collator, Sample, SamplePreparer, text_key


def batch_of(task: Any) -> Any:
    return next(iter(task.build_loader(rank=0, world_size=1, seed=0, start_step=0)))


def test_a_batch_has_a_loss_that_every_parameter_takes_part_in(make_task: Callable[..., Any]) -> None:
    task = make_task()
    batch = batch_of(task)
    assert batch.pixel_values.shape == (4, 10, 48, 48) and batch.input_ids.shape[0] == 4
    total, logged = task.parse_losses(task(batch))
    total.backward()
    assert {"loss_pairs", "accuracy_image_to_text", "temperature", "num_samples"} <= set(logged)
    assert all(parameter.grad is not None for parameter in task.model.parameters())


def test_captions_are_drawn_or_the_first(make_task: Callable[..., Any]) -> None:
    found = {}
    for choice in ("first", "draw"):
        task = make_task(captions=choice)
        loader = iter(task.build_loader(rank=0, world_size=1, seed=0, start_step=0))
        lines = [line for _ in range(5) for line in task.processor.tokenizer.batch_decode(next(loader).input_ids, skip_special_tokens=True)]
        found[choice] = {line.split()[0] for line in lines}
    assert found["first"] == {"a"} and len(found["draw"]) > 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"captions": "longest"}, "choices: draw, first"),
        ({"gradient_cache": 0}, "at least 1"),
        ({"losses": {"kind": "sigmoid"}}, "belong together"),
        ({"processor": {"preset": 11}}, "choices: 3, 10, 12 channels"),
        ({"processor": {"preset": 10, "image_sise": 48}}, "image_sise"),
        ({"packing": {"max_tokens": 8}}, "pack"),
    ],
)
def test_options_that_do_not_fit_are_refused(make_task: Callable[..., Any], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_task(**changes)


def test_sizes_stand_in_the_processor_alone(make_fields: Callable[..., dict[str, Any]], make_task: Callable[..., Any]) -> None:
    model = make_fields()["model"]
    model["vision_config"]["num_channels"] = 12
    with pytest.raises(ConfigError, match="num_channels is 12, the processor has 10"):
        make_task(model=model)


def test_the_sigmoid_loss_trains_its_bias(make_fields: Callable[..., dict[str, Any]], make_task: Callable[..., Any]) -> None:
    model = {**make_fields()["model"], "logit_bias_init_value": -10.0, "logit_scale_init_value": 2.3026}
    task = make_task(model=model, losses={"kind": "sigmoid"})
    total, _ = task.parse_losses(task(batch_of(task)))
    total.backward()
    assert task.model.logit_bias.grad is not None


def test_patches_and_gradient_cache_work_together(make_task: Callable[..., Any]) -> None:
    losses = []
    for cache in (None, 3):
        torch.manual_seed(0)
        task = make_task(losses={"patch_alignment": 0.2}, gradient_cache=cache)
        losses.append(task.parse_losses(task(batch_of(task)))[0].item())
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_a_record_without_caption_and_a_long_text_are_named(make_task: Callable[..., Any], chips: Path) -> None:
    from eocore.data.records import Record

    task = make_task()
    record = Record("a", (), task="caption", source="table.csv:4")
    with pytest.raises(AlignmentError, match=r"table\.csv:4: the record has no caption"):
        SamplePreparer(task.processor, choice="draw")(record, [], rng=None)
    with pytest.raises(LengthError, match=r"one of first, second: a text has \d+ tokens, the model reads at most 32"):
        Collator(task.processor)([Sample(torch.zeros(1), "water " * count, name) for count, name in ((1, "first"), (60, "second"))])


def test_equal_texts_have_equal_keys() -> None:
    assert text_key("water") == text_key("water") != text_key("Water")


def test_identity_tells_vocabulary_and_channels(make_task: Callable[..., Any]) -> None:
    identity = make_task().identity()
    assert identity["channels"].startswith("multispectral:B02") and ":" in identity["vocabulary"]
