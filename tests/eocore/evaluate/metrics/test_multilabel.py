import numpy as np
import pytest
from sklearn.metrics import f1_score

from eocore.evaluate.metrics.multilabel import class_counts, label_matrix, macro_f1, micro_f1, sample_f1, token_recall

LABELS = ["Urban fabric", "Arable land", "Moors, heathland and sclerophyllous vegetation", "Mixed forest", "Forest", "Inland waters"]


def test_f1_equals_scikit_learn():
    rng = np.random.default_rng(0)
    annotated, predicted = rng.random((60, 7)) < 0.3, rng.random((60, 7)) < 0.3
    annotated[:, 6] = False
    counts = class_counts(predicted, annotated).sum(axis=0)
    assert sample_f1(predicted, annotated).mean() == pytest.approx(f1_score(annotated, predicted, average="samples", zero_division=1.0))
    assert micro_f1(counts) == pytest.approx(f1_score(annotated, predicted, average="micro"))
    assert macro_f1(counts) == pytest.approx(f1_score(annotated[:, :6], predicted[:, :6], average="macro"))


def test_naming_every_class_pays_in_the_published_recall_only():
    truth = "Urban fabric, Arable land"
    assert token_recall(", ".join(LABELS), truth) == token_recall(truth, truth)
    annotated, everything = label_matrix([frozenset({0, 1})], 6), label_matrix([frozenset(range(6))], 6)
    assert sample_f1(everything, annotated)[0] == pytest.approx(2 * 2 / (2 * 2 + 4))


def test_a_perfect_answer_is_not_perfect_in_the_published_recall():
    truth = "Moors, heathland and sclerophyllous vegetation, Marine waters"
    assert token_recall(truth, truth) == pytest.approx(8 / 9)
    assert round(token_recall(truth, truth), 3) == 0.889


def test_scores_of_nothing():
    assert np.isnan(micro_f1(np.zeros((3, 3))))
    assert np.isnan(macro_f1(np.zeros((3, 3))))
    assert sample_f1(np.zeros((1, 3), dtype=bool), np.zeros((1, 3), dtype=bool))[0] == 1.0
