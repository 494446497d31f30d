import numpy as np
import pytest

from eocore.errors import AnnotationError
from eocore.evaluate.metrics.classification import confusion_matrix, longest_common_label, normalise_label, parse_label

LABELS = ["BareLand", "Port", "Airport", "River"]


def test_normalisation_drops_all_but_letters_and_digits():
    assert normalise_label(" Bare-Land. ") == normalise_label("bare_land") == "bareland"


@pytest.mark.parametrize(
    ("answer", "label"),
    [("bare land", "BareLand"), ("An airport.", "Airport"), ("port", "Port"), ("river and ports", "River"), ("desert", None), ("", None)],
)
def test_label_in_an_answer(answer, label):
    assert parse_label(answer, LABELS) == label


def test_labels_of_equal_length_are_no_answer():
    assert parse_label("river or beach", ["River", "Beach"]) is None


def test_equality_can_be_asked_for():
    assert parse_label("An airport.", LABELS, contained=False) is None
    assert parse_label("airport", LABELS, contained=False) == "Airport"


def test_unread_answers_have_a_column_of_their_own_and_are_wrong():
    truths = ["Port"] * 8 + ["River"] * 2
    said = ["Port"] * 6 + ["River", None] + ["River", "Port"]
    counts = confusion_matrix(truths, said, labels=LABELS)
    assert counts.shape == (4, 5)
    assert counts[1].tolist() == [0, 6, 0, 1, 1]
    assert np.trace(counts) / counts.sum() == pytest.approx(0.7)


def test_unknown_class_in_the_annotation():
    with pytest.raises(AnnotationError, match=r"annotated class 'Moon' is none of the 4 labels.*Correct one"):
        confusion_matrix(["Moon"], ["Port"], labels=LABELS)


def test_the_longest_common_run_decides_where_no_class_is_equal() -> None:
    labels = ("forest", "rainforest", "park")
    assert longest_common_label("Forest", labels) == "forest"  # equal before longer
    assert longest_common_label("rain forests", labels) == "forest"  # six characters in both, the first of them
    assert longest_common_label("dark", labels) == "park"
    assert longest_common_label("", labels) is None and longest_common_label("zzz", labels) is None
