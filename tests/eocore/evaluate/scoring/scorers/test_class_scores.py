"""Top-k accuracy and mean average precision of class scores."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.evaluate.engine.shards import PredictionWriter
from eocore.evaluate.predictions import Prediction, read_predictions
from eocore.evaluate.scoring.score import score_predictions
from eocore.evaluate.scoring.scorers.class_scores import ClassScores, LabelScores, decisions

CLASSES = ["forest", "water", "crops", "houses", "bare", "snow"]


def scored(folder: Path, task: str, truths: list[Any], scores: Any) -> list[Prediction]:
    """Lines with these scores; None = not predicted."""
    path = folder / "predictions.jsonl"
    with PredictionWriter(path) as writer:
        for number, (truth, row) in enumerate(zip(truths, scores, strict=True)):
            labels = [truth] if isinstance(truth, str) else truth
            meta = {"candidates": CLASSES, "labels": labels}
            sample = Prediction(f"{number}", task, (f"{number}",), "optical", "", None, "; ".join(labels), meta)
            if row is None:
                writer.write(sample)
            else:
                writer.write(replace(sample, prediction=CLASSES[int(np.argmax(row))]), vectors=np.array(row))
    return read_predictions(path)


def test_top_k_accuracy_counts_ties_and_absent_predictions_as_wrong(tmp_path: Path) -> None:
    rows = [[9, 1, 2, 3, 4, 5], [9, 8, 7, 6, 5, 4], [1, 1, 1, 1, 1, 1], [5, 4, 3, 2, 1, 0], None]
    found = score_predictions(scored(tmp_path, "classification", ["forest", "water", "crops", "snow", "forest"], rows))
    task = found["settings"]["optical"]["classification"]
    values = {name: value["value"] for name, value in task["overall"]["metrics"].items()}
    ranked = values.pop("map_macro@100")
    assert values == {"accuracy": 0.2, "accuracy_top5": 0.4, "balanced_accuracy": pytest.approx(0.125)}
    # forest: second, as a wrong image has its score, and last, not predicted; water first; crops and snow fourth
    assert ranked == pytest.approx(((1 / 2 + 2 / 5) / 2 + 1 + 1 / 4 + 1 / 4) / 4)
    assert task["headline"] == "accuracy" and task["overall"]["n_missing"] == 1
    confusion = np.array(task["confusion"]["counts"])
    assert confusion[0].tolist() == [1, 0, 0, 0, 0, 0, 1] and confusion[2, 2] == 0  # all alike is not right


def test_mean_average_precision_is_that_of_scikit_learn(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(40, 6)).astype(np.float32)
    relevant = rng.random((40, 6)) < 0.3
    relevant[:, 5] = False  # a class that is not annotated does not count
    relevant[~relevant.any(axis=1), 0] = True
    truths = [[name for name, there in zip(CLASSES, row, strict=True) if there] for row in relevant]
    task = score_predictions(scored(tmp_path, "multilabel", truths, scores))["settings"]["optical"]["multilabel"]
    values = {name: value["value"] for name, value in task["overall"]["metrics"].items()}
    assert values["map_macro"] == pytest.approx(average_precision_score(relevant[:, :5], scores[:, :5], average="macro"))
    assert values["map_micro"] == pytest.approx(average_precision_score(relevant, scores, average="micro"))
    assert values["map_sample"] == pytest.approx(average_precision_score(relevant, scores, average="samples"))
    assert values["map_macro@100"] == values["map_macro"]
    assert task["details"]["class_precision"]["snow"] is None
    assert task["overall"]["metrics"]["map_macro"]["low"] is None and task["overall"]["metrics"]["map_sample"]["low"] is not None


def test_retrieval_by_class_is_worked_by_hand_in_both_definitions(tmp_path: Path) -> None:
    # forest ranks the images 0, 1, 2, 3 and fits 0 and 2; water ranks them 3, 2, 1, 0 and fits 1 and 3
    rows = [[9, 1, 0, 0, 0, 0], [8, 2, 0, 0, 0, 0], [7, 3, 0, 0, 0, 0], [6, 4, 0, 0, 0, 0]]
    samples = scored(tmp_path, "classification", ["forest", "water", "forest", "water"], rows)
    judged = ClassScores(retrieved=2).judge(samples)
    everything = np.arange(4)
    # among the first two each class finds one of two, at rank 1
    assert judged.measures["map_macro@2"].of(everything) == pytest.approx(1 / 2)
    assert judged.compat["map_macro@2_of_hits"].of(everything) == pytest.approx(1.0)
    whole = ClassScores(retrieved=4).judge(samples)
    assert whole.measures["map_macro@4"].of(everything) == pytest.approx((1 + 2 / 3) / 2)


def test_decisions_above_the_mean_of_the_other_classes_or_above_one_class(tmp_path: Path) -> None:
    scores = np.array([[0.9, 0.5, 0.1], [0.19, 0.3, 0.1]])
    assert decisions(scores, None).tolist() == [[True, False, False], [False, True, False]]
    assert decisions(scores, 1).tolist() == [[True, False, False], [False, False, False]]
    rows = [[9, 1, 1, 1, 1, 5], [1, 1, 9, 1, 1, 5]]
    samples = scored(tmp_path, "multilabel", [["forest"], ["water"]], rows)
    judged = LabelScores(other="snow").judge(samples)
    # of five classes, the second image has crops in place of water: two wrong decisions of ten
    assert judged.compat["above_mean_accuracy"].of(np.arange(2)) == pytest.approx(0.8)
    assert judged.compat["above_mean_f1_macro"].of(np.arange(2)) == pytest.approx(1 / 2)
    with pytest.raises(ConfigError, match="other='ice' is none of the classes"):
        LabelScores(other="ice").judge(samples)


def test_an_image_without_prediction_is_ranked_last(tmp_path: Path) -> None:
    rows = [None, [1, 0, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0]]
    judged = LabelScores().judge(scored(tmp_path, "multilabel", [["forest"], ["water"], ["forest"]], rows))
    assert judged.details["class_precision"]["forest"] == pytest.approx((1 + 2 / 3) / 2)
    assert judged.num_missing.tolist() == [1, 0, 0] and judged.quality[0] == 0


def test_samples_of_other_classes_or_without_scores_are_refused(tmp_path: Path) -> None:
    samples = scored(tmp_path, "classification", ["forest", "water"], np.eye(6)[:2])
    other = [samples[0], replace(samples[1], meta={"candidates": CLASSES[::-1]})]
    with pytest.raises(AnnotationError, match="sample '1' has other classes than '0'"):
        score_predictions(other)
    with pytest.raises(DataError, match=r"sample '1' .*: expected finite class scores or vectors of shape \(6,\), found none"):
        score_predictions([samples[0], replace(samples[1], vectors=None)])
