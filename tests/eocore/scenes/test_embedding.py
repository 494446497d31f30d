"""Vectors of windows: each of its own pixels, none where too little data is; models that do not embed are refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scene_files import MeanSpectrum, lake, write_scene

from eocore.data.records import ImageRef
from eocore.errors import ConfigError
from eocore.jobs.work import Item
from eocore.scenes.embedding import EMPTY, FOOTPRINT, VECTOR, EmbedOptions, EmbedWindows
from eocore.scenes.reading import window_items
from eocore.scenes.source import SceneSource
from eocore.scenes.windows import Tiling

Embedder = Callable[[object], None]
WATER = lake(96, 128)
GAP = np.arange(128)[None].repeat(96, axis=0) >= 80


def work(tmp_path: Path, *, min_data: float = 0.5) -> EmbedWindows:
    scene = write_scene(tmp_path / "s.tif", WATER, empty=GAP)
    source = SceneSource({"multispectral": ImageRef("multispectral", "sentinel2_l2a", (str(scene),))})
    return EmbedWindows(EmbedOptions(model=tmp_path, scenes={"s": source}, min_data=min_data, batch_size=3))


def items() -> list[Item]:
    tiling = Tiling(height=96, width=128, side=32, overlap=0)
    return [Item(item.key, {"scene": "s", **item.payload}) for item in window_items(tiling)]


def test_a_window_has_the_vector_of_its_own_pixels(tmp_path: Path, embedder: Embedder) -> None:
    embedder(MeanSpectrum())
    together = work(tmp_path)(items())
    assert [item.key for item, found in zip(items(), together, strict=True) if found[EMPTY]] == ["0_96", "32_96", "64_96"]
    for item, found in zip(items(), together, strict=True):
        if not found[EMPTY]:
            (alone,) = work(tmp_path)([item])
            np.testing.assert_array_equal(alone[VECTOR], found[VECTOR])
            assert np.linalg.norm(found[VECTOR]) == pytest.approx(1, abs=1e-6)
    first = together[0][FOOTPRINT]
    assert first[0] == pytest.approx([9.0, 45.15], abs=0.01) and first[0] == first[-1]


def test_the_share_of_data_that_is_asked_for_decides(tmp_path: Path, embedder: Embedder) -> None:
    embedder(MeanSpectrum())
    counts = [sum(not found[EMPTY] for found in work(tmp_path, min_data=share)(items())) for share in (0.0, 0.4, 0.6, 1.0)]
    assert counts == [9, 9, 6, 6]  # a column of windows is half empty, one is wholly
    with pytest.raises(ConfigError, match=r"--min-data 2: expected a share of a window's pixels"):
        work(tmp_path, min_data=2)


def test_a_model_that_does_not_embed_is_refused(tmp_path: Path, embedder: Embedder) -> None:
    embedder(object())
    with pytest.raises(ConfigError, match="this model does not embed images"):
        _ = work(tmp_path).predictor
