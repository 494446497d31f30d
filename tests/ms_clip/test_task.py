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


AUGMENTATION = [
    {"type": "RandomOrientation"},
    {"type": "RandomCrop", "side": [0.6, 0.9], "whole_image_stays_true": True},
    {"type": "BandDropout", "fraction": 0.5, "keep": ["B04", "B03", "B02"], "probability": 1.0},
]


def batches_of(task: Any, start: int, count: int) -> list[Any]:
    loader = iter(task.build_loader(rank=0, world_size=1, seed=0, start_step=start))
    return [next(loader) for _ in range(count)]


def test_augmented_chips_differ_by_epoch_and_are_the_same_after_a_resumption(make_task: Callable[..., Any]) -> None:
    task = make_task(augmentation=AUGMENTATION, batch_size=60, captions="first")
    whole, resumed = batches_of(task, 0, 4), batches_of(task, 2, 2)
    for before, after in zip(whole[2:], resumed, strict=True):
        assert torch.equal(before.pixel_values, after.pixel_values) and before.sample_ids == after.sample_ids
    shown: dict[str, list[Any]] = {}
    for batch in whole:
        for name, pixels in zip(batch.sample_ids, batch.pixel_values, strict=True):
            shown.setdefault(name, []).append(pixels)
    assert any(len(seen) > 1 and not torch.equal(seen[0], seen[1]) for seen in shown.values())


def test_bands_left_out_of_a_chip_are_zero_where_the_model_reads_them(make_task: Callable[..., Any]) -> None:
    task = make_task(augmentation=AUGMENTATION[-1:])
    bands = [channel.split(":")[-1] for channel in task.processor.options.channels]
    empty = (batch_of(task).pixel_values == 0).all(dim=(2, 3))
    assert empty.any(dim=1).all() and len({tuple(row) for row in empty.tolist()}) > 1
    assert not empty[:, [bands.index(name) for name in ("B04", "B03", "B02")]].any()


def test_captions_turn_with_their_chips(make_fields: Callable[..., dict[str, Any]], make_task: Callable[..., Any], tmp_path: Path) -> None:
    data = make_fields()["data"]
    unlabelled = {name: value for name, value in data.items() if name != "label_field"}
    root = Path(data["images"]["multispectral"]["root"])
    chip = next(root.rglob("*.tif")).relative_to(root)
    (tmp_path / "captions.csv").write_text(f"image,caption\n{chip},water in the north\n")
    turned = make_task(
        data={**unlabelled, "annotations": str(tmp_path / "captions.csv")},
        augmentation=[{"type": "RandomOrientation", "rotations": False}],
        batch_size=1,
    )
    found: dict[str, set[Any]] = {}
    for batch in batches_of(turned, 0, 16):
        text = turned.processor.tokenizer.decode(batch.input_ids[0], skip_special_tokens=True).strip()
        found.setdefault(text, set()).add(tuple(batch.pixel_values[0, 0, [0, 0, -1, -1], [0, -1, 0, -1]].tolist()))
    assert set(found) == {"water in the north", "water in the south"}
    corners = {name: {frozenset(seen[:2]) for seen in rows} for name, rows in found.items()}
    assert corners["water in the north"].isdisjoint(corners["water in the south"])
