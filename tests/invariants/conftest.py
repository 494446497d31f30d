"""The builders of tiny models that the tests of EarthMind use, and trainings on the synthetic world."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from earthmind_models import make_config, make_fields, make_scenes, make_task, make_tiny, make_tokenizer, square_mask  # noqa: F401  (fixtures)

from eocore.synthetic.world import write_world


@pytest.fixture(scope="session")
def small() -> ModuleType:
    """small_training.py, imported."""
    spec = importlib.util.spec_from_file_location("small_training", Path(__file__).with_name("small_training.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few synthetic scenes."""
    root = tmp_path_factory.mktemp("world")
    write_world(root, {"train": 6, "test": 1}, size=64)
    return root
