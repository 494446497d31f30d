import pytest

from eocore.errors import AnnotationError
from eocore.evaluate.predictions import Prediction
from eocore.evaluate.scoring.score import score_predictions

LABELS = ["Urban fabric", "Arable land", "Beaches, dunes, sands", "Mixed forest"]


def several(sample_id: str, said: str | None, truth: str, **meta) -> Prediction:
    return Prediction(sample_id, "multilabel", (sample_id,), "fused", "", said, truth, {"candidates": LABELS, **meta})


def scores(*samples: Prediction) -> dict:
    return score_predictions(samples)["settings"]["fused"]["multilabel"]


def values(item: dict) -> dict[str, float]:
    return {name: round(value["value"], 4) for name, value in item["overall"]["metrics"].items()}


def test_letters_and_names_are_one_and_commas_inside_names_part_nothing():
    item = scores(several("a", "C, A", "Beaches, dunes, sands; Urban fabric"), several("b", "Beaches, dunes, sands", "C"))
    assert values(item) == {"f1_sample": 1.0, "f1_micro": 1.0, "f1_macro": 1.0, "exact_match": 1.0}


def test_naming_every_class_is_no_way_to_win():
    item = scores(several("a", "A, B, C, D", "Urban fabric"))
    assert values(item)["f1_sample"] == 0.4
    assert values(item)["exact_match"] == 0.0
    assert scores(several("a", "; ".join(LABELS), "Urban fabric"))["reference_compat"]["token_recall"]["value"] == 1.0


def test_unreadable_and_missing_answers_count():
    item = scores(several("a", "no idea at all", "A"), several("b", None, "A"), several("c", "A", "A"))
    assert values(item)["f1_sample"] == pytest.approx(1 / 3, abs=1e-4)
    assert (item["overall"]["n"], item["overall"]["n_missing"], item["overall"]["n_unparsed"]) == (3, 1, 1)
    assert item["details"]["class_counts"]["tp_fp_fn"][0] == [1, 0, 2]


def test_macro_f1_is_over_annotated_classes():
    item = scores(several("a", "A, D", "A"), several("b", "B", "B"))
    assert values(item)["f1_macro"] == 1.0
    assert values(item)["f1_micro"] == 0.8


def test_order_of_classes_may_differ_by_question():
    turned = [LABELS[3], LABELS[2], LABELS[1], LABELS[0]]
    item = scores(several("a", "A", "Urban fabric"), several("b", "A", "Mixed forest", candidates=turned))
    assert values(item)["f1_sample"] == 1.0


def test_listed_true_classes_win_over_the_text():
    assert values(scores(several("a", "B", "see labels", labels=["Arable land"])))["f1_sample"] == 1.0


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (several("b", "A", "the moon"), r"sample 'b': the annotated answer 'the moon' names none of the 4 classes"),
        (several("b", "A", "A", labels=["Moon"]), r"sample 'b': 'labels' in its meta must be classes among the 4 candidates"),
        (several("b", "A", "A", candidates=["Moon"]), r"sample 'b' is asked with other classes than 'a'"),
    ],
)
def test_wrong_annotations(sample, message):
    with pytest.raises(AnnotationError, match=message):
        scores(several("a", "A", "A"), sample)


def test_lhrs_names_the_class_that_shares_the_longest_run_of_characters():
    classes = ["Forest", "Sparse Residential", "Dense Residential", "Park"]
    said = {"forest": "Forest", "dense residental": "Dense Residential", "an ark": "Park", "xyz": "Forest"}
    samples = [
        Prediction(text, "classification", ("a",), "optical", "", text, truth, {"candidates": classes}) for text, truth in said.items()
    ]
    item = score_predictions(samples)["settings"]["optical"]["classification"]
    assert values(item)["accuracy"] == 0.25
    assert item["reference_compat"]["accuracy_longest_common_substring"]["value"] == 0.75
