"""Estimates of EarthFM's trainings: from the config alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

pytest.importorskip("olmoearth_pretrain_minimal")
from earthfm.planning.meta_task import RELEASED, data_task, example_batch, outline
from eocore.config import load_config
from eocore.errors import ConfigError
from eocore.models.freeze import trainable_names
from eocore.train.planning.estimate import StepShape, estimate


def test_what_trains_is_what_would(make_fields: Callable[..., dict[str, Any]], make_task: Callable[..., Any]) -> None:
    task = outline({"type": "EarthFmTask", **make_fields()})
    wanted = make_task()
    assert trainable_names(task) == trainable_names(wanted)
    assert all(parameter.is_meta for parameter in task.parameters())


@pytest.mark.parametrize(("size", "parameters"), [("nano", 50_692_096), ("large", 52_527_104)])
def test_full_sizes_come_from_the_names_of_the_folders(repo_root: Path, size: str, parameters: int) -> None:
    task = outline(load_config(repo_root / "configs" / "earthfm" / f"earthfm_{size}.py").task)
    parts = {part.name: part for part in task.parameter_table()}
    assert parts["connector"].trainable == parameters and parts["encoder"].trainable == 0
    # rank 16 in 24 layers: four of 2048 x 2048, two of 2048 x 8192
    assert parts["language_model"].trainable == 24 * 16 * (4 * 4096 + 2 * 10_240)
    batch = example_batch(task, StepShape(tokens=512, rows=1, masks=0))
    assert batch.images.sentinel2_l2a is not None and batch.images.sentinel2_l2a.shape == (1, 256, 256, 1, 12)


def test_longer_rows_and_larger_images_need_more(make_fields: Callable[..., dict[str, Any]]) -> None:
    def peaks(side: int) -> list[int]:
        task = {"type": "EarthFmTask", **make_fields(processor={"image_size": side}, trainable=["connector", "encoder.model.blocks"])}
        config = Config({"systems": ["earthfm"], "task": task, "training": {"max_iters": 1}})
        shapes = [StepShape(tokens=tokens, rows=2, text=20, supervised=4, masks=0) for tokens in (32, 64)]
        found = estimate(config, num_gpus=1, shapes=shapes, kinds=("none",))
        return [found.steps[shape.tokens, "none"].peak for shape in shapes]

    small, large = peaks(16), peaks(64)
    assert 0 < small[0] < small[1] < large[1]


def test_the_task_of_a_data_check_has_the_trainings_own_processor_and_data(make_fields: Callable[..., dict[str, Any]]) -> None:
    task = data_task(Config({"systems": ["earthfm"], "task": {"type": "EarthFmTask", **make_fields()}}))
    assert all(parameter.is_meta for parameter in task.parameters())
    batch = next(iter(task.build_loader(rank=0, world_size=1, seed=0, start_step=0)))
    assert batch.prompts.num_samples == 3 and task.processor.options.image_size is None


def test_a_data_check_of_an_encoders_training_builds_it_as_it_is(repo_root: Path) -> None:
    task = data_task(load_config(repo_root / "configs" / "earthfm" / "earthfm_encoder_tiny.py"))
    assert type(task).__name__ == "EarthFmEncoderTask"


def test_what_cannot_be_estimated_is_said(make_fields: Callable[..., dict[str, Any]]) -> None:
    fields = make_fields()
    with pytest.raises(ConfigError, match="trains an encoder without a language model"):
        outline({"type": "EarthFmEncoderTask"})
    with pytest.raises(ConfigError, match=r"its sizes are not known\. Releases: OlmoEarth-v1-Nano"):
        outline({**fields, "model": {"encoder_weights": "pretrained/other"}})
    with pytest.raises(ConfigError, match=r"holds no config\.json, which says its sizes"):
        outline({**fields, "model": {"language_weights": "pretrained/other"}})
    with pytest.raises(ConfigError, match="estimates need encoder_weights and language_weights"):
        outline({**fields, "model": {"pretrained": "pretrained/other"}})
    with pytest.raises(ConfigError, match=r"set task\.processor\.image_size"):
        example_batch(outline(fields), StepShape(tokens=64, supervised=4, masks=0))
    assert RELEASED["OlmoEarth-v1_2-Small"] == {"version": "v1.2", "size": "small"}
