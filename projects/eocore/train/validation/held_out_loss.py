"""The loss on held-out data under each sensor setting: the mean over all its items, the same on any number of ranks."""

import math
from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from eocore.data.dataset import RecordDataset
from eocore.data.loading.held_out import HeldOut, HeldOutBatches
from eocore.data.loading.shard import Shard
from eocore.data.loading.worker_status import open_table
from eocore.distributed import Ranks
from eocore.errors import DataError, EOError, SampleError, describe_unforeseen
from eocore.registry import DATASETS
from eocore.train.loader import Batches, prepare_loader
from eocore.train.resilience.loader_errors import as_raised
from eocore.train.task import LOSS_PREFIX, Task
from eocore.train.validation.answers import Watch
from eocore.train.validation.options import LOSS, ValidationOptions

OWN_SETTINGS = "settings"
"""Key of a data set's config that says under which settings it is shown, as in section `evaluation`."""
Sums = Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Part:
    """Batches of a data set under a setting; "" = its images as they are."""

    setting: str
    batches: HeldOutBatches


class HeldOutLoss:
    """Made before the training, called at each validation.

    Args:
        task: not wrapped.
        options: of the validation.
        settings: name -> roles.
        ranks: that share the batches.
        seed: of the choice of samples, and of each sample's own randomness.
        timeout_s: how long to wait for a batch of the loader's processes [s].

    Raises:
        EOError: the data cannot be read.
    """

    def __init__(
        self,
        task: Task,
        options: ValidationOptions,
        *,
        settings: Mapping[str, Sequence[str]],
        ranks: Ranks,
        seed: int,
        timeout_s: int = 0,
    ) -> None:
        self.ranks = ranks
        self.parts: list[Part] = []
        shard = Shard(rank=ranks.rank, world_size=ranks.world_size, seed=seed)
        for config in options.datasets:
            for setting, roles in _shown(config, settings).items():
                data = _showing(config, setting, roles=roles)
                wanted = HeldOut(data=data, roles=roles, limit=options.loss_samples, shard=shard)
                found = task.build_held_out(wanted)
                prepare_loader(found.loader, timeout_s)
                self.parts.append(Part(setting, found))

    @property
    def names(self) -> list[str]:
        """Of the results that are known before the first batch."""
        return [LOSS, *(f"{setting}/{LOSS}" for setting in dict.fromkeys(part.setting for part in self.parts) if setting)]

    @property
    def num_batches(self) -> int:
        """Of all parts, on all ranks."""
        return sum(part.batches.num_batches for part in self.parts)

    @property
    def num_samples(self) -> int:
        """Of all parts."""
        return sum(part.batches.num_samples for part in self.parts)

    def __call__(self, task: Task, watch: Watch) -> dict[str, float] | None:
        """Result -> value on every rank; None where `watch` said stop. All ranks call it, in eval mode.

        Raises:
            EOError: a sample is broken.
        """
        everything: dict[str, list[Sums]] = {}
        for part in self.parts:
            mine: list[tuple[int, Sums]] = []
            with closing(self._rounds(part.batches)) as rounds:
                for position, batch in rounds:
                    if batch is not None:
                        mine.append((position, task.loss_sums(task.data_preprocessor(batch, training=False))))
                    watch.advance(min(self.ranks.world_size, part.batches.num_batches - position + self.ranks.rank))
                    if watch.stopped():
                        return None
            found = sorted((pair for pairs in self.ranks.gather(mine) for pair in pairs), key=lambda pair: pair[0])
            everything.setdefault(part.setting, []).extend(sums for _, sums in found)
        whole = [sums for parts in everything.values() for sums in parts]
        results = _means(whole)
        for setting in filter(None, everything):
            results |= {f"{setting}/{name}": value for name, value in _means(everything[setting]).items()}
        return results

    def _rounds(self, batches: HeldOutBatches) -> Generator[tuple[int, Any], None, None]:
        """(position, batch) equally often on every rank; None where this one has no batch left."""
        open_table(batches.loader.num_workers)
        loading = Batches(batches.loader)
        try:
            for position in range(self.ranks.rank, batches.num_batches + self.ranks.rank, self.ranks.world_size):
                yield position, _next(loading) if position < batches.num_batches else None
        finally:
            loading.close()


def has_records(config: Mapping[str, Any]) -> bool:
    """Whether a config is of a data set with records of its own, rather than one made of others."""
    kind = DATASETS.module_dict.get(str(config.get("type")))
    return isinstance(kind, type) and issubclass(kind, RecordDataset)


def _shown(config: Mapping[str, Any], settings: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """The settings that a data set is shown under; one without images as they are where it has no records of its own."""
    if not settings or not has_records(config):
        return {"": ()}
    return {name: roles for name, roles in settings.items() if name in config.get(OWN_SETTINGS, settings)}


def _showing(config: Mapping[str, Any], setting: str, *, roles: Sequence[str]) -> dict[str, Any]:
    """The config of a data set with the images of one setting."""
    own = {name: value for name, value in config.items() if name != OWN_SETTINGS}
    if not roles:
        return own
    choose = {"type": "ChooseModalities", "settings": {setting: list(roles)}}
    return {**own, "transforms": [*own.get("transforms", ()), choose]}


def _next(loading: Batches) -> Any:
    try:
        return next(loading)
    except EOError as error:
        raise _told(as_raised(error)) from error
    except (RuntimeError, OSError, EOFError) as error:  # what torch raises where a process has died or is too slow
        raise DataError(
            f"validation: the loader of the held-out data gave no batch ({describe_unforeseen(error)}). Expected one within "
            "training.loader_timeout_s. Look at the data with tools/check_data.py, and continue with --resume."
        ) from error


def _told(error: EOError) -> EOError:
    """The error, said to be of held-out data."""
    told: EOError = type(error)(f"validation: {error}") if isinstance(error, DataError | SampleError) else error
    return told


def _means(parts: Sequence[Sums]) -> dict[str, float]:
    """Result -> mean over the items of all batches; sums are exact, so that their order does not matter."""
    pairs: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for sums in parts:
        for name, pair in sums.items():
            pairs[name].append(pair)
    totals = {name: (math.fsum(value for value, _ in own), math.fsum(number for _, number in own)) for name, own in pairs.items()}
    means = {name: value / number for name, (value, number) in totals.items() if number}
    losses = [value for name, value in means.items() if name.startswith(LOSS_PREFIX)]
    return {LOSS: math.fsum(losses), **means}
