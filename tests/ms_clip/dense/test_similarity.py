"""Similarity maps: on the image's pixels, of the whole image, and where the text is true."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eocore.errors import ConfigError, DataError
from eocore.predict.image_files import ImageFile, read_images
from eocore.sensors.scene import Scene
from ms_clip.dense.similarity import MapChoices, similarity_maps
from ms_clip.upstream.models import Loaded, Tokenize

QUERIES = ["water", "bare ground"]


@pytest.fixture(scope="module")
def loaded(make_fields: Callable[..., dict[str, Any]]) -> Loaded:
    from ms_clip.task import MsClipTask

    task = MsClipTask(**make_fields())
    return Loaded(task.model.eval(), task.processor.pixels, Tokenize(task.processor))


@pytest.fixture(scope="module")
def scene(chips: Path) -> Scene:
    path = sorted((chips / "test" / "multispectral").rglob("*.tif"))[0]
    return read_images({"optical": ImageFile((str(path),), sensor="sentinel2_l2a")})["multispectral"]


@pytest.mark.parametrize("kind", ["plain", "value"])
def test_a_map_holds_the_cosines_of_the_patches(loaded: Loaded, scene: Scene, kind: str) -> None:
    maps = similarity_maps(loaded, scene, queries=QUERIES, choices=MapChoices(kind=kind))
    assert maps.shape == (2, *scene.size) and np.abs(maps).max() <= 1
    with torch.no_grad():
        patches = loaded.model.dense_features(loaded.preprocess(scene)[None], kind=kind)[0]
        texts = loaded.model.encode_text(loaded.tokenizer(QUERIES))
    expected = (patches @ texts.T).permute(2, 0, 1)
    size = scene.size[0] // patches.shape[0]
    found = torch.from_numpy(maps).unfold(1, size, size).unfold(2, size, size).mean((-2, -1))
    inner = (slice(None), slice(1, -1), slice(1, -1))
    smooth = torch.nn.functional.avg_pool2d(expected[None], 3, stride=1)[0]
    assert (found[inner] - smooth).abs().max() <= (expected[inner] - smooth).abs().max() + 1e-5
    torch.testing.assert_close(found.mean((1, 2)), expected.mean((1, 2)), rtol=0, atol=0.02)


def test_the_two_kinds_differ(loaded: Loaded, scene: Scene) -> None:
    maps = [similarity_maps(loaded, scene, queries=["water"], choices=MapChoices(kind=kind)) for kind in ("plain", "value")]
    assert np.abs(maps[0] - maps[1]).max() > 1e-3


def test_a_long_image_is_covered_whole_and_its_halves_are_those_of_the_parts(loaded: Loaded, scene: Scene) -> None:
    height, width = scene.size
    long = replace(scene, pixels=np.concatenate([scene.pixels, scene.pixels[:, ::-1]], axis=2))
    maps = similarity_maps(loaded, long, queries=QUERIES, choices=MapChoices(batch_size=2))
    assert maps.shape == (2, height, 2 * width) and np.isfinite(maps).all()
    alone = similarity_maps(loaded, scene, queries=QUERIES)
    edge = width // 2
    np.testing.assert_allclose(maps[:, :, :edge], alone[:, :, :edge], atol=1e-5)
    fine = similarity_maps(loaded, scene, queries=QUERIES, choices=MapChoices(window_px=20))
    assert fine.shape == alone.shape and np.isfinite(fine).all() and np.abs(fine - alone).max() > 1e-3


def test_pixels_without_data_have_no_cosine(loaded: Loaded, scene: Scene) -> None:
    pixels = scene.pixels.copy()
    pixels[:, :5] = np.nan
    pixels[0, 10] = np.nan
    maps = similarity_maps(loaded, replace(scene, pixels=pixels), queries=QUERIES)
    assert np.isnan(maps[:, :5]).all() and np.isfinite(maps[:, 5:]).all()


def test_wrong_choices_are_refused(loaded: Loaded, scene: Scene) -> None:
    with pytest.raises(ConfigError, match="choices: plain, value"):
        MapChoices(kind="query")
    with pytest.raises(ConfigError, match="at least 1"):
        MapChoices(window_px=0)
    with pytest.raises(ConfigError, match="at least one"):
        similarity_maps(loaded, scene, queries=[])
    with pytest.raises(DataError, match="larger than the image"):
        similarity_maps(loaded, scene, queries=QUERIES, choices=MapChoices(window_px=scene.size[0] + 1))
    with pytest.raises(DataError, match="B02"):
        similarity_maps(loaded, replace(scene, pixels=scene.pixels[2:3], bands=scene.bands[2:3]), queries=QUERIES)
