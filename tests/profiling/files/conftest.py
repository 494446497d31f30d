"""A small world of files and a config that trains on it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from earthmind_models import SMALLER

from eocore.synthetic.world import write_world

CONFIG = Path(__file__).resolve().parents[3] / "configs" / "earthmind" / "earthmind_tiny_synthetic.py"
SMALL: dict[str, Any] = {
    "task.batch_size": 2,
    **SMALLER,
    "training.precision": "fp32",
    "evaluation.batch_size": 2,
    "evaluation.max_new_tokens": 3,
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder, which configs name while it is there."""
    root = tmp_path_factory.mktemp("world")
    write_world(root, {"train": 4, "test": 2}, size=48)
    with mock.patch.dict(os.environ, {"SYNTHETIC_ROOT": str(root)}):
        yield root


@pytest.fixture
def small() -> dict[str, Any]:
    return dict(SMALL)
