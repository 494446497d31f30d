"""Indexes of a server: asked by words, images and items, through the served model whose vectors they hold."""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import shapely

from eocore.errors import ConfigError, DataError
from eocore.predict.image_files import ImageFile
from eocore.search.building import write_new
from eocore.search.documents import Document, as_table
from eocore.search.filters import Filters, parse_box
from eocore.search.index_folder import IMAGES, Space
from eocore.serve.indexes import Found, Indexes, Wanted, files_of_item
from eocore.serve.options import ServeOptions, WorkerOptions
from eocore.serve.service import Service
from eocore.serve.views.footprint_maps import density

CHATEARTHNET = 163_488
"""Tiles of the data set of that name."""


@pytest.fixture(scope="module")
def service(run: Any, vectors_model: Path, world_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made_up = made_up_index(tmp_path_factory.mktemp("other") / "other", 40)
    options = ServeOptions(
        models=(vectors_model,),
        indexes=(world_index, made_up),
        uploads=tmp_path_factory.mktemp("uploads") / "of_sessions",
        workers=WorkerOptions(threads=1),
    )
    made = Service(options)
    run(made.start())
    yield made
    run(made.close())


@pytest.fixture(scope="module")
def indexes(service: Service) -> Indexes:
    return Indexes(service)


def made_up_index(folder: Path, count: int, *, width: int = 16, kind: str = "flat") -> Path:
    """An index of vectors around centres, by a model that is nowhere, on a grid of places."""
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(max(count // 200, 1), width))
    vectors = centres[np.arange(count) % len(centres)] + 0.5 * draw.normal(size=(count, width))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    places = np.stack([np.arange(count) % 600 * 0.5 - 150, np.arange(count) // 600 * 0.4 - 60], axis=1)
    days = pandas.date_range("2019-01-01", periods=700).strftime("%Y-%m-%d")
    documents = []
    for row, (x, y) in enumerate(places):
        place = shapely.box(x, y, x + 0.1, y + 0.1)
        documents.append(Document(f"tile-{row:06d}", time=days[row % 700], sensor="sentinel2_l2a", cloud_cover=row % 100, footprint=place))
    write_new(folder, Space(IMAGES, "nowhere", "0" * 64), vectors=vectors, table=as_table(documents), kind=kind)
    return folder


def keys(run: Any, indexes: Indexes, found: Found, name: str = "world") -> list[str]:
    served = run(indexes.get(name))
    return [served.index.items["key"].iloc[hit.row] for hit in found.hits]


def test_words_images_and_items_find_what_the_index_finds(run: Any, indexes: Indexes, service: Service) -> None:
    found = run(indexes.find("world", Wanted(text="water", k=5)))
    assert (len(found.hits), found.num_items, found.hits[0].rank) == (5, 30, 1)
    served = run(indexes.get("world"))
    row = 7
    image = files_of_item(served.index, row)
    assert list(image) == ["rgb"]
    found = run(indexes.find("world", Wanted(images=image, k=2)))
    assert found.hits[0].row == row and found.hits[0].score == pytest.approx(1, abs=1e-4)
    liked = run(indexes.find("world", Wanted(like=["north-07"], unlike=["north-08"], k=30)))
    assert len(liked.hits) == 28 and not {"north-07", "north-08"} & set(keys(run, indexes, liked))


def test_filters_alone_list_items_in_order(run: Any, indexes: Indexes) -> None:
    found = run(indexes.find("world", Wanted(filters=Filters(area=parse_box("11.9,41.9,12.5,42.5"), max_cloud=20), k=100)))
    assert keys(run, indexes, found) == ["south-00", "south-01", "south-02"] and all(math.isnan(hit.score) for hit in found.hits)


def test_an_index_whose_model_is_not_served_is_asked_by_its_items(run: Any, indexes: Indexes) -> None:
    assert len(run(indexes.find("other", Wanted(like=["tile-000000"], k=3))).hits) == 3
    with pytest.raises(ConfigError, match="the model 'nowhere' of this index is not served: look for more like its items"):
        run(indexes.find("other", Wanted(text="water")))


@pytest.mark.parametrize(
    ("name", "wanted", "error", "message"),
    [
        ("none", Wanted(text="water"), ConfigError, r"no index 'none' is served here\. Served: world, other"),
        ("world", Wanted(), ConfigError, "nothing to look for: type words"),
        ("world", Wanted(text="?!"), DataError, "has no word in it"),
        ("world", Wanted(like=["north-99"]), DataError, r"no item 'north-99' in the index"),
        ("world", Wanted(filters=Filters(since="2031-01-01")), DataError, "none of 30 items fits the filters"),
    ],
)
def test_what_cannot_be_asked_is_told(run: Any, indexes: Indexes, name: str, wanted: Wanted, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        run(indexes.find(name, wanted))


def test_files_of_items_by_their_sensors(run: Any, indexes: Indexes) -> None:
    index = run(indexes.get("other")).index
    with pytest.raises(DataError, match=r"'tile-000000' has no image in this index"):
        files_of_item(index, 0)
    index.items.loc[1, ["image", "sensor", "window"]] = ["/a.tif; /b.tif", "sentinel2_l2a+sentinel1_grd", "1,2,3,4"]
    found = files_of_item(index, 1)
    assert found == {
        "multispectral": ImageFile(("/a.tif",), "sentinel2_l2a", window=(1, 2, 3, 4)),
        "sar": ImageFile(("/b.tif",), "sentinel1_grd", window=(1, 2, 3, 4)),
    }
    index.items.loc[1, "image"] = "/a.tif; /b.tif; /c.tif"
    with pytest.raises(DataError, match="has 3 files of 2 sensors, and does not say which is of which"):
        files_of_item(index, 1)


@pytest.mark.slow
def test_as_many_items_as_chatearthnet_has_stay_quick(tmp_path: Path, run: Any) -> None:
    """In processor time, which other work on the machine does not change; the exact kind of index is the slowest of all."""
    folder = made_up_index(tmp_path / "large", CHATEARTHNET, width=384, kind="flat")
    indexes = Indexes(Service(ServeOptions(indexes=(folder,), uploads=tmp_path / "uploads")))
    began = time.process_time()
    served = run(indexes.get("large"))
    picture = density(served.index.items.geometry.to_numpy())
    assert time.process_time() - began < 20 and picture is not None and len(picture.png) < 300_000
    filters = Filters(area=parse_box("0,0,60,40"), max_cloud=50, since="2019-06-01")
    for wanted in (Wanted(like=["tile-000005"], k=96), Wanted(like=["tile-000005"], filters=filters)):
        run(indexes.find("large", wanted))  # what is found out once, such as the tree of the footprints
        began = time.process_time()
        run(indexes.find("large", wanted))
        assert time.process_time() - began < 1.5
