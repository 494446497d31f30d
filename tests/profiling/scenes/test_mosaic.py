"""A scene made of tiles: of any size, without steps inside a region, made once."""

from pathlib import Path

import numpy as np
import rasterio

from profiling.scenes.mosaic import FOLDERS, REGION, TILE, make_scene, strip


def test_mirrored_tiles_go_on_without_a_step() -> None:
    tile = np.arange(TILE * TILE, dtype=np.int16).reshape(1, TILE, TILE)
    whole = np.concatenate([strip([tile], row, side=500) for row in range(3)], axis=1)
    assert whole.shape == (1, 3 * TILE, 500)
    np.testing.assert_array_equal(whole[:, TILE - 1], whole[:, TILE])
    np.testing.assert_array_equal(whole[:, :, TILE - 1], whole[:, :, TILE])
    other = tile + 1
    np.testing.assert_array_equal(strip([tile, other], REGION, side=TILE), other)


def test_files_hold_all_inputs_on_one_grid_and_are_made_once(tmp_path: Path) -> None:
    for name, layers in (("optical", 12), ("sar", 2)):
        (tmp_path / "tiles" / FOLDERS[name]).mkdir(parents=True)
        pixels = np.random.default_rng(0).integers(1, 4000, (layers, TILE, TILE)).astype("int16" if name == "optical" else "float64")
        profile = {"height": TILE, "width": TILE, "count": layers, "dtype": pixels.dtype}
        with rasterio.open(tmp_path / "tiles" / FOLDERS[name] / "a.tif", "w", driver="GTiff", **profile) as target:
            target.write(pixels)
    files = make_scene(tmp_path / "tiles", tmp_path / "scenes", side=300)
    with rasterio.open(files["optical"]) as optical, rasterio.open(files["sar"]) as sar:
        assert (optical.shape, optical.count, sar.count, sar.dtypes[0]) == ((300, 300), 12, 2, "float32")
        assert optical.transform == sar.transform and optical.crs == sar.crs and (optical.read() > 0).all()
    before = files["optical"].stat().st_mtime_ns
    assert make_scene(tmp_path / "tiles", tmp_path / "scenes", side=300)["optical"].stat().st_mtime_ns == before
