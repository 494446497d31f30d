"""tools/ms_clip/inference.py as it is called: tables printed and saved, and what is refused before a model is loaded."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio

Call = Callable[..., int]


@pytest.fixture
def folder(chips: Path) -> Path:
    return chips / "test" / "multispectral" / "water"


@pytest.fixture
def gallery(chips: Path, tmp_path: Path) -> Path:
    """A list of every test chip."""
    paths = sorted((chips / "test" / "multispectral").rglob("*.tif"))
    (tmp_path / "all.txt").write_text("\n".join(map(str, paths)) + "\n")
    return tmp_path / "all.txt"


def test_classes_of_a_list_are_printed_and_saved(
    call: Call, band_model: Path, gallery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "classes.yaml").write_text("classes: [water, bare ground, 'Wälder']\n", encoding="utf-8")
    what = ("--run-classification", "--classes-file", tmp_path / "classes.yaml", "--save-path", tmp_path / "out" / "classes.v1")
    assert call("inference", "--model-name", band_model, "--images", gallery, *what) == 0
    table = pd.read_csv(tmp_path / "out" / "classes.v1.csv")
    assert list(table.columns) == ["Image", "Class", "water", "bare ground", "Wälder"] and len(table) == 10
    printed = capsys.readouterr().out
    assert all(name in printed for name in table["Image"]) and "Written to" in printed


@pytest.mark.parametrize(("flag", "top_k"), [("--run-retrieval", "50"), ("--run_retrieval", "60")])
def test_more_rows_than_images_are_not_made_up(
    call: Call, band_model: Path, gallery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str, top_k: str
) -> None:
    what = ("--query", "a river", "a harbour", "--top-k", top_k, "--save-path", tmp_path / "found.csv")
    assert call("inference", "--model-name", band_model, "--images", gallery, flag, *what) == 0
    table = pd.read_csv(tmp_path / "found.csv")
    assert table.groupby("Query")["Rank"].apply(list).to_dict() == {query: list(range(1, 11)) for query in ("a river", "a harbour")}
    assert f"top_k is {top_k}, but there are 10 images: each query has 10 rows" in capsys.readouterr().err


def test_images_are_looked_for_by_images(call: Call, band_model: Path, gallery: Path, folder: Path, tmp_path: Path) -> None:
    what = ("--run-retrieval", "--query-images", folder, "--top-k", "3", "--save-path", tmp_path / "found")
    assert call("inference", "--model-name", band_model, "--images", gallery, *what) == 0
    table = pd.read_csv(tmp_path / "found.csv")
    (query,) = set(table["Query"])
    assert query in {path.name for path in folder.iterdir()} and query not in set(table["Image"]) and len(table) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--run-classification", "--run-retrieval", "--class-names", "a"], "both are given"),
        (["--class-names", "a"], "neither is given"),
        (["--run-classification"], "--class-names or --classes-file: neither is"),
        (["--run-classification", "--class-names", "a", "a"], "a is named twice"),
        (["--run-classification", "--class-names", "a", "  "], "an empty text"),
        (["--run-classification", "--classes-file", "empty.txt"], "holds no entry"),
        (["--run-classification", "--class-names", "a", "--templates", "rs5"], "did you mean 'rs5m'"),
        (["--run-classification", "--class-names", "a", "--query-images", "."], "goes with --run-retrieval alone"),
        (["--run-retrieval", "--query", "a", "--query-images", "."], "without --query"),
        (["--run-retrieval", "--query", "a", "--top-k", "0"], "top_k is 0"),
        (["--run-retrieval", "--query", "a", "--batch-size", "0"], "batch size is 0"),
    ],
)
def test_calls_that_do_not_say_one_thing_compute_nothing(
    call: Call,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text("\n")
    assert call("inference", "--model-name", "nowhere", "--images", folder, "--save-path", "out", *arguments) == 1
    assert message in capsys.readouterr().err.replace("Did", "did")
    assert not (tmp_path / "out.csv").exists()


def rewritten(source: Path, target: Path, *, layers: list[int], values: Callable[[np.ndarray], np.ndarray] = lambda pixels: pixels) -> Path:
    """A copy with these layers (from 0), their names kept, and values changed."""
    with rasterio.open(source) as file:
        profile, pixels, names = file.profile, file.read(), file.descriptions
    with rasterio.open(target, "w", **{**profile, "count": len(layers)}) as file:
        file.write(values(pixels[layers]).astype(profile["dtype"]))
        for number, layer in enumerate(layers, start=1):
            file.set_band_description(number, names[layer])
    return target


def test_a_missing_band_is_named_and_nothing_is_saved(
    call: Call, band_model: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chip = rewritten(next(folder.iterdir()), tmp_path / "few.tif", layers=[1, 2, 3, 4])
    what = ("--run-classification", "--class-names", "water", "town", "--save-path", tmp_path / "out")
    assert call("inference", "--model-name", band_model, "--images", chip, *what) == 1
    assert "few.tif: 4 layers" in capsys.readouterr().err
    assert call("inference", "--model-name", band_model, "--images", chip, *what, "--sensor", "sentinel2_l2a") == 1
    assert "multispectral:B06" in capsys.readouterr().err and not (tmp_path / "out.csv").exists()


def test_ten_layers_without_names_are_read_as_they_are_called(
    call: Call, band_model: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bands of the released model alone, as its users have them."""
    chip, kept = next(folder.iterdir()), [1, 2, 3, 4, 5, 6, 7, 8, 10, 11]
    with rasterio.open(chip) as file:
        pixels, profile = file.read(), file.profile
    with rasterio.open(tmp_path / "ten.tif", "w", **{**profile, "count": 10}) as file:
        file.write(pixels[kept])
    what = ("--run-classification", "--class-names", "water", "town", "--save-path")
    assert call("inference", "--model-name", band_model, "--images", tmp_path / "ten.tif", *what, tmp_path / "none") == 1
    assert "--sensor optical=NAME" in capsys.readouterr().err
    bands = ("--sensor", "optical=sentinel2_l2a", "--bands", "optical=B02,B03,B04,B05,B06,B07,B08,B8A,B11,B12")
    assert call("inference", "--model-name", band_model, "--images", tmp_path / "ten.tif", *what, tmp_path / "ten", *bands) == 0
    assert call("inference", "--model-name", band_model, "--images", chip, *what, tmp_path / "all") == 0
    found, expected = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("ten", "all"))
    assert found.iloc[0, 1:].tolist() == expected.iloc[0, 1:].tolist()
    maps = ("--query", "water", "--save-path", tmp_path / "maps")
    assert call("similarity", "--model-name", band_model, "--images", tmp_path / "ten.tif", *maps, *bands) == 0


def test_another_order_of_bands_changes_no_answer(call: Call, band_model: Path, folder: Path, tmp_path: Path) -> None:
    chip = next(folder.iterdir())
    rewritten(chip, tmp_path / "turned.tif", layers=list(range(11, -1, -1)))
    (tmp_path / "both.txt").write_text(f"{chip}\nturned.tif\n")
    what = ("--run-classification", "--class-names", "water", "town", "--save-path", tmp_path / "out")
    assert call("inference", "--model-name", band_model, "--images", tmp_path / "both.txt", *what) == 0
    table = pd.read_csv(tmp_path / "out.csv")
    assert table["water"].nunique() == 1


def test_an_offset_that_does_not_fit_is_told(
    call: Call, band_model: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Numbers without the offset of 1000, said to hold it: reflectance below zero."""
    chip = rewritten(next(folder.iterdir()), tmp_path / "dark.tif", layers=list(range(12)), values=lambda pixels: pixels // 20 + 1)
    what = ("--run-classification", "--class-names", "water", "town", "--save-path", tmp_path / "out", "--sensor", "sentinel2_l2a_pb0400")
    assert call("inference", "--model-name", band_model, "--images", chip, *what) == 1
    told = capsys.readouterr().err
    assert "dark.tif" in told and "offset" in told and not (tmp_path / "out.csv").exists()
