"""Rasters that lie at tie points (GCPs) alone: north is brought up, other locations are told, masks are placed where a grid fits."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint

from eocore.data.io.masks import decode_scene_mask
from eocore.data.io.readers import read_class_map, read_scene
from eocore.data.io.scene_sets import read_scenes
from eocore.data.io.tie_points import TiePoints, fitted_grid
from eocore.data.records import ImageRef, MaskRef
from eocore.errors import DataError
from eocore.predict.answers import Prediction, write_prediction
from eocore.sensors.orientation import Turn, stored_transform

NORTH_UP = Affine(10, 0, 500_000, 0, -10, 5_600_000)
PIXELS = np.arange(1, 25, dtype=np.uint8).reshape(4, 6) * 10
"""With north up."""
SOUTH_UP = Turn(reverse_rows=True)
TURNS = {"ascending": SOUTH_UP, "descending": Turn(reverse_cols=True), "on its side": Turn(True, True, False)}
ON_ONE_LINE = [(0, 0, 5, 5, 0), (1, 1, 6, 6, 0), (2, 2, 7, 7, 0)]
NO_GRID = [(0, 0, 1, 1, 0), (0, 6, 1, 1, 0), (4, 0, 1, 1, 0), (4, 6, 1, 1, 0), (2, 3, 9, 3, 0), (2, 3, 3, 9, 0)]
"""They span areas, and fit none."""
NODES = [(row, col) for row in (0, 2, 4) for col in (0, 3, 6)]


def write(path: Path, transform: Affine, *, pixels: np.ndarray, bend_px: float = 0.0, crs: str = "EPSG:32632") -> ImageRef:
    """An image without a transform, whose tie points lie by `transform`, the one in the middle `bend_px` beside it."""
    points = []
    for row, col in NODES:
        x, y = transform @ (col + bend_px * ((row, col) == (2, 3)), row)
        points.append(GroundControlPoint(row, col, x, y))
    height, width = pixels.shape
    with rasterio.open(path, "w", driver="GTiff", count=1, height=height, width=width, dtype="uint8", gcps=points, crs=crs) as file:
        file.write(pixels[None])
    return ImageRef(path.stem, "grey_uint8", (str(path),))


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS)
@pytest.mark.parametrize("bend_px", [0, 0.8])
def test_north_is_brought_up(turn: Turn, bend_px: float, tmp_path: Path) -> None:
    stored = np.ascontiguousarray(turn.undo(PIXELS))
    ref = write(tmp_path / "a.tif", stored_transform(NORTH_UP, PIXELS.shape, turn=turn), pixels=stored, bend_px=bend_px)
    scene = read_scene(ref)
    assert scene.turn == turn and (scene.pixels[0] == PIXELS).all() and (read_class_map(ref.paths[0]) == PIXELS).all()
    assert scene.gsd_m == pytest.approx(10) and scene.georeference is not None and scene.georeference.is_exact == (bend_px == 0)
    mask = MaskRef("file", {"path": ref.paths[0], "value": 240})
    assert decode_scene_mask(mask, scene, source="x:1")[3, 5], "a mask with tie points is turned once, by its own"


def test_degrees_at_high_latitudes_are_measured_on_the_ground(tmp_path: Path) -> None:
    """A pass at 70 degrees north that runs 10 degrees off the meridian."""
    turned = Affine.rotation(10) @ Affine.scale(1e-4, 1e-4)  # rows run north, as in an ascending pass
    degrees = Affine.translation(20, 70) @ Affine.scale(1 / np.cos(np.deg2rad(70)), 1) @ turned
    ref = write(tmp_path / "a.tif", degrees, pixels=PIXELS, crs="EPSG:4326")
    assert read_scene(ref).turn == SOUTH_UP
    strong = Affine.translation(20, 70) @ Affine.scale(1 / np.cos(np.deg2rad(70)), 1) @ Affine.rotation(15) @ turned
    with pytest.raises(DataError, match="rotated or sheared by 25 degrees"):
        read_scene(write(tmp_path / "b.tif", strong, pixels=PIXELS, crs="EPSG:4326"))


def test_two_places_are_no_pair(tmp_path: Path) -> None:
    here = write(tmp_path / "a.tif", NORTH_UP, pixels=PIXELS, bend_px=0.8)
    also = write(tmp_path / "b.tif", NORTH_UP @ Affine.translation(0.4, 0), pixels=PIXELS)
    there = write(tmp_path / "c.tif", Affine.translation(5_000, 0) @ NORTH_UP, pixels=PIXELS, bend_px=0.8)
    assert len(read_scenes((here, also), root_of=lambda _: None, source="x:1")) == 2
    with pytest.raises(DataError, match="do not cover the same ground"):
        read_scenes((here, there), root_of=lambda _: None, source="x:1")


def test_files_of_one_image_lie_pixel_on_pixel(tmp_path: Path) -> None:
    paths = []
    for band, bend in (("red", 0.8), ("green", 0.7), ("blue", 0.8)):
        paths += write(tmp_path / f"{band}.tif", NORTH_UP, pixels=PIXELS, bend_px=bend).paths
    scene = read_scene(ImageRef("rgb", "rgb_uint8", tuple(paths)))
    assert all((layer == PIXELS).all() for layer in scene.pixels)
    write(tmp_path / "blue.tif", NORTH_UP @ Affine.scale(2), pixels=PIXELS[:2, :3], bend_px=0.8)
    with pytest.raises(DataError, match=r"tie points .* that fit no grid"):
        read_scene(ImageRef("rgb", "rgb_uint8", tuple(paths)))


def test_masks_are_placed_where_a_grid_fits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored = stored_transform(NORTH_UP, PIXELS.shape, turn=SOUTH_UP)
    for name, bend in (("exact", 0.0), ("bent", 0.8)):
        scene = read_scene(write(tmp_path / f"{name}.tif", stored, pixels=np.ascontiguousarray(PIXELS[::-1]), bend_px=bend))
        write_prediction(Prediction("[SEG]", (PIXELS > 190)[None], "rgb", {"rgb": scene}), tmp_path / name)
    with rasterio.open(tmp_path / "exact/mask_01.tif") as file:
        assert file.transform.almost_equals(stored) and (file.read(1)[::-1] > 0).tolist() == (PIXELS > 190).tolist()
    assert not (tmp_path / "bent/mask_01.tif").exists() and (tmp_path / "bent/mask_01.png").exists()
    assert "px off any grid: masks are written as PNG, none as GeoTIFF" in capsys.readouterr().err


@pytest.mark.parametrize(
    "points", [[(0, 0, 1, 1, 0)], ON_ONE_LINE, [(r, c, 0, 0, 0) for r, c in NODES], NO_GRID, [(r, c, r * 1e300, c, 0) for r, c in NODES]]
)
def test_points_that_span_no_area_are_refused(points: list[tuple[float, ...]]) -> None:
    with pytest.raises(DataError, match=r"tie points \(GCPs\) span no area.*gdalwarp.*-nogcp"):
        fitted_grid(TiePoints("", tuple(points)), Path("a.tif"))  # type: ignore[arg-type]


def test_longitudes_run_on_beyond_180_degrees() -> None:
    crs = rasterio.crs.CRS.from_epsg(4326).to_wkt()
    points = tuple((float(row), float(col), (179.97 + 0.01 * col + 180) % 360 - 180, 10 - 0.01 * row, 0.0) for row, col in NODES)
    grid = fitted_grid(TiePoints(crs, points), Path("a.tif"))
    assert grid.misfit_px < 1e-6 and grid.transform.a == pytest.approx(0.01)
