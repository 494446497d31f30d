"""`DataOptions` at work: datasets, packs and loaders of a training, whatever system prepares the samples."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, Sampler

from eocore.config import read_options
from eocore.data.dataset import ANY_IMAGES, ImageRules, Prepare, PreparedDataset, SampleKey, SampleSource, build_dataset
from eocore.data.io.readers import SceneHeader
from eocore.data.loading.error_policy import FaultOptions, make_loader
from eocore.data.loading.packing import Cost, PackingOptions, PackSampler
from eocore.data.loading.sample_stats import SampleSizes
from eocore.data.loading.sampler import GlobalBatchSampler
from eocore.data.records import Record
from eocore.distributed import find_on_first, num_ranks
from eocore.errors import ConfigError
from eocore.resolve import Resolved, resolve_instance
from eocore.train.options import DataOptions
from eocore.train.resilience.heartbeat import HEARTBEAT


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Which batches of an endless order are wanted: those of `rank` among `world_size`, from global batch `start_step` on.

    Attributes:
        rank, world_size: this process and the number of them.
        seed: of order and of per-sample randomness.
        start_step: number of global batches that an earlier run has used up.
    """

    rank: int
    world_size: int
    seed: int
    start_step: int = 0


class Measurer(Protocol):
    """Sizes of samples before they are prepared, given by a system.

    Attributes:
        max_length: most tokens of a sample.
        settings: all that sizes depend on beside the data, fit for JSON.
        code: folders of the sources that decide sizes.
    """

    @property
    def max_length(self) -> int: ...

    @property
    def settings(self) -> Mapping[str, Any]: ...

    @property
    def code(self) -> Sequence[Path]: ...

    def __call__(self, record: Record, headers: Sequence[SceneHeader]) -> Mapping[str, int]:
        """The `eocore.data.loading.sample_stats.FIELDS` of a record."""


@dataclass(frozen=True, kw_only=True)
class PackRules:
    """What packs are dealt by.

    Attributes:
        measurer: of sizes.
        cost: of samples by their sizes.
    """

    measurer: Measurer
    cost: Cost


class TrainingData:
    """Datasets, packs and loaders.

    Args:
        options: of the task.
        images: what the system takes for an image.

    Raises:
        ConfigError: a section of the options has an unknown key or a wrong value.
    """

    def __init__(self, options: DataOptions, images: ImageRules = ANY_IMAGES) -> None:
        self.options, self.images = options, images
        self.faults = read_options(FaultOptions, options.data_faults or {}, name="data_faults")
        self.packing = None if options.packing is None else read_options(PackingOptions, options.packing, name="packing")

    @property
    def row_length(self) -> int | None:
        """Tokens of a packed row; None = one sample a row."""
        return self.options.row_length if self.packing is None else self.packing.max_tokens

    @property
    def full_rows(self) -> bool:
        """Whether packed rows are padded up to `row_length`."""
        return self.packing is not None and self.packing.full_rows

    @property
    def max_length(self) -> int:
        """Most tokens of a sample: a packed row must have room for it too."""
        return self.options.max_length if self.row_length is None else min(self.options.max_length, self.row_length)

    def resolved(self) -> dict[str, Resolved]:
        """The sections with their defaults; see `Task.resolved`."""
        return {
            "data_faults": resolve_instance(self.faults),
            "packing": Resolved(None) if self.packing is None else resolve_instance(self.packing),
        }

    def build_dataset(self) -> SampleSource:
        """The datasets of the config."""
        return build_dataset(self.options.data, self.faults, roles=self.images.roles)

    def build_loader(
        self, shard: Shard, *, prepare: Prepare, collate: Callable[[Sequence[Any]], Any], rules: Callable[[], PackRules]
    ) -> DataLoader:
        """Batches of a shard, without end.

        Args:
            shard: which.
            prepare: (record, scenes, rng) -> sample.
            collate: samples -> batch, in the loader's processes.
            rules: gives the rules of packs; called where the options pack.

        Raises:
            EOError: a sample is broken or too long, or there are too few.
        """
        options, dataset = self.options, self.build_dataset()
        sampler = self._build_sampler(dataset, shard) if self.packing is None else self.build_packs(dataset, shard, rules=rules())
        return make_loader(
            PreparedDataset(dataset, prepare, seed=shard.seed, faults=self.faults),
            collate=collate,
            options=self.faults,
            batch_sampler=sampler,
            num_workers=options.num_workers,
            prefetch_factor=options.prefetch if options.num_workers else None,
            pin_memory=torch.cuda.is_available(),
        )

    def _build_sampler(self, dataset: SampleSource, shard: Shard) -> Sampler[list[SampleKey]]:
        options = self.options
        return GlobalBatchSampler(
            num_samples=len(dataset),
            batch_size=options.batch_size,
            lengths=None if options.length_window is None else partial(dataset.lengths, image_tokens=self.images.tokens),
            window=options.length_window or 1,
            **asdict(shard),
        )

    def build_packs(self, dataset: SampleSource, shard: Shard, *, rules: PackRules) -> PackSampler:
        """The packs of a shard of `dataset`; the sizes of its samples are found, or read where they were kept.

        Raises:
            ConfigError: the options do not pack.
            EOError: a sample is broken or larger than a pack, or there are too few.
        """
        if self.packing is None:
            raise ConfigError("the config has no task.packing. Add +task.packing.max_tokens=8192 (--cfg-options).")
        sizes = self.find_sizes(dataset, rules.measurer, seed=shard.seed)
        return PackSampler(num_samples=len(dataset), sizes=sizes, cost=rules.cost, options=self.packing, **asdict(shard))

    def find_sizes(self, dataset: SampleSource, measurer: Measurer, *, seed: int) -> SampleSizes:
        """The tables of sizes of a training, that of epoch 0 found on the first rank.

        Raises:
            EOError: a sample is broken, and broken samples end the run; on all ranks.
        """
        folder = None if self.packing is None else self.packing.folder
        sizes = SampleSizes(
            dataset,
            measurer,
            seed=seed,
            settings={
                "data": self.options.data,
                "max_length": measurer.max_length,
                "faults": self.faults.policy,
                **measurer.settings,
            },
            code=measurer.code,
            faults=self.faults,
            folder=None if folder is None else Path(folder),
            num_workers=self.options.num_workers,
            on_progress=lambda: HEARTBEAT.mark("measuring samples"),
        )
        if num_ranks() > 1:
            sizes.put(0, find_on_first(lambda: sizes(0)))
        return sizes
