"""Every side reads the same image, and every kind of file gets its row."""

from pathlib import Path

import numpy as np
import pytest

from eocore.data.io.readers import read_scene
from profiling.files.image_kinds import KINDS, ImageKind
from profiling.files.image_reading import OURS, SIDES, measure_reading, readers

SIDE, TILE = 96, 64
LEVELS = 3.0
"""Of 255 that two filters may differ on average."""


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_all_sides_show_the_same(kind: ImageKind, tmp_path: Path) -> None:
    path = kind.write(tmp_path, size_px=SIDE)
    shown = {name: work() for name, work in readers(kind, path, tile_px=TILE).items()}
    assert shown.keys() >= {OURS, "rasterio", "torch"}
    assert shown[OURS].std() > 10
    for tile in shown.values():
        assert tile.shape == (len(kind.shown), TILE, TILE) and tile.dtype == np.uint8
        assert np.abs(tile.astype(float) - shown[OURS]).mean() < LEVELS


def test_bands_that_are_left_out_are_not_read(tmp_path: Path) -> None:
    named, shown = (next(kind for kind in KINDS if kind.name == f"12 bands, 3 {how}") for how in ("named", "shown"))
    assert read_scene(named.reference(named.write(tmp_path, size_px=SIDE))).bands == ("B02", "B03", "B04")
    assert len(read_scene(shown.reference(shown.write(tmp_path, size_px=SIDE))).bands) == 12


def test_a_row_compares_ours_with_the_fastest_of_the_others() -> None:
    (row,) = measure_reading([KINDS[-1]], repeats=1, of_processor=True, tile_px=TILE, size_px=SIDE)
    others = {name: float(row[f"{name} ms"]) for name in SIDES if name != OURS and row[f"{name} ms"] != "-"}
    assert row["best other"] == min(others, key=lambda name: others[name])
    assert row["best / ours"] == pytest.approx(min(others.values()) / float(row["ours ms"]))
    assert float(row["our reader ms"]) > 0
    assert "ours cold ms" not in row  # the processor does not work while it waits for storage
