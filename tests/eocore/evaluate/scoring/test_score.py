import json
from dataclasses import replace

import numpy as np
import pytest

from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.evaluate.predictions import Prediction
from eocore.evaluate.scoring.score import score_predictions


def choice(sample_id: str, prediction: str | None, **changes) -> Prediction:
    meta = {"candidates": ["forest", "water", "crops", "houses"]}
    return replace(Prediction(sample_id, "mcq", (sample_id,), "optical", "", prediction, "water", meta), **changes)


def overall(*samples: Prediction) -> dict:
    return score_predictions(samples)["settings"]["optical"][samples[0].task]["overall"]


def test_missing_and_unreadable_answers_stay_in_the_denominator():
    group = overall(choice("a", "(B)"), choice("b", None), choice("c", "I cannot tell."), choice("d", "forest"))
    assert group["metrics"]["accuracy"]["value"] == 0.25
    assert (group["n"], group["n_missing"], group["n_unparsed"]) == (4, 1, 1)


def test_truth_may_be_a_letter_and_equal_candidates_are_equal():
    twice = {"candidates": ["road", "water", "road"]}
    assert overall(choice("a", "C", ground_truth="A", meta=twice))["metrics"]["accuracy"]["value"] == 1.0


def test_scores_by_setting_cloud_and_type(predicted):
    settings = score_predictions(predicted)["settings"]
    assert list(settings) == ["optical", "sar", "fused"]
    for by_task in settings.values():
        assert list(by_task) == ["vqa", "mcq", "referring"]
        assert by_task["mcq"]["overall"]["n"] == 40
        assert set(by_task["mcq"]["by_type"]) == {"presence", "count"}
        assert by_task["referring"]["by_type"] == {}
        for item in by_task.values():
            assert {name: group["n"] for name, group in item["by_cloud"].items()} == {"clear": 20, "cloudy": 20}
            value = item["overall"]["metrics"][item["headline"]]
            assert value["low"] < value["value"] < value["high"]
    cloudy = {name: by_task["mcq"]["by_cloud"]["cloudy"]["metrics"]["accuracy"]["value"] for name, by_task in settings.items()}
    assert cloudy["fused"] > max(cloudy["optical"], cloudy["sar"])
    assert settings["sar"]["mcq"]["chance"] == 0.25


def test_flagless_samples_are_in_no_cloud_group():
    item = score_predictions([choice("a", "B")])["settings"]["optical"]["mcq"]
    assert item["by_cloud"] == {}


def test_mean_of_types_weighs_types_alike():
    samples = [choice(f"a{index}", "water", meta={"candidates": ["water", "road"], "type": "easy"}) for index in range(9)]
    samples.append(choice("b", "road", meta={"candidates": ["water", "road"], "type": "hard"}))
    item = score_predictions(samples)["settings"]["optical"]["mcq"]
    assert item["overall"]["metrics"]["accuracy"]["value"] == 0.9
    assert item["macro"] == {"value": 0.5, "low": None, "high": None}


def test_tasks_without_a_score_are_counted_not_hidden(predicted):
    assert score_predictions(predicted)["unscored"] == {name: {"chat": 40} for name in ("optical", "sar", "fused")}


def test_masks_count_each(expected):
    rle = next(item for item in expected if item.task == "referring").ground_truth_masks[0]
    right = Prediction("a", "referring", ("1",), "optical", "", "[SEG] [SEG]", "", {}, (rle, rle, rle), (rle, rle))
    half = replace(right, sample_id="b", image_ids=("2",), prediction_masks=(rle,))
    item = score_predictions([right, half])["settings"]["optical"]["referring"]
    group = item["overall"]
    assert (group["n"], group["n_missing"], group["n_extra"]) == (4, 1, 1)
    assert group["metrics"]["miou"]["value"] == group["metrics"]["oiou"]["value"] == 0.75
    assert item["reference_compat"]["miou_with_background"]["value"] == 1.0
    assert not any("background" in name for name in group["metrics"])


def test_gain_of_fused_input_is_paired(predicted):
    scores = score_predictions(predicted)
    gains = {(item["task"], item["against"], item["group"]): item for item in scores["differences"]}
    assert set(gains) == {(t, s, g) for t in ("mcq", "vqa", "referring") for s in ("optical", "sar") for g in ("all", "clear", "cloudy")}
    cells = [scores["settings"][name]["mcq"]["by_cloud"]["cloudy"]["metrics"]["accuracy"]["value"] for name in ("fused", "optical")]
    gain = gains["mcq", "optical", "cloudy"]
    assert gain["difference"]["value"] == pytest.approx(cells[0] - cells[1])
    assert 0.0 < gain["difference"]["low"] < gain["difference"]["value"] < gain["difference"]["high"]


def test_equal_predictions_differ_by_exactly_nothing(predicted):
    fused = [item for item in predicted if item.sensor == "fused" and item.task == "mcq"]
    scores = score_predictions([*fused, *(replace(item, sensor="sar", image_ids=(f"sar{item.sample_id}",)) for item in reversed(fused))])
    assert [item["difference"] for item in scores["differences"]] == [{"value": 0.0, "low": 0.0, "high": 0.0}] * 3


def test_settings_are_compared_on_the_samples_that_both_were_asked(predicted):
    fused = [item for item in predicted if item.sensor == "fused" and item.task == "mcq"]
    wrong = [replace(item, sensor="sar", prediction="none") for item in fused[1:]]
    (gain, *_) = score_predictions([*fused, *wrong])["differences"]
    right = [item.prediction == item.ground_truth for item in fused[1:]]
    assert (gain["group"], gain["n"]) == ("all", len(fused) - 1)
    assert gain["difference"]["value"] == pytest.approx(sum(right) / len(right))
    apart = [replace(item, sensor="sar", sample_id=f"other {item.sample_id}") for item in fused]
    assert score_predictions([*fused, *apart])["differences"] == []


def test_classification_scores():
    labels = {"candidates": ["Airport", "Bare Land"]}
    said = [("airport", "Airport"), ("an airport", "airport"), ("bare land", "Airport"), ("BareLand.", "bareland"), (None, "Bare Land")]
    samples = [
        Prediction(str(index), "classification", (str(index),), "sar", "", answer, truth, labels)
        for index, (answer, truth) in enumerate(said)
    ]
    item = score_predictions(samples)["settings"]["sar"]["classification"]
    assert item["overall"]["metrics"]["accuracy"]["value"] == 0.4
    assert item["overall"]["metrics"]["accuracy_contained"]["value"] == 0.6
    assert item["confusion"]["counts"] == [[2, 1, 0], [0, 1, 1]]
    assert item["overall"]["metrics"]["balanced_accuracy"]["value"] == pytest.approx((1 / 3 + 1 / 2) / 2)


def test_scores_are_plain_json_and_repeatable(predicted):
    first = json.dumps(score_predictions(predicted), allow_nan=False)
    assert first == json.dumps(score_predictions(predicted))
    assert json.loads(first)["settings"]["fused"]["referring"]["headline"] == "miou"


def test_nothing_to_score():
    with pytest.raises(DataError, match="no samples to score: the data set or the predictions file is empty"):
        score_predictions([])


def test_answer_must_be_a_candidate():
    with pytest.raises(
        AnnotationError, match=r"sample 'a': the annotated answer 'moon' is none of the candidates .* Correct the annotation"
    ):
        score_predictions([choice("a", "water", ground_truth="moon")])


def test_free_answers_are_no_classes():
    labels = {"candidates": [f"a long answer {number}" for number in range(501)]}
    with pytest.raises(ConfigError, match=r"501 classes, at most 500 are scored as such .* Free answers are task vqa or caption"):
        score_predictions([Prediction("a", "classification", ("a",), "sar", "", "x", "a long answer 1", labels)])


def test_class_must_be_annotated():
    sample = Prediction("a", "classification", ("a",), "sar", "", "port", " . ", {"candidates": ["Port"]})
    with pytest.raises(AnnotationError, match=r"sample 'a': the annotated class ' . ' has no letter; no answer could be right"):
        score_predictions([sample])


def test_short_answer_must_be_annotated():
    with pytest.raises(AnnotationError, match=r"sample 'a': the annotated answer is empty; no answer could be right"):
        score_predictions([choice("a", "water", task="vqa", ground_truth=" . ")])


@pytest.mark.parametrize("meta", [{}, {"candidates": []}, {"candidates": "water"}, {"candidates": [1, 2]}])
def test_choice_needs_candidates(meta):
    with pytest.raises(AnnotationError, match=r"sample 'a' \(mcq\): 'candidates' in its meta must be a list of strings"):
        score_predictions([choice("a", "water", meta=meta)])


def test_interval_narrows_with_the_number_of_samples():
    rng = np.random.default_rng(0)
    samples = [choice(str(index), "water" if rng.random() < 0.5 else "crops") for index in range(5_000)]
    value = score_predictions(samples)["settings"]["optical"]["mcq"]["overall"]["metrics"]["accuracy"]
    assert value["high"] - value["low"] == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(5_000), rel=0.15)
