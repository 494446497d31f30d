"""Vectors of files: those of the model, in the order asked for, whatever the batch; what cannot be read is named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eocore.errors import ConfigError, DataError
from ms_clip.upstream.embedding import Reading, embed_files, embed_texts, read_pixels, tell_faults
from ms_clip.upstream.models import Loaded, Tokenize


@pytest.fixture
def loaded(make_task: Callable[..., Any]) -> Loaded:
    task = make_task()
    return Loaded(task.model.eval(), task.processor.pixels, Tokenize(task.processor))


@pytest.fixture(scope="module")
def images(chips: Path) -> list[Path]:
    return sorted((chips / "test" / "multispectral").rglob("*.tif"))


def test_vectors_are_those_of_the_model_in_the_order_of_the_files(loaded: Loaded, images: list[Path]) -> None:
    given = images[4::-1]
    found = list(embed_files(loaded, given, reading=Reading(batch_size=2)))
    assert [path for path, _ in found] == given
    pixels = torch.stack([read_pixels(loaded, path, sensor="sentinel2_l2a") for path in given])
    with torch.no_grad():
        expected = loaded.model.encode_image(pixels).numpy()
    np.testing.assert_allclose(np.stack([vector for _, vector in found]), expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(expected, axis=1), 1, atol=1e-5)


def test_texts_have_length_one_and_empty_ones_are_refused(loaded: Loaded) -> None:
    found = embed_texts(loaded, ["water", "snow", "water"])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert np.allclose(found[0], found[2], atol=1e-5) and not np.allclose(found[0], found[1])
    with pytest.raises(DataError):
        embed_texts(loaded, [" "])


def test_the_first_broken_file_ends_it_unless_it_is_left_out(
    loaded: Loaded, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"broken\.tif"):
        list(embed_files(loaded, [images[0], broken], reading=Reading(sensor="sentinel2_l2a")))
    left = list(embed_files(loaded, [broken, images[0]], reading=Reading(sensor="sentinel2_l2a", skip_broken=True)))
    assert [path for path, _ in left] == images[:1] and "1 of 2 images are left out" in capsys.readouterr().err


def test_layers_may_be_named(loaded: Loaded, images: list[Path]) -> None:
    with pytest.raises(DataError, match=images[0].name):
        read_pixels(loaded, images[0], sensor="sentinel2_l2a", bands=("B02", "B03"))


def test_nothing_left_and_no_batch_are_errors() -> None:
    tell_faults({}, num_images=2)
    with pytest.raises(DataError, match="none of the 1 images can be used: too small"):
        tell_faults({Path("a"): DataError("too small")}, num_images=1)
    with pytest.raises(ConfigError, match="batch size is 0"):
        Reading(batch_size=0)
