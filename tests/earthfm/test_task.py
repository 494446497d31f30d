"""The task: losses on answers alone, captions as answers, options that do not fit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("olmoearth_pretrain_minimal")
from earthfm_samples import images

from eocore.errors import AlignmentError, ConfigError


def batch_of(task: Any) -> Any:
    return next(iter(task.build_loader(rank=0, world_size=1, seed=0, start_step=0)))


def test_a_batch_has_a_loss_that_every_trained_parameter_takes_part_in(make_task: Callable[..., Any]) -> None:
    task = make_task()
    total, logged = task.parse_losses(task(batch_of(task)))
    total.backward()
    assert {"loss_text", "token_accuracy", "num_samples", "num_tokens"} <= set(logged)
    trained = {name: parameter for name, parameter in task.model.named_parameters() if parameter.requires_grad}
    assert all(parameter.grad is not None for parameter in trained.values())
    assert not any(name.startswith("encoder") for name in trained)


def test_the_loss_is_the_mean_over_answers_of_transformers(make_task: Callable[..., Any]) -> None:
    task = make_task()
    batch = batch_of(task)
    found = float(task(batch)["loss_text"].detach())
    model, prompt = task.model, batch.prompts
    embeddings = model.embed(prompt.input_ids, prompt.placeholders, tokens=model.encode_images(batch.images))
    expected = model.language_model(inputs_embeds=embeddings, attention_mask=prompt.attention_mask, labels=prompt.labels).loss
    assert found == pytest.approx(float(expected.detach()), rel=1e-4)


def test_means_over_the_update_and_sums_agree(make_task: Callable[..., Any]) -> None:
    task = make_task()
    batch = batch_of(task)
    sums, counts = task.loss_sums(batch)["loss_text"]
    assert counts == task.count_items(batch)["supervised_tokens"]
    assert sums / counts == pytest.approx(float(task(batch)["loss_text"].detach()), rel=1e-4)
    assert make_task(losses={"text_mean": "samples"}).count_items(batch) == {}


def test_captions_become_answers(make_task: Callable[..., Any], world: Path, tmp_path: Path) -> None:
    table = tmp_path / "captions.csv"
    stems = sorted(path.stem for path in (world / "train" / "multispectral").glob("*.tif"))[:3]
    table.write_text("image,caption\n" + "".join(f"{stem}.tif,Some water.\n" for stem in stems))
    data = {"type": "ImageCaptionDataset", "annotations": str(table), "images": {"multispectral": images(world, "train")}}
    task = make_task(data=data)
    labels = batch_of(task).prompts.labels[0]
    assert task.processor.tokenizer.decode(labels[labels >= 0]) == " Some water.<|endoftext|>"


def test_records_without_texts_are_refused(make_task: Callable[..., Any]) -> None:
    from earthfm.datasets.preparation import SamplePreparer
    from eocore.data.records import Record

    with pytest.raises(AlignmentError, match="no question and answer, and no caption"):
        SamplePreparer(make_task().processor, max_length=64)(Record("a", (), source="x"), [], rng=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"captions": "longest"}, "choices: draw, first"),
        ({"packing": {"max_tokens": 8}, "batch_size": 1}, "Use task.row_length"),
        ({"trainable_tokens": ["<x>"]}, "this model adds none"),
        ({"losses": {"text_mean": "words"}}, "choices: samples, tokens"),
        ({"processor": {"patch_size": 4}}, "processor states patch_size, which the model decides"),
        ({"processor": {"fit": "stretch"}}, "one of resize, crop"),
        ({"model": {"encoder": {"size": "huge"}}}, "encoder.size='huge' is unknown"),
        ({"model": {"pretrained": "nowhere"}}, "does not exist; nothing is downloaded"),
        ({"model": {"encoder_weights": "nowhere"}}, "does not exist; nothing is downloaded"),
    ],
)
def test_options_that_do_not_fit_are_refused(make_task: Callable[..., Any], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_task(**changes)


def test_what_a_checkpoint_compares(make_task: Callable[..., Any]) -> None:
    task = make_task()
    assert task.identity()["vocabulary"].startswith(str(len(task.processor.tokenizer)))
    assert {"model", "tokenizer", "processor", "losses", "lora"} <= set(task.resolved())
    assert torch.equal(task.model.connector.queries, make_task().model.connector.queries)
