"""All upstream layouts, written once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from eocore.data.dataset import RecordDataset, SampleKey
from eocore.data.records import Record
from eocore.evaluate.benchmarks.loading import load_benchmarks
from eocore.sensors.scene import Scene, by_role
from eocore.synthetic.test_sets.catalogue import write_published

NUM_SCENES = 4


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with every set. Leave it as it is."""
    root = tmp_path_factory.mktemp("published")
    write_published(root, num_scenes=NUM_SCENES, size=64)
    return root


@pytest.fixture
def load(published: Path) -> Callable[[str], RecordDataset]:
    """The samples of a benchmark by name."""
    return lambda name: load_benchmarks()[name](data_root=str(published))


@pytest.fixture
def first() -> Callable[[RecordDataset], tuple[Record, dict[str, Scene]]]:
    """The first sample of a data set, and its scenes by role."""

    def load_first(source: RecordDataset) -> tuple[Record, dict[str, Scene]]:
        record, scenes, _ = source.load(SampleKey(0, 0))
        return record, by_role(scenes, source=record.source)

    return load_first
