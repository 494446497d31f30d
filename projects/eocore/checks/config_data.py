"""All data sets that a config reads, opened and read."""

from collections.abc import Callable

from mmengine.config import Config

from eocore.checks.datasets import find_datasets, open_dataset, read_dataset
from eocore.checks.report import Opened
from eocore.checks.splits import describe_shared_tiles
from eocore.progress import Progress
from eocore.system import systems_of_config


def open_datasets(config: Config) -> Opened:
    """What the annotation files alone tell, and the data sets of their good records.

    Raises:
        ConfigError: the config names no data set, or no system that is installed.
    """
    systems_of_config(config)
    return [open_dataset(found) for found in find_datasets(config.to_dict())]


def read_datasets(opened: Opened, *, num_workers: int, on_group: Callable[[int], None]) -> None:
    """Reads every image and mask; adds what is found to the facts, and to the first what data sets share.

    Args:
        opened: from `open_datasets`.
        num_workers: processes; 0 = this one.
        on_group: called with the number of records after each location.
    """
    for facts, dataset in opened:
        if dataset:
            read_dataset(dataset, facts, num_workers=num_workers, on_group=on_group)
    opened[0][0].warnings.extend(describe_shared_tiles([facts for facts, _ in opened]))


def check_config(config: Config, *, num_workers: int) -> Opened:
    """`open_datasets`, read with a progress bar."""
    opened = open_datasets(config)
    with Progress("checking", sum(len(dataset) for _, dataset in opened if dataset), unit="records") as progress:
        read_datasets(opened, num_workers=num_workers, on_group=progress.advance)
    return opened
