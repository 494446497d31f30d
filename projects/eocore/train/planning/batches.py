"""The batches of a training before it runs: which samples each rank takes, how large they are and what they cost."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from mmengine.config import Config

from eocore.config import require
from eocore.data.loading.packing import Cost, PackSampler
from eocore.data.loading.sample_stats import FIELDS
from eocore.data.loading.sampler import GlobalBatchSampler
from eocore.data.loading.shard import Shard
from eocore.errors import ConfigError
from eocore.portable.row_packing import pack_rows
from eocore.system import Planning, system_of_config
from eocore.text import did_you_mean
from eocore.train.training_data import PackRules, TrainingData

PURPOSE = "its trainings cannot be planned"


@dataclass(frozen=True, kw_only=True)
class SampleWork:
    """The data of a training, and what its samples cost.

    Attributes:
        data: of the training.
        rules: sizes of samples, and their operations as the training makes them: what is computed twice counts twice.
        useful: their operations that no training can do without.
    """

    data: TrainingData
    rules: PackRules
    useful: Cost


@dataclass(frozen=True, kw_only=True)
class PlannedBatches:
    """Epoch 0 of a training.

    Attributes:
        shard: any rank's.
        table: (N, len(FIELDS)) sizes of the samples.
        costs: (N,) operations of each as the training makes them.
        useful: (N,) operations that the training cannot do without.
        sampler: of the training; a `PackSampler` where it packs.
        row_length: of an unpacked batch, see `pack_rows`; None = one sample a row.
    """

    shard: Shard
    table: np.ndarray
    costs: np.ndarray
    useful: np.ndarray
    sampler: PackSampler | GlobalBatchSampler
    row_length: int | None = None

    def groups(self) -> Iterator[list[list[int]]]:
        """Micro-step by micro-step, the samples of each rank as indexes. Unpacked batches that reach into the next epoch are left out.

        Raises:
            ConfigError: an epoch has fewer samples than a global batch.
        """
        ranks = self.shard.world_size
        if isinstance(self.sampler, PackSampler):
            for together in self.sampler.epoch_packs(0):
                yield from (together[start : start + ranks] for start in range(0, len(together), ranks))
            return
        steps = len(self.table) // self.sampler.global_batch_size
        if not steps:
            raise ConfigError(
                f"an epoch has {len(self.table)} samples, a global batch {self.sampler.global_batch_size}: there is nothing to plan. Use "
                "fewer GPUs, a smaller task.batch_size, or more data."
            )
        for step in range(steps):
            yield [[key.index for key in part] for part in self.sampler.global_batch(step)]

    def room(self, samples: list[int]) -> int:
        """Tokens that a pack may hold, or the rows of a batch of these samples, padding among them."""
        if isinstance(self.sampler, PackSampler):
            return self.sampler.options.max_tokens
        lengths = self.table[samples, 0].tolist()
        rows = pack_rows(lengths, self.row_length)
        return len(rows) * max(sum(lengths[index] for index in row) for row in rows)


def read_batches(config: Config, *, num_gpus: int, num_workers: int) -> PlannedBatches:
    """The batches a training of `config` on so many GPUs takes; sizes that are found here are kept where the training looks for them.

    Args:
        config: as `load_config` returns it.
        num_gpus: ranks.
        num_workers: processes that measure samples.

    Raises:
        EOError: the config does not build, its tokenizer or data are not there, or a sample is broken.
    """
    planning, sample_work = _planning(config)
    work = sample_work(planning.data_task(config))
    data = TrainingData(replace(work.data.options, num_workers=num_workers), work.data.images)
    shard, source = Shard(rank=0, world_size=num_gpus, seed=require(config, "seed")), data.build_dataset()
    sampler = data.build_sampler(source, shard, rules=lambda: work.rules)
    sizes = sampler.sizes if isinstance(sampler, PackSampler) else data.find_sizes(source, work.rules.measurer, seed=shard.seed)
    return _planned(work, sampler, table=sizes(0))


def supposed_batches(config: Config, *, num_gpus: int, num_samples: int, sizes: Mapping[str, int]) -> PlannedBatches:
    """The batches of so many samples that are all of one size; no data, no tokenizer and no weights are read.

    Args:
        config: as `load_config` returns it.
        num_gpus: ranks.
        num_samples: of an epoch.
        sizes: some of FIELDS; the others are 0.

    Raises:
        EOError: the config does not build, a name is none of FIELDS, or a size is no number.
    """
    for name, value in sizes.items():
        if name not in FIELDS:
            raise ConfigError(f"a sample has no size '{name}'.{did_you_mean(name, FIELDS)} Choices: {', '.join(FIELDS)}.")
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ConfigError(f"the supposed size of a sample is {name}={value!r}, expected a whole number of at least 0.")
    planning, sample_work = _planning(config)
    work = sample_work(planning.meta_task(require(config, "task")))
    table = np.tile(np.array([sizes.get(name, 0) for name in FIELDS], dtype=np.int32), (num_samples, 1))
    shard = Shard(rank=0, world_size=num_gpus, seed=require(config, "seed"))
    if work.data.packing is None:
        unpacked = GlobalBatchSampler(num_samples=num_samples, batch_size=work.data.options.batch_size, shard=shard)
        return _planned(work, unpacked, table=table)
    options = replace(work.data.packing, folder=None)
    packed = PackSampler(num_samples=num_samples, sizes=lambda _: table, cost=work.rules.cost, options=options, shard=shard)
    return _planned(work, packed, table=table)


def _planning(config: Config) -> tuple[Planning, Callable[[Any], SampleWork]]:
    system = system_of_config(config)
    planning = system.need(system.planning, PURPOSE)()
    return planning, system.need(planning.sample_work, PURPOSE)


def _planned(work: SampleWork, sampler: PackSampler | GlobalBatchSampler, *, table: np.ndarray) -> PlannedBatches:
    return PlannedBatches(
        shard=sampler.shard,
        table=table,
        costs=np.asarray(work.rules.cost(table), dtype=np.float64),
        useful=np.asarray(work.useful(table), dtype=np.float64),
        sampler=sampler,
        row_length=work.data.options.row_length,
    )
