"""Retrieval in a gallery of images and texts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from eocore.errors import DataError
from eocore.evaluate.engine.shards import PredictionWriter
from eocore.evaluate.predictions import Prediction, read_predictions
from eocore.evaluate.scoring.score import score_predictions
from eocore.evaluate.scoring.scorers import retrieval

NUM_IMAGES, NUM_TEXTS, WIDTH = 12, 3, 5


def embedded(folder: Path, *, absent: tuple[int, ...] = ()) -> list[Prediction]:
    rng = np.random.default_rng(1)
    path = folder / "predictions.jsonl"
    with PredictionWriter(path) as writer:
        for number in range(NUM_IMAGES):
            texts = [f"text {number}.{part}" for part in range(NUM_TEXTS)]
            sample = Prediction(f"{number}", "retrieval", (f"{number}",), "optical", "", None, texts[0], {"references": texts})
            centre = rng.normal(size=WIDTH)
            vectors = centre + rng.normal(size=(1 + NUM_TEXTS, WIDTH)) * 0.7
            if number in absent:
                writer.write(sample)
            else:
                writer.write(replace(sample, prediction=""), vectors=vectors)
    return read_predictions(path)


def figures(samples: list[Prediction]) -> dict[str, float]:
    task = score_predictions(samples)["settings"]["optical"]["retrieval"]
    return {name: value["value"] for name, value in task["overall"]["metrics"].items()}


def by_hand(scores: np.ndarray, fits: np.ndarray) -> dict[str, float]:
    ordered = np.take_along_axis(fits, np.argsort(-scores, axis=1), axis=1)
    return {
        **{f"recall@{k}": float(ordered[:, :k].any(axis=1).mean()) for k in (1, 5, 10)},
        "map": float(average_precision_score(fits, scores, average="samples")),
    }


def test_both_directions_are_those_of_the_whole_matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "QUERIES_AT_ONCE", 5)
    samples = embedded(tmp_path)
    vectors = [sample.vectors.load() / np.linalg.norm(sample.vectors.load(), axis=1, keepdims=True) for sample in samples]
    images, texts = np.stack([part[0] for part in vectors]), np.concatenate([part[1:] for part in vectors])
    owner = np.repeat(np.arange(NUM_IMAGES), NUM_TEXTS)
    fits = owner[:, None] == np.arange(NUM_IMAGES)
    wanted = {
        "text_to_image": by_hand(texts @ images.T, fits),
        "image_to_text": by_hand(images @ texts.T, fits.T),
    }
    found = figures(samples)
    for direction, values in wanted.items():
        for name in ("recall@1", "recall@5", "recall@10", "map"):
            assert found[f"{direction}_{name}"] == pytest.approx(values[name]), (direction, name)
    assert found["mean_recall"] == pytest.approx(np.mean([wanted[d][f"recall@{k}"] for d in wanted for k in (1, 5, 10)]))
    assert 0.2 < found["mean_recall"] < 0.95


def test_queries_of_a_sample_that_was_not_predicted_find_nothing(tmp_path: Path) -> None:
    found = figures(embedded(tmp_path, absent=(3, 4)))
    assert found["image_to_text_recall@10"] <= 10 / 12 and found["text_to_image_recall@10"] <= 30 / 36


def test_two_lines_of_one_image_seek_the_same(tmp_path: Path) -> None:
    samples = embedded(tmp_path)
    twins = [replace(sample, image_ids=(str(int(sample.sample_id) // 2),)) for sample in samples]
    assert figures(twins)["text_to_image_recall@1"] >= figures(samples)["text_to_image_recall@1"]


def test_a_gallery_of_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no sample was embedded"):
        figures(embedded(tmp_path, absent=tuple(range(NUM_IMAGES))))


def on_a_circle(folder: Path, lines: list[tuple[str, float, dict[str, float]]]) -> list[Prediction]:
    """Samples whose image and texts lie at angles [degrees] of a circle."""
    path = folder / "predictions.jsonl"
    with PredictionWriter(path) as writer:
        for name, image, texts in lines:
            angles = np.deg2rad([image, *texts.values()])
            meta = {"references": list(texts)}
            sample = Prediction(name, "retrieval", (name,), "optical", "", "", next(iter(texts)), meta)
            writer.write(sample, vectors=np.stack([np.cos(angles), np.sin(angles)], axis=1))
    return read_predictions(path)


def test_a_gallery_worked_by_hand(tmp_path: Path) -> None:
    """Texts by nearness to a (0 degrees): lake, dam, wood, pond; to b (30): dam, lake, wood, pond; to c (90): pond, wood, dam, lake."""
    samples = on_a_circle(tmp_path, [("a", 0, {"lake": 5, "pond": 85}), ("b", 30, {"dam": 20}), ("c", 90, {"wood": 80})])
    score = score_predictions(samples, metrics={"retrieval": {"type": "Retrieval", "cuts": [1, 2]}})
    found = {name: value["value"] for name, value in score["settings"]["optical"]["retrieval"]["overall"]["metrics"].items()}
    # a finds lake first, b dam first, c stands between pond (85, 5 away) and wood (80, 10 away): wood second
    assert found["image_to_text_recall@1"] == pytest.approx(2 / 3)
    assert found["image_to_text_recall@2"] == 1.0
    # a: lake at 1, pond at 4; b: dam at 1; c: wood at 2
    assert found["image_to_text_map"] == pytest.approx(((1 / 1 + 2 / 4) / 2 + 1 + 1 / 2) / 3)
    # lake is nearest a; pond is nearest c, then b, then a; dam is 10 from b; wood is 10 from c
    assert found["text_to_image_recall@1"] == pytest.approx(3 / 4)
    assert found["text_to_image_recall@2"] == pytest.approx(3 / 4)
    assert found["text_to_image_map"] == pytest.approx((1 + 1 / 3 + 1 + 1) / 4)
    assert found["mean_recall"] == pytest.approx((2 / 3 + 1 + 3 / 4 + 3 / 4) / 4)


@pytest.mark.parametrize("rounding", [0.0, 1e-5, -1e-5])
def test_rounding_does_not_decide_between_equal_sentences(tmp_path: Path, rounding: float) -> None:
    """The sentence of two images is embedded twice, in two batches, and is never found: the wrong one of equals counts as first."""
    samples = on_a_circle(tmp_path, [("a", 0, {"a field": 10}), ("b", 30, {"a field": 10 + rounding}), ("c", 90, {"a wood": 90})])
    score = score_predictions(samples, metrics={"retrieval": {"type": "Retrieval", "cuts": [1, 2]}})
    found = {name: value["value"] for name, value in score["settings"]["optical"]["retrieval"]["overall"]["metrics"].items()}
    assert found["image_to_text_recall@1"] == pytest.approx(1 / 3)
    assert found["image_to_text_map"] == pytest.approx((1 / 2 + 1 / 2 + 1) / 3)
