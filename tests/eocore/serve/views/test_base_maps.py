import io
import math
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import Affine, from_origin
from rasterio.warp import transform, transform_bounds

from eocore.errors import ConfigError, DataError
from eocore.serve.views.base_maps import BaseTiles, open_base_map

WEST, SOUTH, EAST, NORTH = 11.0, 47.0, 12.0, 48.0
LEVELS = (0, 1, 2, 5, 9)


def colour_at(longitude: np.ndarray, latitude: np.ndarray) -> np.ndarray:
    """(3, ...) of a picture that says where it is: red by longitude, green by latitude, blue the same everywhere."""
    red, green = (longitude - WEST) / (EAST - WEST), (latitude - SOUTH) / (NORTH - SOUTH)
    return np.stack([40 + 160 * red, 40 + 160 * green, np.full_like(red, 90)])


def write_raster(path: Path, crs: str, *, side: int = 600) -> Path:
    left, bottom, right, top = transform_bounds("EPSG:4326", crs, WEST, SOUTH, EAST, NORTH)
    grid = Affine((right - left) / side, 0, left, 0, -(top - bottom) / side, top)
    columns, rows = np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5)
    xs, ys = grid.a * columns + grid.c, grid.e * rows + grid.f
    lon, lat = (np.array(values).reshape(side, side) for values in transform(crs, "EPSG:4326", xs.ravel(), ys.ravel()))
    profile = {"driver": "GTiff", "count": 3, "height": side, "width": side, "dtype": "uint8", "crs": crs, "transform": grid}
    with rasterio.open(path, "w", **profile) as target:
        target.write(np.rint(colour_at(lon, lat)).clip(0, 255).astype(np.uint8))
    return path


def write_tiles(folder: Path, levels: tuple[int, ...], *, side: int = 256) -> Path:
    """XYZ tiles of the world or of what lies around the square, each pixel of the colour of its middle."""
    for level in levels:
        count = 2**level
        span = range(count) if level < 5 else range(math.floor((WEST + 180) / 360 * count), math.floor((EAST + 180) / 360 * count) + 1)
        for x in span:
            for y in range(count):
                rows = (y + (np.arange(side) + 0.5) / side) / count
                lat = np.degrees(np.arctan(np.sinh(math.pi * (1 - 2 * rows))))
                if level >= 5 and not (lat.min() < NORTH and lat.max() > SOUTH):
                    continue
                lon = (x + (np.arange(side) + 0.5) / side) / count * 360 - 180
                picture = np.rint(colour_at(*np.meshgrid(lon, lat))).clip(0, 255).astype(np.uint8)
                path = folder / str(level) / str(x) / f"{y}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture.transpose(1, 2, 0)).save(path)
    return folder


def drawn(tiles: BaseTiles, level: int, longitude: float, latitude: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The tile at a place: (3, h, w) colours, opacity, and longitude and latitude of its pixels."""
    degrees = 180 / 2**level
    column, row = math.floor((longitude + 180) / degrees), math.floor((90 - latitude) / degrees)
    rgba = np.asarray(Image.open(io.BytesIO(tiles.tile(level, column, row=row)))).transpose(2, 0, 1).astype(float)
    steps = (np.arange(256) + 0.5) / 256 * degrees
    return rgba[:3], rgba[3] > 0, *np.meshgrid(column * degrees - 180 + steps, 90 - row * degrees - steps)


@pytest.mark.parametrize("crs", ["EPSG:32632", "EPSG:4326", "EPSG:3857", "EPSG:3035"])
@pytest.mark.parametrize("level", LEVELS)
def test_a_raster_of_any_crs_lies_where_it_is(tmp_path: Path, crs: str, level: int) -> None:
    tiles = BaseTiles(open_base_map(write_raster(tmp_path / "a.tif", crs)))
    colours, opaque, lon, lat = drawn(tiles, level, 11.5, 47.5)
    pixel = 180 / 2**level / 256
    inside = (lon > WEST + pixel) & (lon < EAST - pixel) & (lat > SOUTH + pixel) & (lat < NORTH - pixel)
    assert opaque[inside].all() and (inside.any() or level < 2)
    away = (lon < WEST - 0.1 - pixel) | (lon > EAST + 0.1 + pixel) | (lat < SOUTH - 0.1 - pixel) | (lat > NORTH + 0.1 + pixel)
    assert not opaque[away].any()
    tolerance = 160 * pixel + 2
    assert inside.sum() == 0 or np.abs(colours - colour_at(lon, lat))[:, inside].max() < tolerance


@pytest.mark.parametrize(
    ("crs", "grid", "latitudes"),
    [
        ("EPSG:4326", Affine(0.9, 0, -180, 0, -0.45, 90), (-90, 90)),
        ("EPSG:4326", Affine(0.9, 0, 0, 0, -0.45, 90), (-90, 90)),
        ("EPSG:4326", Affine(0.9001, 0, -180.01, 0, -0.45, 90), (-90, 90)),
        ("EPSG:3857", Affine(100_188, 0, -20_037_508, 0, -100_188, 20_037_508), (-85, 85)),
    ],
    ids=["from 180 west", "from Greenwich", "a little wider than the world", "Mercator, a little wider than the world"],
)
def test_a_raster_of_the_world_covers_it(tmp_path: Path, crs: str, grid: Affine, latitudes: tuple[int, int]) -> None:
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", count=1, height=400, width=400, dtype="uint8", crs=crs, transform=grid
    ) as target:
        target.write(np.full((1, 400, 400), 90, np.uint8))
    tiles = BaseTiles(open_base_map(tmp_path / "a.tif"))
    for level in (0, 1, 3):
        for column in range(2 ** (level + 1)):
            _, opaque, lon, lat = drawn(tiles, level, -180 + (column + 0.5) * 180 / 2**level, 10.0)
            within = (lat > latitudes[0]) & (lat < latitudes[1]) & (np.abs(lon) < 179)
            assert opaque[within].all(), (level, column)


@pytest.mark.parametrize("side", [256, 512])
def test_tiles_in_mercator_lie_where_they_are(tmp_path: Path, side: int) -> None:
    tiles = BaseTiles(open_base_map(write_tiles(tmp_path, (0, 1, 6, 8), side=side)))
    for level in (7, 9):  # as fine as the tiles, and finer
        colours, opaque, lon, lat = drawn(tiles, level, 11.5, 47.5)
        inside = (lon > WEST) & (lon < EAST) & (lat > SOUTH) & (lat < NORTH)
        assert inside.sum() > 1000 and opaque[inside].all()
        assert np.abs(colours - colour_at(lon, lat))[:, inside].max() < 160 * 360 / 2**8 / 256 + 2
    assert drawn(tiles, 0, -90, 45)[1].mean() > 0.9  # all but the poles
    assert drawn(tiles, 6, 11.5, 80)[1].all()  # of level 1, as there are no finer ones


def test_holes_are_clear_and_broken_tiles_are_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiles = BaseTiles(open_base_map(write_tiles(tmp_path, (6,))))
    assert not drawn(tiles, 5, -60, 10)[1].any()
    for path in tmp_path.glob("6/*/*.png"):
        path.write_bytes(path.read_bytes()[:200])
    for _ in range(2):
        with pytest.raises(DataError, match=r"6/\d+/\d+\.png: a tile of the base map cannot be read"):
            drawn(tiles, 5, 11.5, 47.5)
    assert capsys.readouterr().err.count("base map: 6/") == 1  # told once
    for path in tmp_path.glob("6/*/*.png"):
        Image.new("RGB", (8, 8)).save(path)
    with pytest.raises(DataError, match="a tile of 8 x 8 px; expected 256 or 512"):
        drawn(tiles, 5, 11.5, 47.5)


@pytest.mark.parametrize("address", [(-1, 0, 0), (0, 2, 0), (0, 0, 1), (3, 0, -1), (23, 0, 0)])
def test_addresses_outside_of_the_world_are_refused(tmp_path: Path, address: tuple[int, int, int]) -> None:
    tiles = BaseTiles(open_base_map(write_raster(tmp_path / "a.tif", "EPSG:4326", side=8)))
    with pytest.raises(ConfigError, match="the base map has no tile"):
        tiles.tile(*address[:2], row=address[2])


def test_what_is_no_base_map_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--basemap .*none: there is no such folder or file"):
        open_base_map(tmp_path / "none")
    (tmp_path / "3" / "4").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"no tiles in it\. Expected a folder of XYZ tiles, Z/X/Y\.png"):
        open_base_map(tmp_path)
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(ConfigError, match=r"--basemap .*a\.txt: .*Expected a GeoTIFF of 1 or 3 layers of bytes"):
        open_base_map(tmp_path / "a.txt")
    with rasterio.open(tmp_path / "b.tif", "w", driver="GTiff", count=3, height=8, width=8, dtype="uint8") as target:
        target.write(np.zeros((3, 8, 8), np.uint8))
    with pytest.raises(ConfigError, match=r"b\.tif: does not say where its pixels lie"):
        open_base_map(tmp_path / "b.tif")
    place = {"crs": "EPSG:4326", "transform": from_origin(0, 1, 0.1, 0.1)}
    with rasterio.open(tmp_path / "c.tif", "w", driver="GTiff", count=5, height=8, width=8, dtype="uint16", **place) as target:
        target.write(np.ones((5, 8, 8), np.uint16))
    with pytest.raises(ConfigError, match=r"c\.tif: 5 layers of uint16 do not tell the sensor.*Expected a GeoTIFF") as refused:
        open_base_map(tmp_path / "c.tif")
    assert "--sensor" not in str(refused.value)
