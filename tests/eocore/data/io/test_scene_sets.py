"""The images of a sample show one location, or are refused, wherever they are read."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from eocore.data.io.scene_sets import read_scenes
from eocore.data.records import ImageRef
from eocore.errors import AlignmentError, DataError


def sar(path: Path, *, epsg: int = 32632, west: float = 500_000.0, gsd_m: float = 10.0) -> str:
    """A radar image of 160 m edge."""
    side = int(160 / gsd_m)
    place = {"crs": f"EPSG:{epsg}", "transform": from_origin(west, 5_600_000, gsd_m, gsd_m)}
    with rasterio.open(path, "w", driver="GTiff", count=2, height=side, width=side, dtype="float32", **place) as file:
        file.write(np.full((2, side, side), -12, np.float32))
    return str(path)


def series(*paths: str, window: tuple[int, int, int, int] | None = None) -> tuple[ImageRef, ...]:
    days = enumerate(paths, start=1)
    return tuple(ImageRef("sar", "sentinel1_rtc", (path,), time=f"2024-05-{day:02d}", window=window) for day, path in days)


def test_a_series_of_one_location_is_read_in_order(tmp_path: Path) -> None:
    refs = series(sar(tmp_path / "a.tif"), sar(tmp_path / "b.tif", gsd_m=20.0))
    scenes = read_scenes(refs, root_of=lambda _: tmp_path, source="x.json#1")
    assert [(scene.time, scene.size) for scene in scenes] == [("2024-05-01", (16, 16)), ("2024-05-02", (8, 8))]


@pytest.mark.parametrize(("place", "message"), [({"epsg": 32718}, "EPSG:32632, EPSG:32718"), ({"west": 500_160.0}, "do not cover")])
def test_a_series_of_two_locations_is_refused(tmp_path: Path, place: dict[str, float], message: str) -> None:
    near, far = sar(tmp_path / "a.tif"), sar(tmp_path / "c.tif", **place)  # type: ignore[arg-type]
    picture = tmp_path / "b.npy"
    np.save(picture, np.full((2, 16, 16), -12, np.float32))
    with pytest.raises(DataError, match=rf"a\.tif and .*c\.tif .*{message}"):
        read_scenes(series(near, str(picture), far), root_of=lambda _: None, source="x.json#1")


def test_a_window_needs_pixels_of_one_size(tmp_path: Path) -> None:
    refs = series(sar(tmp_path / "a.tif"), sar(tmp_path / "b.tif", gsd_m=20.0), window=(0, 0, 4, 4))
    with pytest.raises(AlignmentError, match=r"x\.json#1: a window counts pixels, but .*2024-05-01 10 m, sar 2024-05-02 20 m"):
        read_scenes(refs, root_of=lambda _: None, source="x.json#1")
