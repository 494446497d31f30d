"""The batches that are planned are those that the training takes, with the sizes that its samples have."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aerith_models import MODEL
from mmengine.config import Config

from aerith.planning.samples import sample_work
from aerith.stages.alignment import AerithAlignmentTask
from aerith.task import AerithTask
from eocore.commands.plan_run import COMMAND
from eocore.errors import ConfigError, LengthError
from eocore.train.planning.batches import read_batches, supposed_batches
from eocore.train.planning.plan import plan_run


@pytest.fixture
def config(make_fields: Callable[..., dict[str, Any]]) -> Config:
    fields = make_fields(model={**MODEL, "parts": {"clip": "not there", "language_model": "not there"}})
    return Config({"systems": ["aerith"], "seed": 0, "training": {"max_iters": 1}, "task": {"type": "AerithTask", **fields}})


def together(config: Config) -> Config:
    """The same data as conversations of independent questions."""
    own = config.task.data.to_dict()
    config.task.data = {"type": "ImageConversations", "max_questions": 3, "independent": True, "datasets": [own]}
    return config


@pytest.mark.parametrize("change", [lambda config: config, together], ids=["single questions", "independent questions"])
def test_planned_sizes_are_those_of_the_samples(config: Config, make_task: Callable[..., Any], change: Callable[[Config], Config]) -> None:
    config = change(config)
    planned = read_batches(config, num_gpus=2, num_workers=0)
    loader = make_task(data=config.task.data.to_dict()).build_loader(rank=1, world_size=2, seed=0, start_step=0)
    keys = next(iter(loader.batch_sampler))
    assert [key.index for key in keys] == next(planned.groups())[1]
    for key in keys:
        sample = loader.dataset[key]
        found = dict(zip(("tokens", "tiles", "mask_images", "masks", "scored"), planned.table[key.index].tolist(), strict=True))
        labels = int((sample.prompt.labels[1:] != -100).sum())
        assert found == {"tokens": len(sample.prompt.input_ids), "tiles": 1, "mask_images": 0, "masks": 0, "scored": labels}
    batch = loader.collate_fn([loader.dataset[key] for key in keys])
    assert batch.prompts.input_ids.numel() == planned.room([key.index for key in keys])
    plan, _ = plan_run(planned, accumulation=1, mfu=0.4)
    assert not plan.packed and plan.tflop > 0 and 0 < plan.balance <= 1


def test_a_sample_that_is_too_long_is_named(config: Config) -> None:
    config.task.max_length = 12
    with pytest.raises(LengthError, match=r"vqa.json.* tokens \(5 of them the image\), at most 12 are allowed"):
        read_batches(config, num_gpus=1, num_workers=0)


def test_sizes_may_be_supposed_and_more_gpus_make_fewer_updates(config: Config) -> None:
    plans = [
        plan_run(supposed_batches(config, num_gpus=gpus, num_samples=48, sizes={"tokens": 64, "tiles": 1}), accumulation=1, mfu=0.4)[0]
        for gpus in (1, 4)
    ]
    assert plans[0].updates == pytest.approx(4 * plans[1].updates) and plans[0].tflop == pytest.approx(plans[1].tflop)


def test_stages_without_a_language_model_are_refused() -> None:
    part = AerithAlignmentTask.__new__(AerithAlignmentTask)
    with pytest.raises(ConfigError, match=r"AerithAlignmentTask trains a part without a language model.* Plan the stages after it"):
        sample_work(part)
    assert not issubclass(AerithAlignmentTask, AerithTask)


def test_the_command_plans_a_full_size_config(repo_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = repo_root / "configs" / "aerith" / "aerith_7b_stage2.py"
    options = ["--gpus", "8", "--samples", "12537", "--sizes", "tokens=256", "tiles=1", "scored=20", "--json", str(tmp_path / "plan.json")]
    assert COMMAND([str(config), *options]) == 0
    assert "8 GPU(s)" in capsys.readouterr().out and (tmp_path / "plan.json").is_file()
