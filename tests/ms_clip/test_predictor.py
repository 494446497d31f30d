"""A converted model as predictor: scores of pixels, and maps of a whole scene made with them by its commands, on one process or two."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from scene_files import lake, write_scene

from eocore.commands.catalogue import EO
from eocore.data.records import ImageRef
from eocore.errors import CheckpointError, DataError
from eocore.evaluate.protocols import Embeds, ScoresPixels
from eocore.scenes.source import SceneSource
from eocore.system import DeclaresRoles, PredictorOptions
from ms_clip.predictor import ModelPredictor, MsClipPredictor

PROMPTS = ("water", "forest")
FILES = ("classes.tif", "values.tif")


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write_scene(tmp_path / "s2.tif", lake(130, 160))


def read(scene: Path, window: tuple[int, int, int, int]) -> object:
    return SceneSource({"multispectral": ImageRef("multispectral", "sentinel2_l2a", (str(scene),))}).read(window)


def test_scores_of_pixels_are_cosines_of_patches(save_model: Callable[..., Path], scene: Path) -> None:
    predictor = MsClipPredictor(save_model(), PredictorOptions())
    assert isinstance(predictor, ScoresPixels) and predictor.window_side == 48 and predictor.pixel_scale == "relative"
    sample = read(scene, (30, 40, 48, 48))
    ((found),) = predictor.pixel_scores([sample], PROMPTS)  # type: ignore[list-item]
    assert found.shape == (2, 48, 48) and found.dtype == np.float32 and np.abs(found).max() <= 1
    features = predictor.model.dense_features(predictor.prepare_image(sample)[None])[0].detach().numpy()  # type: ignore[arg-type]
    cosines = features @ predictor.embed_texts(PROMPTS).T
    corners = found[:, ::47, ::47]  # beyond the centres of the outer patches nothing is interpolated
    np.testing.assert_allclose(corners, cosines[::5, ::5].transpose(2, 0, 1), atol=1e-5)


def test_windows_of_which_a_part_would_be_cut_off_are_refused(save_model: Callable[..., Path], scene: Path) -> None:
    predictor = MsClipPredictor(save_model(), PredictorOptions())
    with pytest.raises(DataError, match=r"a window of 48 x 60 px, but this model sees as many rows as columns"):
        predictor.pixel_scores([read(scene, (0, 0, 48, 60))], PROMPTS)  # type: ignore[list-item]


def test_it_embeds_as_its_protocols_say_with_vectors_of_length_1(save_model: Callable[..., Path], scene: Path) -> None:
    predictor = MsClipPredictor(save_model(), PredictorOptions(device="cpu"))
    assert isinstance(predictor, Embeds) and isinstance(predictor, DeclaresRoles) and predictor.roles == ("multispectral",)
    sample = read(scene, (30, 40, 48, 48))
    vectors = predictor.embed_images([sample, predictor.prepare_image(sample)])  # type: ignore[arg-type]
    assert vectors.shape == (2, 16) and vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors[0], vectors[1])
    texts = predictor.embed_texts(PROMPTS)
    np.testing.assert_allclose(np.linalg.norm(np.concatenate([vectors, texts]), axis=1), 1, atol=1e-6)


def test_many_texts_go_through_in_parts_and_come_out_the_same(save_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = MsClipPredictor(save_model(), PredictorOptions(device="cpu"))
    texts = [*PROMPTS, "bare ground in the north", "snow", "grass and water"]
    whole = predictor.embed_texts(texts)
    monkeypatch.setattr("ms_clip.predictor.TEXTS_AT_ONCE", 2)
    np.testing.assert_allclose(predictor.embed_texts(texts), whole, atol=1e-6)


def test_texts_that_say_nothing_or_too_much_are_refused(save_model: Callable[..., Path]) -> None:
    predictor = MsClipPredictor(save_model(), PredictorOptions(device="cpu"))
    with pytest.raises(DataError, match="a text is empty, so it means nothing"):
        predictor.embed_texts(["water", "  "])
    with pytest.raises(DataError, match=r"a text has \d+ tokens, the model reads at most 32"):
        predictor.embed_texts(["water " * 60])


def test_a_model_in_training_answers_by_the_same_code_and_is_left_alone(make_task: Callable[..., Any], scene: Path) -> None:
    task = make_task()
    before = {name: value.clone() for name, value in task.model.state_dict().items()}
    predictor = ModelPredictor(task.model.eval(), task.processor)
    vectors = predictor.embed_images([read(scene, (30, 40, 48, 48))])
    assert vectors.shape == (1, 16) and not task.model.training
    assert all(value.equal(before[name]) for name, value in task.model.state_dict().items())


def test_a_folder_that_holds_no_model_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json"):
        MsClipPredictor(tmp_path, PredictorOptions())


def test_weights_are_read_when_they_are_asked_for(save_model: Callable[..., Path]) -> None:
    folder = save_model()
    (folder / "model.safetensors").write_bytes(b"broken")
    predictor = MsClipPredictor(folder, PredictorOptions(device="cpu"))
    assert predictor.roles == ("multispectral",)
    with pytest.raises(CheckpointError):
        predictor.load()


@pytest.mark.slow
def test_one_process_two_and_actors_of_a_cluster_make_the_same_map(save_model: Callable[..., Path], scene: Path, tmp_path: Path) -> None:
    model = save_model()
    words = [str(model), "--optical", str(scene), "--prompt", *PROMPTS, "--format", "gpkg", "geojson"]
    engines = {"one": [], "two": ["--workers", "2"]} | ({"ray": ["--workers", "2", "--engine", "ray"]} if find_spec("ray") else {})
    for name, engine in engines.items():
        assert EO(["map-scene", *words, *engine, "--out", str(tmp_path / name)]) == 0
    for file in (*FILES, "polygons.geojson"):
        assert len({(tmp_path / name / file).read_bytes() for name in engines}) == 1, file
    with rasterio.open(tmp_path / "one" / "classes.tif") as source:
        assert set(np.unique(source.read(1))) <= {1, 2}
