"""Classification and retrieval over files: the tables, and what is refused before anything is computed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image

from eocore.errors import ConfigError, DataError
from eocore.predict.image_files import ImageFile, read_images
from eocore.sensors.bands import get_sensor
from ms_clip.upstream.embedding import Reading, embed_files
from ms_clip.upstream.inference import classify_images, retrieve_images, retrieve_similar_images
from ms_clip.upstream.models import Loaded, Tokenize


@pytest.fixture
def loaded(make_task: Callable[..., Any]) -> Loaded:
    task = make_task()
    return Loaded(task.model.eval(), task.processor.pixels, Tokenize(task.processor))


@pytest.fixture(scope="module")
def images(chips: Path) -> list[Path]:
    return sorted((chips / "test" / "multispectral").rglob("*.tif"))


def test_a_row_an_image_with_chances_that_add_up(loaded: Loaded, images: list[Path]) -> None:
    table = classify_images(loaded, images, class_names=["water", "bare ground"], templates="clip", reading=Reading(batch_size=3))
    assert list(table.columns) == ["Image", "Class", "water", "bare ground"] and len(table) == len(images)
    chances = table[["water", "bare ground"]].to_numpy()
    np.testing.assert_allclose(chances.sum(1), 1, atol=2e-3)
    assert [("water", "bare ground")[row.argmax()] for row in chances] == table["Class"].tolist()


def test_batches_change_nothing(loaded: Loaded, images: list[Path]) -> None:
    tables = [retrieve_images(loaded, images, queries=["water"], top_k=4, reading=Reading(batch_size=size)) for size in (1, 4, 64)]
    assert all(table["Image"].tolist() == tables[0]["Image"].tolist() for table in tables)


def test_retrieval_is_ranked_by_the_cosine_and_has_no_more_rows_than_images(
    loaded: Loaded, images: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    table = retrieve_images(loaded, images[:3], queries=["snow", "water"], top_k=5)
    assert table.index.tolist() == [(query, rank) for query in ("snow", "water") for rank in (1, 2, 3)]
    assert (table.loc["snow"]["Similarity"].diff().dropna() <= 0).all()
    assert "there are 3 images: each query has 3 rows" in capsys.readouterr().err


def test_a_text_that_does_not_fit_is_told_before_images_are_read(loaded: Loaded, tmp_path: Path) -> None:
    (tmp_path / "broken.tif").write_bytes(b"")
    with pytest.raises(DataError, match="the model reads at most 32"):
        retrieve_images(loaded, tmp_path, queries=["many words " * 30])


def test_images_are_found_by_images_and_none_is_its_own_answer(loaded: Loaded, images: list[Path]) -> None:
    table = retrieve_similar_images(loaded, images[:6], query_images=[images[0], images[7]], top_k=6)
    names = [path.name for path in images]
    assert table.index.tolist() == [(names[0], rank) for rank in range(1, 6)] + [(names[7], rank) for rank in range(1, 7)]
    assert sorted(table.loc[names[0]]["Image"]) == sorted(names[1:6]) and sorted(table.loc[names[7]]["Image"]) == sorted(names[:6])
    vectors = torch.stack([loaded.preprocess(read_images({"optical": ImageFile((str(path),), sensor="sentinel2_l2a")})) for path in images])
    with torch.no_grad():
        cosines = loaded.model.encode_image(vectors) @ loaded.model.encode_image(vectors[7:8])[0]
    expected = [names[number] for number in cosines[:6].argsort(descending=True)]
    assert table.loc[names[7]]["Image"].tolist() == expected


def test_a_copy_of_an_image_is_the_nearest_to_it(loaded: Loaded, images: list[Path], tmp_path: Path) -> None:
    copy = tmp_path / images[3].name
    copy.write_bytes(images[3].read_bytes())
    table = retrieve_similar_images(loaded, images, query_images=tmp_path, top_k=1)
    assert table["Image"].tolist() == [images[3].name] and table["Similarity"].iloc[0] == pytest.approx(1, abs=1e-5)


def test_queries_that_find_nothing_or_twice_the_same_are_refused(loaded: Loaded, images: list[Path]) -> None:
    with pytest.raises(DataError, match="the only image"):
        retrieve_similar_images(loaded, images[:1], query_images=images[:1])
    with pytest.raises(DataError, match="more than once"):
        retrieve_similar_images(loaded, images, query_images=[images[0], images[0]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda loaded, images: retrieve_images(loaded, images, queries=[]), "at least one"),
        (lambda loaded, images: retrieve_images(loaded, images, queries=["a"], top_k=0), "top_k is 0"),
        (lambda loaded, images: classify_images(loaded, images, class_names=["a"], templates="rs5"), "did you mean 'rs5m'"),
        (lambda loaded, images: Reading(batch_size=0), "batch size is 0"),
    ],
)
def test_wrong_requests_are_refused(loaded: Loaded, images: list[Path], call: Callable[..., Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"(?i){message}"):
        call(loaded, images)


def test_an_image_without_the_bands_is_named(loaded: Loaded, chips: Path) -> None:
    picture = next((chips / "test" / "rgb").rglob("*.png"))
    with pytest.raises(DataError, match=picture.name):
        classify_images(loaded, [picture], class_names=["water"])


def test_the_order_of_bands_changes_no_answer(loaded: Loaded, shared_dir: Path, tmp_path: Path) -> None:
    """Of a real tile of 13 bands: as it is, and in EuroSAT's order, where B8A is last and only the names of the layers tell it."""
    tile = sorted((shared_dir / "tiles" / "S2L1C").glob("*.tif"))[0]
    with rasterio.open(tile) as file:
        profile, layers = file.profile, file.read()
    names = [band.name for band in get_sensor("sentinel2_l1c").bands]
    order = [number for number, name in enumerate(names) if name != "B8A"] + [names.index("B8A")]
    with rasterio.open(tmp_path / tile.name, "w", **profile) as file:
        file.write(layers[order])
        for number, layer in enumerate(order, start=1):
            file.set_band_description(number, names[layer])
    reading = Reading(sensor="sentinel2_l1c")
    tables = [
        classify_images(loaded, [path], class_names=["water", "snow"], templates="clip", reading=reading)
        for path in (tile, tmp_path / tile.name)
    ]
    assert tables[0].equals(tables[1])
    found = dict(embed_files(loaded, [tile, tmp_path / tile.name], reading=reading))
    np.testing.assert_array_equal(found[tile], found[tmp_path / tile.name])


def test_broken_images_are_left_out_where_that_is_asked_for(
    loaded: Loaded, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.tif").write_bytes(b"")
    picture = tmp_path / "grey.png"
    Image.new("L", (48, 48)).save(picture)
    given = [images[0], tmp_path / "empty.tif", images[1], picture]
    for batch_size in (1, 3):
        table = classify_images(loaded, given, class_names=["water"], reading=Reading(batch_size=batch_size, skip_broken=True))
        assert table["Image"].tolist() == [images[0].name, images[1].name]
    table = retrieve_images(loaded, given, queries=["water"], reading=Reading(skip_broken=True))
    assert sorted(table["Image"]) == sorted(path.name for path in images[:2])
    told = capsys.readouterr().err
    assert "2 of 4 images are left out" in told and "empty.tif" in told and "grey.png" in told
    with pytest.raises(DataError, match="none of the 1 images can be used"):
        classify_images(loaded, [picture], class_names=["water"], reading=Reading(skip_broken=True))


def test_images_of_one_name_are_told_by_their_paths(loaded: Loaded, images: list[Path], tmp_path: Path) -> None:
    copy = tmp_path / images[0].name
    copy.write_bytes(images[0].read_bytes())
    table = classify_images(loaded, [images[0], copy, images[1]], class_names=["water"], templates="clip")
    assert table["Image"].tolist() == [str(images[0]), str(copy), images[1].name]
