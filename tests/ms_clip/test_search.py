"""An index of images by a converted model: built by workers and in one process, asked by words, by images and by items."""

from collections.abc import Callable
from pathlib import Path

import pytest

from eocore.commands.search_index import COMMAND
from eocore.search.index_folder import open_index
from eocore.synthetic.product_folders import MadeSentinel2, write_sentinel2

pytest.importorskip("faiss", reason="faiss-cpu is not installed (extra: search)")
SENSOR = ["--sensor", "optical=sentinel2_l2a"]


@pytest.fixture(scope="module")
def images(chips: Path) -> Path:
    return chips / "test" / "multispectral"


@pytest.fixture(scope="module")
def index(images: Path, band_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search") / "index"
    assert COMMAND(["build", str(folder), "--model", str(band_model), "--inputs", str(images), *SENSOR, "--batch-size", "4"]) == 0
    return folder


@pytest.fixture
def ask(index: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[list[str]]]:
    """Asks the index; returns the words of each line of the answer."""

    def run(*words: str | Path, status: int = 0) -> list[list[str]]:
        capsys.readouterr()
        assert COMMAND(["query", str(index), *map(str, words)]) == status
        found = capsys.readouterr()
        return [line.split() for line in (found.out if status == 0 else found.err).splitlines()]

    return run


def test_every_image_is_in_it_with_its_sensor(index: Path, images: Path) -> None:
    found = open_index(index, verify=True)
    assert sorted(found.items["image"]) == sorted(str(path) for path in images.rglob("*.tif"))
    assert set(found.items["sensor"]) == {"sentinel2_l2a"}


def test_an_image_finds_itself(ask: Callable[..., list[list[str]]], images: Path) -> None:
    path = sorted(images.rglob("*.tif"))[3]
    (line, *_) = ask("--optical", path, "--sensor", "optical=sentinel2_l2a", "--k", "2")
    assert path.as_posix().endswith(f"{line[2]}.tif") and float(line[1]) == pytest.approx(1.0, abs=1e-4)


def test_words_and_items_find_images(ask: Callable[..., list[list[str]]]) -> None:
    (first, *_) = ask("--text", "water", "--k", "3")
    likened = ask("--like", first[2], "--k", "3")
    assert len(likened) == 3 and first[2] not in [line[2] for line in likened]


def test_worker_processes_make_the_same_index(index: Path, images: Path, band_model: Path, tmp_path: Path) -> None:
    words = ["build", tmp_path / "index", "--model", band_model, "--inputs", images, *SENSOR, "--batch-size", "4", "--workers", "1"]
    assert COMMAND(list(map(str, words))) == 0
    alone, workers = open_index(index), open_index(tmp_path / "index", verify=True)
    assert workers.items.equals(alone.items)
    assert abs(workers.searcher.vectors - alone.searcher.vectors).max() < 1e-5


def test_a_product_tells_its_date_and_its_clouds_unless_the_table_does(band_model: Path, tmp_path: Path) -> None:
    product = write_sentinel2(tmp_path, MadeSentinel2(cloud_cover=40.25))
    (tmp_path / "table.csv").write_text(f"id,image,date,cloud_cover\nstated,{product},2020-01-02,0\n")
    for name, source in (("plain", product), ("told", tmp_path / "table.csv")):
        assert COMMAND(["build", str(tmp_path / name), "--model", str(band_model), "--inputs", str(source)]) == 0
    plain, told = (open_index(tmp_path / name).items.iloc[0] for name in ("plain", "told"))
    assert (plain["time"], plain["cloud_cover"]) == ("2023-06-13T10:10:31", 40.25)
    assert (told["time"], told["cloud_cover"]) == ("2020-01-02", 0)


def test_a_model_of_other_weights_is_refused(ask: Callable[..., list[list[str]]], picture_model: Path) -> None:
    words = ask("--text", "water", "--k", "1", "--model", picture_model, status=1)
    assert "vectors of different models cannot be compared" in " ".join(words[0])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--text", "  "], "--text is empty: a query needs a word"),
        (["--text", "?!"], "the query: '?!' has no word in it"),
        (["--text", "water", "--k", "1000"], "--k 1000: the index holds 10 items"),
        (["--text", "water", "--max-cloud", "10", "--k", "1"], "no item of this index has a known cloud cover"),
        (["--text", "water", "--of-sensor", "sentinel2", "--k", "1"], "no item is of sensor 'sentinel2'. Did you mean 'sentinel2_l2a'?"),
        (["--text", "water", "--out", "x.xlsx", "--k", "1"], "--out x.xlsx: expected a name that ends in"),
        (["--k", "1"], "nothing to look for"),
    ],
)
def test_what_cannot_be_asked_is_told(ask: Callable[..., list[list[str]]], words: list[str], message: str) -> None:
    assert message in " ".join(ask(*words, status=1)[-1])


def test_images_that_cannot_be_read_are_told_and_left_out(
    images: Path, band_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "table.csv"
    (tmp_path / "broken.tif").write_bytes(b"no image")
    paths = [*sorted(images.rglob("*.tif"))[:2], tmp_path / "broken.tif"]
    rows = [f'{name},{path},2024-05-0{name},"11,48,12,49"' for name, path in enumerate(paths, start=1)]
    table.write_text("\n".join(["id,image,date,bbox", *rows]) + "\n")
    words = ["build", str(tmp_path / "index"), "--model", str(band_model), "--inputs", str(table), *SENSOR]
    assert COMMAND(words) == 1
    assert "1 items are not in it (3: " in capsys.readouterr().out
    assert (
        COMMAND(["query", str(tmp_path / "index"), "--text", "water", "--k", "1", "--box", "11,48,11.5,48.5", "--since", "2024-05-02"]) == 0
    )
    assert capsys.readouterr().out.split()[2] == "2"
    assert COMMAND(["show", str(tmp_path / "index")]) == 0
    assert "2 with a footprint, within 11.0000, 48.0000, 12.0000, 49.0000" in capsys.readouterr().out
