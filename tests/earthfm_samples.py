"""What tests of EarthFM are made of: sizes of a small encoder, scenes, and where those of a synthetic world lie."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

S2 = ("B02", "B03", "B04", "B08", "B05", "B06", "B07", "B8A", "B11", "B12", "B01", "B09")
ENCODER = {"version": "v1.1", "embedding_size": 32, "depth": 1, "num_heads": 2, "pixel_hidden_sizes": [8], "drop_path": 0.2}


def make_scene(seed: int = 0, *, side: int = 16, bands: tuple[str, ...] = S2, time: str = "", role: str = "") -> Any:
    """Random reflectance."""
    pixels = np.random.default_rng(seed).uniform(0.01, 0.5, (len(bands), side, side)).astype(np.float32)
    return SimpleNamespace(pixels=pixels, bands=bands, unit="reflectance", time=time, role=role)


def images(world: Path, split: str) -> dict[str, str]:
    """Where the Sentinel-2 images of a split are."""
    return {"root": str(world / split / "multispectral"), "pattern": "{stem}.tif", "sensor": "sentinel2_l2a"}
