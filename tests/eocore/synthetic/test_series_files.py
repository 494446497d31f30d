"""Files of synthetic series: the form of the entries, and images that read as one place."""

import json
from pathlib import Path

import pytest

from eocore.data.dataset import SampleKey
from eocore.data.formats.series import SeriesDataset
from eocore.errors import ConfigError
from eocore.synthetic.series_files import SERIES_FILE, series_of, write_series


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("series")
    written = write_series(root, {"train": 5}, size=48)
    entries = json.loads((root / "train" / SERIES_FILE).read_text())
    assert sum(written["train"].values()) == len(entries)
    return root


def test_entries_are_read_with_their_images(world: Path) -> None:
    data = SeriesDataset(annotations=str(world / "train" / SERIES_FILE), task="chat")
    assert len(data) > 8
    for index in (0, len(data) - 1):
        record, scenes, _ = data.load(SampleKey(0, index))
        assert [scene.time for scene in scenes] == [ref.time for ref in record.images] and {scene.size for scene in scenes} == {(48, 48)}
        assert {scene.role for scene in scenes} == {"multispectral", "sar"}


def test_half_of_the_pairs_have_no_dates(world: Path) -> None:
    entries = json.loads((world / "train" / SERIES_FILE).read_text())
    times = {tuple(image["time"] for image in entry["images"]["sar"]) for entry in entries}
    assert any(len(one) > 2 for one in times) and all(one == ("before", "after") for one in times if "before" in one)


def test_series_do_not_depend_on_how_many_there_are() -> None:
    assert series_of("test", 3, size=48)[0].dates == series_of("test", 3, size=48)[0].dates != series_of("train", 3, size=48)[0].dates


@pytest.mark.parametrize(("split", "size"), [("dev", 96), ("train", 20)])
def test_what_does_not_exist_is_refused(split: str, size: int) -> None:
    with pytest.raises(ConfigError, match=r"splits are train, val, test, sizes 48 px or more"):
        series_of(split, 0, size=size)
