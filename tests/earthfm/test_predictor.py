"""A converted model: answers to records and questions, vectors of images, refusals."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("olmoearth_pretrain_minimal")
from earthfm_samples import S2, images

from earthfm.predictor import EarthFmPredictor
from eocore.data.formats.captions import ImageCaptionDataset
from eocore.data.io.readers import read_scene
from eocore.data.records import ImageRef, Record
from eocore.errors import CheckpointError, ConfigError, DataError
from eocore.evaluate.protocols import EmbedsImages, implemented
from eocore.portable.messages import as_turns
from eocore.predict.following import BatchFollower, FollowedRow, FollowsAnswers
from eocore.predict.image_files import ImageFile
from eocore.search.encoders import ImageEncoder
from eocore.sensors.scene import Scene
from eocore.system import AnswersImages, Chats, DeclaresRoles, PredictorOptions


@pytest.fixture(scope="module")
def predictor(model_folder: Path) -> EarthFmPredictor:
    return EarthFmPredictor(model_folder, PredictorOptions(device="cpu"))


def scene(seed: int = 0, bands: tuple[str, ...] = S2) -> Scene:
    pixels = np.random.default_rng(seed).uniform(0, 0.5, (len(bands), 32, 32)).astype(np.float32)
    return Scene(pixels, bands, "sentinel2_l2a", "reflectance", role="multispectral")


def test_it_is_what_tools_ask_for(predictor: EarthFmPredictor) -> None:
    assert implemented(predictor) == ("generates",)
    assert (
        isinstance(predictor, EmbedsImages)
        and isinstance(predictor, AnswersImages)
        and isinstance(predictor, Chats)
        and isinstance(predictor, DeclaresRoles)
    )
    assert predictor.roles == ("multispectral", "rgb", "sar", "landsat")


def test_one_question_and_several_have_the_same_answers(predictor: EarthFmPredictor) -> None:
    questions: list[Any] = [({"multispectral": scene(seed)}, text) for seed, text in ((0, "What is it?"), (1, "Is there water in it?"))]
    together = predictor.chat(questions, max_new_tokens=8)
    assert together == [predictor.predict(shown, text, max_new_tokens=8).text for shown, text in questions]


def test_a_batch_is_followed_and_each_answer_ends_by_itself(predictor: EarthFmPredictor) -> None:
    assert isinstance(predictor, FollowsAnswers)
    image = ImageRef("multispectral", "sentinel2_l2a", ("a.tif",))
    turns = tuple(as_turns([("user", "What is it?")]))
    samples = [(Record(str(seed), (image,), turns=turns, source="a"), (scene(seed),)) for seed in range(2)]
    written: list[list[str]] = [[], []]
    rows = [FollowedRow(write=pieces.append, limit=limit) for pieces, limit in zip(written, (2, 7), strict=True)]
    answerer = predictor.followed_answerer(7, generation={}, objects=BatchFollower(rows, predictor.processor).objects)
    answers = answerer.answer([answerer.prepare(sample) for sample in samples])
    for answer, sample, pieces, row in zip(answers, samples, written, rows, strict=True):
        assert answer.text == predictor.answerer(row.limit)([sample])[0].text == "".join(pieces).strip()
        assert row.num_tokens <= row.limit and row.finish in ("stop", "length")


def test_captions_are_asked_for(predictor: EarthFmPredictor, world: Path, tmp_path: Path) -> None:
    stem = next((world / "test" / "multispectral").glob("*.tif")).stem
    (tmp_path / "c.csv").write_text(f"image,caption\n{stem}.tif,Water.\n")
    data = ImageCaptionDataset(annotations=str(tmp_path / "c.csv"), images={"multispectral": images(world, "test")})
    record = data.records[0]
    shown = [read_scene(record.images[0])]
    answer = predictor.answerer(8)([(record, shown)])[0]
    assert answer.text == predictor.predict({"multispectral": shown[0]}, "Describe this satellite image.", max_new_tokens=8).text
    assert answer.masks.shape[0] == 0


def test_vectors_are_of_length_one_whatever_the_batch(predictor: EarthFmPredictor) -> None:
    inputs = [predictor.processor.inputs(scene(seed)) for seed in range(3)]
    found = predictor.embed_images(inputs)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(found[1:2], predictor.embed_images(inputs[1:2]), atol=1e-5)


def test_an_index_takes_its_vectors_and_no_texts(model_folder: Path, world: Path) -> None:
    encoder = ImageEncoder(model_folder, device="cpu")
    files = [
        {"multispectral": ImageFile((str(path),), sensor="sentinel2_l2a")}
        for path in sorted((world / "test" / "multispectral").glob("*.tif"))
    ]
    found = encoder.images(files)
    assert found.shape == (3, 32) and not np.allclose(found[0], found[1], atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, rtol=1e-5)
    with pytest.raises(ConfigError, match="embeds images alone, so texts cannot seek them"):
        encoder.texts(["water"])


def test_what_it_cannot_take_is_refused(predictor: EarthFmPredictor, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot answer this: the image has B02, B03, B04 alone"):
        predictor.predict({"multispectral": scene(bands=("B02", "B03", "B04"))}, "What?", max_new_tokens=4)
    with pytest.raises(CheckpointError, match="is not a converted model"):
        EarthFmPredictor(tmp_path, PredictorOptions())
