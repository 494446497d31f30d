"""What is measured of a whole scene: rate, memory and time of the model on a small one; seams with and without blending."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import rasterio
from scene_files import WaterIndex, put_model, write_scene

from eocore.jobs.work import Item, Result
from profiling.scenes import whole_scene
from profiling.scenes.mosaic import PLACE

SIDE = 256


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Waves of near infrared, so that water and land lie side by side everywhere, and SAR on the same grid."""
    rows, columns = np.indices((SIDE, SIDE))
    write_scene(tmp_path / "s2.tif", np.sin((columns + rows / 3) / 9) > 0, transform=PLACE)
    with rasterio.open(tmp_path / "s2.tif") as source:
        profile = {**source.profile, "count": 2, "dtype": "float32"}
    with rasterio.open(tmp_path / "s1.tif", "w", **profile) as target:
        target.write(np.full((2, SIDE, SIDE), -12, np.float32))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    return {"optical": tmp_path / "s2.tif", "sar": tmp_path / "s1.tif"}


def test_a_small_scene_is_measured(tmp_path: Path, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    put_model(monkeypatch, WaterIndex())
    line = whole_scene.measure(tmp_path / "model", files, SIDE)
    assert line["side"] == SIDE and line["km2"] == pytest.approx(6.6, abs=0.05)
    assert 0 < line["computing_of_all"] <= line["computing_of_windows"] <= 1 and 0 < line["computing_of_cpu"] <= 1
    assert line["km2_per_min"] > 0 and line["peak_mb"] >= line["before_mb"] and line["after_windows_s"] > 0


def test_a_model_that_judges_windows_by_other_levels_shows_them_where_they_are_not_blended(
    tmp_path: Path, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    put_model(monkeypatch, WaterIndex(shift=2.0))
    monkeypatch.setattr(whole_scene, "SHIFTS", ((13, 21),))
    found = whole_scene.seams(tmp_path / "model", files, SIDE)
    put_model(monkeypatch, WaterIndex())
    exact = whole_scene.seams(tmp_path / "model", files, SIDE)
    assert exact["blended"]["differing"] == exact["not_blended"]["differing"] == [0.0]
    assert found["blended"]["differing"][0] < 0.01
    assert found["not_blended"]["seam_ratio"] > found["blended"]["seam_ratio"]


def test_the_time_of_work_is_that_of_its_items() -> None:
    def work(items: Sequence[Item]) -> list[Result]:
        return [{"number": item.payload["number"]} for item in items]

    found = whole_scene.TimedWork(work)([Item("a", {"number": 1}), Item("b", {"number": 2})])
    assert [result["number"] for result in found] == [1, 2]
    assert all(result[whole_scene.PROCESS] == os.getpid() and result[whole_scene.CPU_S] >= 0 for result in found)
