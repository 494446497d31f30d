"""Packs for an EarthMind training: sizes of the samples, found on one rank for all, and the sampler that deals them out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from earthmind.sizes import CODE, SampleMeasurer, size_settings
from eocore.data.dataset import SampleSource
from eocore.data.loading.error_policy import FaultOptions
from eocore.data.loading.packing import PackingOptions
from eocore.data.loading.sample_stats import SampleSizes
from eocore.train.ranks import find_on_first, num_ranks
from eocore.train.resilience.heartbeat import HEARTBEAT


def build_sizes(
    dataset: SampleSource,
    measurer: SampleMeasurer,
    *,
    seed: int,
    data: Mapping[str, Any],
    options: PackingOptions,
    faults: FaultOptions,
    num_workers: int,
) -> SampleSizes:
    """The tables of sizes of a training, that of epoch 0 found on the first rank.

    Args:
        dataset: built from `data`.
        measurer: see `earthmind.sizes`.
        seed: of the training.
        data: config of the dataset, on which the kept tables depend.
        options: where tables are kept.
        faults: what becomes of broken samples.
        num_workers: processes that measure.

    Raises:
        EOError: a sample is broken, and broken samples end the run; on all ranks.
    """
    sizes = SampleSizes(
        dataset,
        measurer,
        seed=seed,
        settings={"data": data, "max_length": measurer.max_length, "faults": faults.policy, **size_settings(measurer.processor)},
        code=[CODE, Path(__file__).parent, Path(__file__).parent / "datasets"],
        faults=faults,
        folder=None if options.folder is None else Path(options.folder),
        num_workers=num_workers,
        on_progress=lambda: HEARTBEAT.mark("measuring samples"),
    )
    if num_ranks() > 1:
        sizes.put(0, find_on_first(lambda: sizes(0)))
    return sizes
