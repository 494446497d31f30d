"""`DataOptions` at work: datasets, packs and loaders of a training, whatever system prepares the samples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler

from eocore.config import read_options
from eocore.data.augmentation.augmented_source import AugmentedSource, describe_unsafe_words
from eocore.data.dataset import ANY_IMAGES, ImageRules, Prepare, PreparedDataset, SampleKey, SampleSource, build_dataset
from eocore.data.loading.error_policy import FaultOptions, make_loader
from eocore.data.loading.held_out import HeldOut, HeldOutBatches, cut_batches, cut_packs
from eocore.data.loading.packing import Cost, PackingOptions, PackSampler
from eocore.data.loading.sample_stats import Measurer, MeasuringOptions, SampleSizes, SizeCache
from eocore.data.loading.sampler import GlobalBatchSampler, LikeLengths
from eocore.data.loading.shard import Shard
from eocore.distributed import find_on_first, num_ranks
from eocore.errors import ConfigError
from eocore.log import get_logger
from eocore.resolve import Resolved, resolve_instance
from eocore.train.options import DataOptions
from eocore.train.resilience.heartbeat import HEARTBEAT


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
        """The datasets of the config, augmented where it says so."""
        source = build_dataset(self.options.data, self.faults, roles=self.images.roles)
        if not self.options.augmentation:
            return source
        augmented = AugmentedSource(source, self.options.augmentation)
        for line in describe_unsafe_words(augmented):
            get_logger().info("%s", line)
        return augmented

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
        dataset = self.build_dataset()
        sampler = self.build_sampler(dataset, shard, rules=rules)
        return self._make_loader(PreparedDataset(dataset, prepare, seed=shard.seed, faults=self.faults), sampler, collate=collate)

    def _make_loader(
        self, dataset: PreparedDataset, batches: Sampler[list[SampleKey]] | Sequence[Sequence[SampleKey]], *, collate: Callable[..., Any]
    ) -> DataLoader:
        options = self.options
        return make_loader(
            dataset,
            collate=collate,
            options=self.faults,
            batch_sampler=batches,
            num_workers=options.num_workers,
            prefetch_factor=options.prefetch if options.num_workers else None,
            pin_memory=torch.cuda.is_available(),
        )

    def build_held_out(
        self, wanted: HeldOut, *, prepare: Prepare, collate: Callable[[Sequence[Any]], Any], rules: Callable[[], PackRules]
    ) -> HeldOutBatches:
        """Batches of held-out samples of the training's size, not augmented.

        A broken sample is an error, whatever the training does with one.

        Args:
            wanted: which samples.
            prepare, collate, rules: as `build_loader`.

        Raises:
            EOError: the data cannot be read, or a sample is larger than a pack.
        """
        own = TrainingData(replace(self.options, data=wanted.data, data_faults=None, augmentation=()), self.images)
        dataset, shard = wanted.choose(own.build_dataset()), wanted.shard
        if own.packing is None:
            batches = cut_batches(len(dataset), own.options.batch_size, seed=shard.seed, limit=wanted.limit)
        else:
            own.packing = replace(own.packing, together=1)
            batches = cut_packs(own.build_packs(dataset, Shard(seed=shard.seed), rules=rules()), limit=wanted.limit)
        loader = own._make_loader(
            PreparedDataset(dataset, prepare, seed=shard.seed), batches[shard.rank :: shard.world_size], collate=collate
        )
        return HeldOutBatches(loader=loader, num_batches=len(batches), num_samples=sum(map(len, batches)))

    def build_sampler(self, dataset: SampleSource, shard: Shard, *, rules: Callable[[], PackRules]) -> PackSampler | GlobalBatchSampler:
        """Which samples of `dataset` a shard takes; arguments and errors as `build_loader`."""
        options = self.options
        if self.packing is not None:
            return self.build_packs(dataset, shard, rules=rules())
        lengths = partial(dataset.lengths, image_tokens=self.images.tokens)
        like = None if options.length_window is None else LikeLengths(lengths=lengths, window=options.length_window)
        return GlobalBatchSampler(num_samples=len(dataset), batch_size=options.batch_size, shard=shard, like_lengths=like)

    def build_packs(self, dataset: SampleSource, shard: Shard, *, rules: PackRules) -> PackSampler:
        """The packs of a shard of `dataset`; the sizes of its samples are found, or read where they were kept.

        Raises:
            ConfigError: the options do not pack.
            EOError: a sample is broken or larger than a pack, or there are too few.
        """
        if self.packing is None:
            raise ConfigError("the config has no task.packing. Add +task.packing.max_tokens=8192 (--cfg-options).")
        sizes = self.find_sizes(dataset, rules.measurer, seed=shard.seed)
        return PackSampler(num_samples=len(dataset), sizes=sizes, cost=rules.cost, options=self.packing, shard=shard)

    def find_sizes(self, dataset: SampleSource, measurer: Measurer, *, seed: int) -> SampleSizes:
        """The tables of sizes of a training, that of epoch 0 found on the first rank.

        Raises:
            EOError: a sample is broken, and broken samples end the run; on all ranks.
        """
        folder = None if self.packing is None else self.packing.folder
        drawn = {"data": self.options.data, "augmentation": list(self.options.augmentation)}
        settings = {**drawn, "max_length": measurer.max_length, "faults": self.faults.policy, **measurer.settings}
        sizes = SampleSizes(
            dataset,
            measurer,
            seed=seed,
            cache=None if folder is None else SizeCache(folder=Path(folder), settings=settings, code=measurer.code),
            options=MeasuringOptions(
                faults=self.faults, num_workers=self.options.num_workers, on_progress=lambda: HEARTBEAT.mark("measuring samples")
            ),
        )
        if num_ranks() > 1:
            sizes.put(0, find_on_first(lambda: sizes(0)))
        return sizes


def no_packs() -> PackRules:
    """Raise ConfigError: nothing of this training is packed by cost."""
    raise ConfigError("task.packing deals samples by measured costs, and this training has none. Leave it out.")
