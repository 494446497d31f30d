"""A converted model for the commands that ask one."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from earthmind_models import make_config, make_fields, make_tiny, make_tokenizer  # noqa: F401  (fixtures)
from PIL import Image

from earthmind.export import pack
from eocore.export.hf import write_checkpoint


@pytest.fixture(scope="session")
def seg_model(make_tiny: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny converted model that answers "[SEG]" whatever it is asked."""
    made = make_tiny()
    made.model.generation_config.sequence_bias = [[[made.processor.seg_token_id], 1e4]]
    made.model.generation_config.stop_strings = ["[SEG]"]
    folder = tmp_path_factory.mktemp("converted") / "seg_model"
    write_checkpoint(pack(SimpleNamespace(model=made.model, processor=made.processor)), folder, card="# tiny\n")
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with three pictures of one size."""
    folder = tmp_path / "demo_images"
    folder.mkdir()
    for number, name in enumerate(("a.png", "b.jpg", "c.bmp")):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 60, 3), np.uint8)
        Image.fromarray(pixels).save(folder / name, **({"quality": 100} if name.endswith("jpg") else {}))
    return folder
