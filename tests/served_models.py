"""Tiny converted models to serve, and images to show them."""

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rasterio
from earthmind_models import make_config, make_fields, make_tiny, make_tokenizer  # noqa: F401  (fixtures)
from ms_clip_models import chips, clip_fields, save_clip  # noqa: F401  (a fixture)
from PIL import Image
from rasterio.transform import from_origin

from earthmind.export import pack
from eocore.export.hf import write_checkpoint

MASK_CRS = "EPSG:32633"


@pytest.fixture(scope="session")
def words_model(make_tiny: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """Folder of a tiny converted EarthMind with random weights, which writes letters and spaces, no [SEG] among them."""
    made = make_tiny()
    written = {number: made.tokenizer.decode([number]) for number in range(len(made.tokenizer))}
    made.model.generation_config.suppress_tokens = [number for number, text in written.items() if not re.fullmatch("[a-z ]+", text)]
    return _written(made, tmp_path_factory.mktemp("served") / "words")


@pytest.fixture(scope="session")
def masks_model(make_tiny: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """Folder of a tiny converted EarthMind that answers "[SEG]" whatever it is asked."""
    made = make_tiny()
    made.model.generation_config.sequence_bias = [[[made.processor.seg_token_id], 1e4]]
    made.model.generation_config.stop_strings = ["[SEG]"]
    return _written(made, tmp_path_factory.mktemp("served") / "masks")


DATED_ANSWER = "On 2021-03-04 [SEG]"
"""What the model below answers."""


@pytest.fixture(scope="session")
def dated_model(make_tiny: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """Folder of a tiny converted EarthMind that answers DATED_ANSWER whatever it is asked."""
    made = make_tiny()
    said = made.tokenizer(DATED_ANSWER, add_special_tokens=False).input_ids
    # the longer the beginning of the answer that stands there already, the more the next token counts
    made.model.generation_config.sequence_bias = [[said[:length], 1e3 * length] for length in range(1, len(said) + 1)]
    made.model.generation_config.stop_strings = ["[SEG]"]
    return _written(made, tmp_path_factory.mktemp("served") / "dated")


@pytest.fixture(scope="session")
def vectors_model(chips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """Folder of a tiny MS-CLIP of pictures."""
    folder = tmp_path_factory.mktemp("served")
    shown = {"preset": 3, "image_size": 48, "context_length": 77, "long_texts": "cut"}
    return save_clip(folder / "vectors", clip_fields(chips, folder / "tokenizer", processor=shown))


@pytest.fixture(scope="session")
def sent_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a picture (scene.png), a GeoTIFF of Sentinel-2 (scene.tif) and one of display colours with a place (place.tif)."""
    folder = tmp_path_factory.mktemp("sent")
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (48, 64, 3), np.uint8)).save(folder / "scene.png")
    place = {"driver": "GTiff", "height": 48, "width": 64, "crs": MASK_CRS, "transform": from_origin(500_000, 5_400_000, 10, 10)}
    with rasterio.open(folder / "scene.tif", "w", count=12, dtype="uint16", **place) as target:
        target.write(rng.integers(1000, 4000, (12, 48, 64), np.uint16))
    with rasterio.open(folder / "place.tif", "w", count=3, dtype="uint8", **place) as target:
        target.write(rng.integers(0, 256, (3, 48, 64), np.uint8))
    return folder


def _written(made: Any, folder: Path) -> Path:
    write_checkpoint(pack(SimpleNamespace(model=made.model, processor=made.processor)), folder, card="# tiny\n")
    return folder
