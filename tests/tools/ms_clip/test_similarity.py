"""tools/ms_clip/similarity.py as it is called: a figure and a GeoTIFF for each image, nothing replaced."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

Call = Callable[..., int]


@pytest.fixture
def folder(chips: Path) -> Path:
    return chips / "test" / "multispectral" / "water"


def test_each_image_has_a_figure_and_a_geotiff(
    call: Call, band_model: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "queries.txt").write_text("water\nbare ground\n")
    what = ("--images", folder, "--queries-file", tmp_path / "queries.txt", "--save-path", tmp_path / "maps", "--window-px", "24")
    assert call("similarity", "--model-name", band_model, *what) == 0
    chip = next(folder.iterdir())
    with rasterio.open(tmp_path / "maps" / f"{chip.stem}.tif") as file, rasterio.open(chip) as image:
        assert file.descriptions == ("water", "bare ground") and file.transform == image.transform and file.shape == image.shape
        assert np.isfinite(file.read()).all()
    figure = np.asarray(Image.open(tmp_path / "maps" / f"{chip.stem}.png").convert("RGB"))
    assert len(np.unique(figure.reshape(-1, 3), axis=0)) > 100
    assert "1 images, 2 queries: 1 figures and 1 GeoTIFFs" in capsys.readouterr().out


def test_pictures_have_figures_alone(
    call: Call, picture_model: Path, chips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    what = ("--images", chips / "test" / "rgb" / "snow", "--query", "snow", "--attention", "plain", "--save-path", tmp_path / "maps")
    assert call("similarity", "--model-name", picture_model, *what) == 0
    written = capsys.readouterr()
    assert "1 figures and 0 GeoTIFFs" in written.out and "none as GeoTIFF" in written.err


def test_broken_images_are_left_out_where_that_is_asked_for(
    call: Call, band_model: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.tif").write_bytes(b"")
    (tmp_path / "list.txt").write_text(f"empty.tif\n{next(folder.iterdir())}\n")
    what = ("--images", tmp_path / "list.txt", "--query", "water", "--save-path", tmp_path / "maps")
    assert call("similarity", "--model-name", band_model, *what) == 1
    assert "empty.tif" in capsys.readouterr().err
    assert call("similarity", "--model-name", band_model, *what, "--skip-broken") == 0
    written = capsys.readouterr()
    assert "2 images, 1 queries: 1 figures" in written.out and "1 of 2 images are left out" in written.err


def test_maps_never_replace_others(call: Call, band_model: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chip = next(folder.iterdir())
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / chip.name).write_bytes(chip.read_bytes())
    (tmp_path / "both.yaml").write_text(f"images:\n- {chip}\n- other/{chip.name}\n")
    assert (
        call("similarity", "--model-name", band_model, "--images", tmp_path / "both.yaml", "--query", "a", "--save-path", tmp_path / "maps")
        == 1
    )
    assert "two images have one name" in capsys.readouterr().err and not (tmp_path / "maps").exists()
    assert call("similarity", "--model-name", band_model, "--images", chip, "--query", "a", "--save-path", tmp_path / "other") == 1
    assert "is not empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--query or --queries-file: neither is"),
        (["--query", "a", "a"], "a is named twice"),
        (["--query", "a", "--attention", "keys"], "choices: plain, value"),
        (["--query", "a", "--window-px", "0"], "at least 1"),
    ],
)
def test_wrong_calls_are_refused_before_the_model_is_loaded(
    call: Call, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert call("similarity", "--model-name", "nowhere", "--images", folder, "--save-path", tmp_path / "maps", *arguments) == 1
    assert message in capsys.readouterr().err and not (tmp_path / "maps").exists()
