import pytest

from eocore.errors import ConfigError
from eocore.evaluate.predictions import Prediction
from eocore.evaluate.score import score_predictions


def short(sample_id: str, said: str | None, truth: str, kind: str | None = None) -> Prediction:
    return Prediction(sample_id, "vqa", (sample_id,), "optical", "", said, truth, {} if kind is None else {"type": kind})


def scores(*samples: Prediction, metrics: dict | None = None) -> dict:
    return score_predictions(samples, metrics=metrics)["settings"]["optical"][samples[0].task]


def value(group: dict, name: str = "accuracy") -> float:
    return group["metrics"][name]["value"]


def test_a_missing_answer_lowers_the_score_and_the_denominator_stands():
    answered = [short(str(number), "yes", "yes") for number in range(3)]
    whole = scores(*answered, short("3", "yes", "yes"))["overall"]
    lacking = scores(*answered, short("3", None, "yes"))["overall"]
    assert (value(whole), value(lacking)) == (1.0, 0.75)
    assert (lacking["n"], lacking["n_missing"], lacking["n_unparsed"]) == (4, 1, 0)


def test_micro_and_macro_averages_have_names_of_their_own_with_and_without_counts():
    samples = [short(f"p{number}", "yes", "yes", "presence") for number in range(3)]
    samples += [short("c", "no", "yes", "comp"), short("n", "9", "3", "count")]
    item = scores(*samples)
    assert value(item["overall"]) == pytest.approx(3 / 5)
    assert item["macro"]["value"] == pytest.approx((1 + 0 + 0) / 3)
    without = item["subsets"]["without count"]
    assert value(without["overall"]) == pytest.approx(3 / 4)
    assert without["macro"]["value"] == pytest.approx((1 + 0) / 2)


def test_counts_are_exact_and_beside_it_by_class():
    item = scores(short("a", "7", "3", "count"), short("b", "12", "3", "count"), short("c", "yes", "yes", "presence"))
    assert value(item["by_type"]["count"]) == 0.0
    assert value(item["overall"], "count_bucket") == 0.5
    assert "count_bucket" not in item["by_type"]["presence"]["metrics"]


def test_published_rule_stands_apart():
    item = scores(short("a", "Yes, there is.", "yes"), short("b", " Ye s", "yes"))
    assert value(item["overall"]) == 0.5
    assert item["reference_compat"]["accuracy_bare_equality"]["value"] == 0.5
    assert set(item["overall"]["metrics"]).isdisjoint(item["reference_compat"])


def test_longer_answers_by_the_vrsbench_rule():
    samples = [short("a", "It is a red roof", "red"), short("b", "not sure", "no"), short("c", "10", "1")]
    item = scores(*samples, metrics={"vqa": {"type": "ShortAnswer", "match": "contained"}})
    assert value(item["overall"]) == pytest.approx(1 / 3)
    assert item["overall"]["n_unparsed"] == 1
    assert item["reference_compat"]["accuracy_substring"]["value"] == 1.0


def test_unknown_rule_names_the_choices():
    with pytest.raises(ConfigError, match=r"match must be one of equal, contained, found 'like'"):
        scores(short("a", "b", "c"), metrics={"vqa": {"type": "ShortAnswer", "match": "like"}})


def choice(sample_id: str, said: str | None, truth: str, kind: str = "t") -> Prediction:
    meta = {"candidates": ["1", "2", "3", "6"], "type": kind}
    return Prediction(sample_id, "mcq", (sample_id,), "optical", "", said, truth, meta)


def test_counting_within_one_and_the_verbatim_rule():
    item = scores(choice("a", "2", "1"), choice("b", " (C)", "3"), choice("c", "6", "3"), choice("d", "I cannot tell.", "6"))
    assert value(item["overall"]) == 0.25
    assert value(item["overall"], "within_one") == 0.5
    assert item["overall"]["n_unparsed"] == 1
    assert item["reference_compat"]["accuracy_verbatim"]["value"] == 0.0
    assert item["chance"] == 0.25


def test_mean_over_tasks_is_the_average_of_earthmind_bench():
    samples = [choice(f"a{number}", "1", "1", "scene") for number in range(9)] + [choice("b", "2", "1", "count")]
    item = scores(*samples)
    assert value(item["overall"]) == 0.9
    assert item["macro"]["value"] == 0.5


def test_options_that_are_no_numbers_have_no_tolerance():
    meta = {"candidates": ["road", "river"]}
    assert "within_one" not in scores(Prediction("a", "mcq", ("a",), "optical", "", "road", "road", meta))["overall"]["metrics"]
