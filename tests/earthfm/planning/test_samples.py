"""The batches that are planned are those that the training takes, with the sizes that its samples have."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

pytest.importorskip("olmoearth_pretrain_minimal")
from earthfm_samples import images

from earthfm.planning.samples import sample_work
from eocore.commands.plan_run import COMMAND
from eocore.errors import ConfigError, LengthError
from eocore.train.planning.batches import read_batches
from eocore.train.planning.plan import plan_run


def config_of(fields: dict[str, Any]) -> Config:
    return Config({"systems": ["earthfm"], "seed": 0, "training": {"max_iters": 1}, "task": {"type": "EarthFmTask", **fields}})


@pytest.mark.parametrize("options", [{}, {"image_size": 32}], ids=["as they are", "cropped"])
def test_planned_sizes_are_those_of_the_samples(
    make_fields: Callable[..., Any], make_task: Callable[..., Any], world: Path, options: dict[str, Any]
) -> None:
    sar = {"root": str(world / "train" / "sar"), "pattern": "{stem}.tif", "sensor": "sentinel1_grd"}
    data = {**make_fields()["data"], "images": {"multispectral": images(world, "train"), "sar": sar}}
    changes = {"data": data, "processor": options, "model": {**make_fields()["model"], "encoder": {"version": "v1", "embedding_size": 32}}}
    planned = read_batches(config_of(make_fields(**changes)), num_gpus=2, num_workers=0)
    task = make_task(**changes)
    loader = task.build_loader(rank=1, world_size=2, seed=0, start_step=0)
    keys = next(iter(loader.batch_sampler))
    assert [key.index for key in keys] == next(planned.groups())[1]
    for key in keys:
        sample = loader.dataset[key]
        found = dict(zip(("tokens", "tiles", "mask_images", "masks", "scored"), planned.table[key.index].tolist(), strict=True))
        tokens = task.model.encoder(sample.images, task.model.config.patch_size)[0].shape[1]
        labels = int((sample.prompt.labels[1:] != -100).sum())
        assert found == {"tokens": len(sample.prompt.input_ids), "tiles": tokens, "mask_images": 0, "masks": 0, "scored": labels}
    plan, _ = plan_run(planned, accumulation=1, mfu=0.4)
    assert not plan.packed and plan.tflop > 0 and 0 < plan.balance <= 1


def test_of_captions_that_are_drawn_from_the_longest_counts(make_fields: Callable[..., Any], world: Path, tmp_path: Path) -> None:
    stem = sorted(path.stem for path in (world / "train" / "multispectral").glob("*.tif"))[0]
    table = tmp_path / "captions.csv"
    table.write_text(f"image,caption\n{stem}.tif,Some water.\n{stem}.tif,Some water beside a forest and cropland.\n")
    data = {"type": "ImageCaptionDataset", "annotations": str(table), "images": {"multispectral": images(world, "train")}}
    sizes = [
        read_batches(config_of(make_fields(data=data, captions=choice, batch_size=1)), num_gpus=1, num_workers=0).table[0].tolist()
        for choice in ("draw", "first")
    ]
    assert sizes[0][0] > sizes[1][0] and sizes[0][4] > sizes[1][4]


def test_samples_that_cannot_be_learned_are_named(make_fields: Callable[..., Any]) -> None:
    with pytest.raises(LengthError, match=r"caption.json"):
        read_batches(config_of(make_fields(max_length=6)), num_gpus=1, num_workers=0)


def test_a_stage_without_a_language_model_is_refused() -> None:
    from earthfm.stages.encoder_task import EarthFmEncoderTask

    part = EarthFmEncoderTask.__new__(EarthFmEncoderTask)
    with pytest.raises(
        ConfigError, match=r"EarthFmEncoderTask trains an encoder without a language model.* Plan the training of the bridge"
    ):
        sample_work(part)


def test_the_command_plans_a_full_size_config(repo_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = repo_root / "configs" / "earthfm" / "earthfm_base.py"
    options = [
        "--gpus",
        "8",
        "--samples",
        "98092",
        "--sizes",
        "tokens=300",
        "tiles=3072",
        "scored=250",
        "--json",
        str(tmp_path / "plan.json"),
    ]
    assert COMMAND([str(config), *options]) == 0
    assert "8 GPU(s)" in capsys.readouterr().out and (tmp_path / "plan.json").is_file()
