"""Questions to an index: by words and by items, more like these and less like those, under filters; what cannot be asked is told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from letters import Letters

from eocore.errors import ConfigError, DataError
from eocore.predict.image_files import ImageFile
from eocore.search.building import build_index
from eocore.search.embedding import EmbedOptions
from eocore.search.filters import Filters, parse_box
from eocore.search.index_folder import Index, open_index
from eocore.search.query import Query, find, write_hits
from eocore.search.sources import captions_of

ROWS = [
    'a.png,farm,2024-05-31,"11,48,12,49"',
    "b.png,farms,2023-05-31,",
    'c.png,road,2024-05-31,"20,48,21,49"',
    "d.png,roads,,",
    "e.png,sea,,",
]


@pytest.fixture
def index(tmp_path: Path, write_captions: Callable[..., Path]) -> Index:
    table = write_captions(ROWS, header="image,caption,time,bbox")
    build_index(tmp_path / "index", captions_of(table), encoder=Letters(), options=EmbedOptions())
    return open_index(tmp_path / "index")


def images(index: Index, **fields: Any) -> list[str]:
    return [index.items["image"][hit.row] for hit in find(index, Query(**fields), encoder=Letters())]


def test_by_words(index: Index) -> None:
    assert images(index, text="farm", k=2) == ["a.png", "b.png"]


def test_by_items_which_are_no_results_themselves(index: Index) -> None:
    assert images(index, like=["c.png#0"], k=1) == ["d.png"]
    assert "c.png" not in images(index, like=["c.png#0"], k=5)


def test_more_like_these_and_less_like_those(index: Index) -> None:
    assert images(index, text="farm road", like=["a.png#0"], k=1) == ["b.png"]
    assert images(index, text="farm road", like=["c.png#0"], unlike=["a.png#0"], k=1) == ["d.png"]
    assert images(index, text="aeo", k=5).index("e.png") < images(index, text="aeo", unlike=["e.png#0"], k=4).index("d.png") + 5


def test_an_unwanted_item_moves_the_query_away(index: Index) -> None:
    plain = {hit.row: hit.score for hit in find(index, Query("sea farm", k=5), encoder=Letters())}
    moved = {hit.row: hit.score for hit in find(index, Query("sea farm", unlike=["b.png#0"], k=4), encoder=Letters())}
    assert moved[0] < plain[0] and moved[4] > plain[4]


def test_filters_keep_the_order_and_may_leave_fewer(index: Index, capsys: pytest.CaptureFixture[str]) -> None:
    assert images(index, text="road", k=3, filters=Filters(since="2024-01-01")) == ["c.png", "a.png"]
    assert "2 of 5 items fit: there are as many results" in capsys.readouterr().err
    assert images(index, text="road", k=1, filters=Filters(area=parse_box("0,0,15,80"))) == ["a.png"]


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"text": "farm", "k": 6}, ConfigError, r"--k 6: the index holds 5 items\. Give a number from 1 to 5"),
        ({"text": "farm", "k": 0}, ConfigError, "--k 0"),
        ({}, ConfigError, "nothing to look for: give --text, --image or --like"),
        ({"unlike": ["a.png#0"]}, ConfigError, "nothing to look for"),
        ({"like": ["a.png#1"]}, DataError, r"no item 'a\.png#1' in the index\. Did you mean 'a\.png#0'\?"),
        ({"text": "farm", "filters": Filters(since="2030-01-01")}, DataError, r"none of 5 items fits the filters"),
        ({"image": {"optical": ImageFile(("x.png",))}}, ConfigError, "an index of captions, which an image cannot be compared with"),
    ],
)
def test_what_cannot_be_asked_is_told(index: Index, fields: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        images(index, **{"k": 1, **fields})


def test_a_query_by_words_needs_the_model(index: Index) -> None:
    with pytest.raises(ConfigError, match="needs the model of the index"):
        find(index, Query("farm", k=1), encoder=None)
    assert len(find(index, Query(like=["a.png#0"], k=1), encoder=None)) == 1


def test_results_are_written_in_three_forms(index: Index, tmp_path: Path) -> None:
    hits = find(index, Query("farm", k=2), encoder=Letters())
    for ending in ("jsonl", "csv", "geojson"):
        write_hits(tmp_path / f"hits.{ending}", index, hits=hits)
    first = json.loads((tmp_path / "hits.jsonl").read_text().splitlines()[0])
    assert first == {
        "rank": 1,
        "score": 1.0,
        "key": "a.png#0",
        "image": "a.png",
        "caption": "farm",
        "time": "2024-05-31",
        "bounds": [11.0, 48.0, 12.0, 49.0],
    }
    assert (
        (tmp_path / "hits.csv")
        .read_text()
        .startswith("rank,score,key,image,caption,time,sensor,cloud_cover,window,footprint\n1,1.0,a.png#0")
    )
    features = json.loads((tmp_path / "hits.geojson").read_text())["features"]
    assert [feature["properties"]["rank"] for feature in features] == [1, 2]
    assert (features[0]["geometry"]["type"], features[1]["geometry"]) == ("Polygon", None)


def test_another_ending_is_refused(index: Index, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected a name that ends in \.jsonl, \.csv, \.geojson"):
        write_hits(tmp_path / "hits.xlsx", index, hits=[])
