"""Answers about windows as a vector layer: asked once each, laid where the windows are, resumed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from scene_files import SaysWhatCovers, WaterIndex, write_scene

from eocore.data.records import ImageRef
from eocore.errors import ConfigError, DataError
from eocore.scenes.answers import AnswersRequest, ask_scene
from eocore.scenes.asking import AskOptions
from eocore.scenes.source import SceneSource

geopandas = pytest.importorskip("geopandas", reason="geopandas (extra scenes) is not installed")
LEFT = np.arange(200)[None].repeat(130, axis=0) < 70
"""Water in the left of the scene."""


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Any]:
    """Puts a predictor in the place of the model of any folder."""

    def put(made: Any) -> Any:
        monkeypatch.setattr("eocore.scenes.asking.load_predictor", lambda folder, *, device: made)
        return made

    return put


def request(folder: Path, **options: Any) -> AnswersRequest:
    own = folder / "model"
    own.mkdir(exist_ok=True)
    (own / "config.json").write_text("{}")
    scene = folder / "s2.tif"
    if not scene.exists():
        write_scene(scene, LEFT, empty=np.arange(130)[:, None].repeat(200, axis=1) > 100)
    source = SceneSource({"multispectral": ImageRef("multispectral", "sentinel2_l2a", (str(scene),))})
    asking = AskOptions(model=own, source=source, question=options.pop("question", "What covers this?"))
    return AnswersRequest(**{"asking": asking, "out": folder / "out", "side": 50, **options})


def test_each_window_is_asked_and_its_answer_lies_where_it_is(tmp_path: Path, model: Callable[[Any], Any]) -> None:
    asked = model(SaysWhatCovers()).asked
    (file,), report = ask_scene(request(tmp_path))
    layer = geopandas.read_file(file)
    assert file.name == "answers.gpkg" and report.num_items == 12 and layer.crs.to_epsg() == 32632
    assert len(asked) == len(set(asked)) == len(layer) == 12 and {text.split("\n")[-1] for _, text in asked} == {"What covers this?"}
    for window in layer.itertuples():
        assert window.answer == ("water" if window.column < 40 else "land")
        west, north = 500_000 + 10 * window.column, 5_000_000 - 10 * window.row
        assert window.geometry.equals(shapely.box(west, north - 500, west + 500, north))


def test_windows_without_data_are_not_asked(tmp_path: Path, model: Callable[[Any], Any]) -> None:
    asked = model(SaysWhatCovers()).asked
    (file,), _ = ask_scene(request(tmp_path, side=29))
    rows = {int(name.split("_")[0]) for name, _ in asked}
    assert max(rows) <= 100 and len(geopandas.read_file(file)) == len(asked)


def test_the_same_request_resumes_and_another_question_is_refused(tmp_path: Path, model: Callable[[Any], Any]) -> None:
    model(SaysWhatCovers(refused=["0_0"]))
    with pytest.raises(
        DataError, match=r"1 of 12 windows \(row_column\) have no result, so nothing was written: 0_0: window 0_0 is refused"
    ):
        ask_scene(request(tmp_path))
    rest = model(SaysWhatCovers())
    ask_scene(request(tmp_path))
    assert [name for name, _ in rest.asked] == ["0_0"]
    with pytest.raises(DataError, match=r"holds a job with another .*question"):
        ask_scene(request(tmp_path, question="How many ships?"))


def test_what_cannot_be_asked_is_refused(tmp_path: Path, model: Callable[[Any], Any]) -> None:
    with pytest.raises(ConfigError, match="the question is empty"):
        request(tmp_path, question=" ")
    with pytest.raises(ConfigError, match="--format shp: choices"):
        request(tmp_path, formats=("shp",))
    model(WaterIndex())
    with pytest.raises(ConfigError, match=r"this model does not answer in words .*--prompt"):
        ask_scene(request(tmp_path))
    assert not (tmp_path / "out").exists()
