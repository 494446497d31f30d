"""The packs that are planned are those that the training takes, and they are planned without weights."""

import os
from pathlib import Path
from unittest import mock

import pytest
from mmengine.config import Config

from earthmind.planning.packs import plan_packs
from eocore.config import load_config
from eocore.errors import ConfigError
from eocore.registry import TASKS
from eocore.synthetic.world import write_world
from eocore.system import systems_of_config


@pytest.fixture
def config(tmp_path: Path, repo_root: Path) -> Config:
    write_world(tmp_path, {"train": 4}, size=48)
    with mock.patch.dict(os.environ, {"SYNTHETIC_ROOT": str(tmp_path)}):
        found = load_config(
            repo_root / "configs" / "earthmind" / "earthmind_tiny_synthetic.py",
            {"+task.packing": {"max_tokens": 700, "folder": None}, "task.batch_size": 1, "task.row_length": None, "task.num_workers": 0},
        )
    systems_of_config(found)
    return found


def test_planned_packs_are_those_of_the_training(config: Config) -> None:
    sampler, useful = plan_packs(config, num_gpus=2, num_workers=0)
    loader = TASKS.build(config.task).build_loader(rank=0, world_size=2, seed=config.seed, start_step=0)
    trained = loader.batch_sampler
    assert sampler.plan == trained.plan
    assert [sampler.global_batch(step) for step in range(3)] == [trained.global_batch(step) for step in range(3)]
    assert (useful(sampler.sizes(0)) > 0).all()


def test_a_config_that_does_not_pack_is_told_how(config: Config) -> None:
    del config.task["packing"]
    with pytest.raises(ConfigError, match=r"no task\.packing, .*Add \+task\.packing\.max_tokens"):
        plan_packs(config, num_gpus=2, num_workers=0)
