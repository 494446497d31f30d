"""The task: a batch of the synthetic world, its loss, what trains, and options that do not fit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from aerith_models import MODEL, PARTS

from aerith.model.batching import Batch
from eocore.errors import AlignmentError, ConfigError
from eocore.losses.answers import SUPERVISED
from eocore.models.freeze import trainable_names
from eocore.portable.row_packing import IGNORE
from eocore.train.text_task import TOKEN_ACCURACY


def batch_of(task: Any) -> Batch:
    found: Batch = next(iter(task.build_loader(rank=0, world_size=1, seed=0, start_step=0)))
    return found


def test_every_parameter_that_trains_has_a_gradient(make_task: Callable[..., Any]) -> None:
    task = make_task()
    batch = batch_of(task)
    total, logged = task.parse_losses(task(batch))
    total.backward()
    trained = [name for name, parameter in task.named_parameters() if parameter.requires_grad]
    assert {name.split(".")[1] for name in trained} == {"language_model", "vision"}
    assert all(".lora_" in name or ".pooler." in name for name in trained)
    assert [name for name, parameter in task.named_parameters() if parameter.requires_grad and parameter.grad is None] == []
    assert logged["num_samples"] == 3 and 0 <= logged[TOKEN_ACCURACY] <= 1


def test_prompt_image_and_padding_have_no_labels(make_task: Callable[..., Any]) -> None:
    task = make_task()
    prompts = batch_of(task).prompts
    assert (prompts.labels[prompts.attention_mask == 0] == IGNORE).all()
    answers = [task.processor.tokenizer.decode(row[row != IGNORE]) for row in prompts.labels]
    assert all(text.count("<|im_end|>") == 1 and text.endswith("<|im_end|>") and "[VQA]" not in text for text in answers)


def test_rows_of_several_samples_have_the_loss_of_rows_of_one(make_task: Callable[..., Any]) -> None:
    losses = []
    for row_length in (None, 256):
        torch.manual_seed(0)
        task = make_task(row_length=row_length)
        losses.append(task(batch_of(task))["loss_text"].item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_the_mean_is_over_the_tokens_of_the_update_or_over_samples(make_task: Callable[..., Any]) -> None:
    torch.manual_seed(0)
    task = make_task()
    batch = batch_of(task)
    count = task.count_items(batch)[SUPERVISED]
    own = task(batch)["loss_text"].item()
    assert task(batch, num_items_in_batch={SUPERVISED: 2.0 * count})["loss_text"].item() == pytest.approx(own / 2, rel=1e-3)
    value, number = task.loss_sums(batch)["loss_text"]
    assert number == count and value / number == pytest.approx(own)
    torch.manual_seed(0)
    by_samples = make_task(losses={"text_mean": "samples"})
    assert by_samples.count_items(batch) == {} and by_samples.loss_sums(batch)["loss_text"][1] == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"packing": {"max_tokens": 64}, "batch_size": 1}, "Use task.row_length to fill rows"),
        ({"trainable_tokens": ["x"]}, "this model adds none"),
        ({"losses": {"text_mean": "words"}}, "losses.text_mean='words' is unknown; choices: samples, tokens"),
        ({"lora": {"rank": 2, "target_modules": ["Wqkv"]}}, "LoRA target 'Wqkv' matches no linear layer"),
        ({"trainable": ["vision.poler"]}, "trainable pattern 'vision.poler' matches no parameter"),
        ({"model": {**MODEL, "parts": {}}}, "task.model.parts names no 'clip', which this stage does not train whole"),
        ({"model": {**MODEL, "fusion": "product", "parts": PARTS}}, "model: fusion='product' is unknown"),
        ({"model": {**MODEL, "num_querys": [4], "parts": PARTS}}, "num_querys"),
        ({"model": {**MODEL, "parts": {**PARTS, "tower": "x"}}}, "task.model.parts names 'tower'"),
        ({"processor": {"clip_size": 14}}, "processor states clip_size, which the model decides"),
    ],
)
def test_options_that_do_not_fit_are_refused(make_task: Callable[..., Any], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_task(**changes)


def test_a_record_without_turns_is_named(make_task: Callable[..., Any], scene_images: dict[str, Any], world: Path) -> None:
    data = {
        "type": "ClassMapDataset",
        "annotations": str(world / "train" / "landcover"),
        "images": scene_images,
        "classes": {"1": "water", "2": "forest", "6": "grass"},
    }
    with pytest.raises(AlignmentError, match="has no question and answer"):
        batch_of(make_task(data=data))


def test_it_says_what_a_checkpoint_compares(task: Any) -> None:
    assert set(task.identity()) == {"vocabulary"} and task.identity()["vocabulary"] != "None"
    assert {"model", "tokenizer", "processor", "losses", "lora"} <= set(task.resolved())
    assert "model.vision.pooler.queries" in trainable_names(task)


def test_frozen_towers_stay_as_they_answer(make_task: Callable[..., Any]) -> None:
    task = make_task()
    images = batch_of(task).images
    task.train()
    assert task.model.training and not task.model.vision.towers.dinov3.training
    assert torch.equal(task.model.encode_images(images), task.model.encode_images(images))
    whole = make_task(trainable=["vision"], model={**MODEL, "parts": {"language_model": "new"}})
    whole.train()
    assert whole.model.vision.towers.dinov3.training
