"""Held-out samples in batches that are the same at every validation, whatever the number of ranks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch.utils.data import DataLoader

from eocore.data.dataset import RecordDataset, SampleKey, SampleSource, random_stream
from eocore.data.loading.packing import PackSampler
from eocore.data.loading.shard import WHOLE, Shard
from eocore.errors import DataError


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Held-out samples that batches are wanted of.

    Attributes:
        data: config of the registry DATASETS.
        roles: only records that have images of all of them count; () = all.
        limit: most samples, a fixed random choice; None = all.
        shard: which of the batches this process takes, and the seed of choice and samples.
    """

    data: Mapping[str, Any]
    roles: Sequence[str] = ()
    limit: int | None = None
    shard: Shard = WHOLE

    def choose(self, dataset: SampleSource) -> SampleSource:
        """The data set with the records that count.

        Raises:
            DataError: there are none.
        """
        if not self.roles or not isinstance(dataset, RecordDataset):
            return dataset
        fit = [record for record in dataset.records if set(self.roles) <= set(record.roles)]
        if not fit:
            raise DataError(f"{dataset.name}: no record has images of {', '.join(self.roles)}. Name other roles, or fetch the images.")
        return dataset.with_records(fit)


@dataclass(frozen=True, kw_only=True)
class HeldOutBatches:
    """Batches of held-out samples, in an order that does not depend on ranks.

    Attributes:
        loader: of this process's batches: of all, those at positions rank, rank + world_size, ...
        num_batches, num_samples: of all processes.
    """

    loader: DataLoader
    num_batches: int
    num_samples: int


def cut_batches(num_samples: int, batch_size: int, *, seed: int, limit: int | None) -> list[list[SampleKey]]:
    """Batches of samples of epoch 0 in random order, up to `limit` samples."""
    order = random_stream(seed, "order", 0).permutation(num_samples)[:limit].tolist()
    return [[SampleKey(0, index) for index in order[start : start + batch_size]] for start in range(0, len(order), batch_size)]


def cut_packs(sampler: PackSampler, *, limit: int | None) -> list[list[SampleKey]]:
    """The packs of epoch 0, as many as hold up to `limit` samples, at least one."""
    packs: list[list[SampleKey]] = []
    taken = 0
    for pack in (pack for group in sampler.epoch_packs(0) for pack in group):
        taken += len(pack)
        if packs and limit is not None and taken > limit:
            break
        packs.append([SampleKey(0, index) for index in pack])
    return packs
