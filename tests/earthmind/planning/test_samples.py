"""The packs that are planned are those that the training takes, and they are planned without weights."""

import os
from pathlib import Path
from unittest import mock

import pytest
from mmengine.config import Config

from eocore.config import load_config
from eocore.data.loading.packing import PackSampler
from eocore.registry import TASKS
from eocore.synthetic.world import write_world
from eocore.system import systems_of_config
from eocore.train.planning.batches import read_batches
from eocore.train.planning.plan import plan_run


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
    planned = read_batches(config, num_gpus=2, num_workers=0)
    loader = TASKS.build(config.task).build_loader(rank=0, world_size=2, seed=config.seed, start_step=0)
    trained, sampler = loader.batch_sampler, planned.sampler
    assert isinstance(sampler, PackSampler) and sampler.plan == trained.plan
    assert [sampler.global_batch(step) for step in range(3)] == [trained.global_batch(step) for step in range(3)]
    assert (planned.useful > 0).all()


def test_a_training_that_does_not_pack_is_planned_by_its_batches(config: Config) -> None:
    del config.task["packing"]
    config.task["batch_size"] = 2
    planned = read_batches(config, num_gpus=2, num_workers=0)
    loader = TASKS.build(config.task).build_loader(rank=1, world_size=2, seed=config.seed, start_step=0)
    groups = list(planned.groups())
    keys = [[key.index for key in next(iter(loader.batch_sampler))]]
    taken = [index for group in groups for part in group for index in part]
    assert keys == [groups[0][1]] and len(taken) == len(set(taken))
    assert len(planned.table) == len(loader.dataset) and (planned.table[:, 0] > 0).all()
    batch = loader.collate_fn([loader.dataset[key] for key in planned.sampler.global_batch(0)[1]])
    assert batch.input_ids.numel() == planned.room(groups[0][1])
    plan, _ = plan_run(planned, accumulation=1, mfu=0.4)
    assert not plan.packed and plan.updates == pytest.approx(len(planned.table) / 4) and plan.wasted_tokens > 0
