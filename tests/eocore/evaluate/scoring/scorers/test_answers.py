import pytest

from eocore.errors import AnnotationError, ConfigError
from eocore.evaluate.predictions import Prediction
from eocore.evaluate.scoring.score import score_predictions


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


def test_the_score_of_earthmind_s_second_release_stands_apart():
    """Exact equality; without samples that have no prediction; tasks alike, whatever their number of questions."""
    samples = [
        *(choice(f"a{number}", "1", "1", "scene") for number in range(6)),
        choice("a6", "A", "1", "scene"),
        choice("a7", " 1", "1", "scene"),
        choice("b", "2", "1", "count"),
        choice("c", None, "3", "count"),
        choice("d", "3", "3", "count"),
        choice("e", None, "3", "lost"),
    ]
    item = scores(*samples)
    published = item["reference_compat"]
    assert published["accuracy_verbatim_task_mean"]["value"] == pytest.approx((6 / 8 + 1 / 2) / 2)
    assert published["accuracy_verbatim_task_mean"]["low"] < 0.625 < published["accuracy_verbatim_task_mean"]["high"]
    assert published["accuracy_verbatim"]["value"] == pytest.approx(7 / 12)
    assert item["macro"]["value"] == pytest.approx((1 + 1 / 3 + 0) / 3)
    plain = scores(Prediction("a", "mcq", ("a",), "optical", "", "road", "road", {"candidates": ["road", "river"]}))
    assert plain["reference_compat"].keys() == {"accuracy_verbatim"}


def test_options_that_are_no_numbers_have_no_tolerance():
    meta = {"candidates": ["road", "river"]}
    assert "within_one" not in scores(Prediction("a", "mcq", ("a",), "optical", "", "road", "road", meta))["overall"]["metrics"]


def asked(said: str | None, truth: str, **meta) -> Prediction:
    number = asked.count = getattr(asked, "count", 0) + 1
    meta = {"candidates": ["water", "forest", "road", "grass"], **meta}
    return Prediction(str(number), "mcq", (str(number),), "optical", "", said, truth, meta)


def accuracy(*samples: Prediction, **options) -> float:
    return value(scores(*samples, metrics={"mcq": {"type": "Choice", **options}})["overall"])


def test_what_cannot_be_read_is_counted_by_reason_and_shown():
    item = scores(
        asked("A, B", "A"), asked("B. water", "B"), asked("E", "A"), asked("A or C", "A"), asked(None, "A"), asked("x" * 300, "A")
    )
    assert value(item["overall"]) == 0.0
    assert (item["overall"]["n_unparsed"], item["overall"]["n_missing"]) == (5, 1)
    reasons = item["unparsed"]["reasons"]
    assert reasons["several options are named"] == 2
    assert reasons["letter and text are of different options"] == reasons["the letter is none of the options'"] == 1
    examples = item["unparsed"]["examples"]
    assert [example["prediction"][:8] for example in examples[:4]] == ["A, B", "B. water", "E", "x" * 8]
    assert examples[3]["prediction"].endswith("... (300 characters)")
    assert item["details"]["reading"] == "lenient"


def test_scores_without_unread_answers_say_nothing_of_them():
    assert "unparsed" not in scores(asked("A", "A"))


def test_strict_mode_reads_stated_choices_alone():
    samples = [asked("I would choose B", "B"), asked("there is a forest", "B"), asked("B", "B"), asked("Answer: forest", "B")]
    assert accuracy(*samples) == 1.0
    assert accuracy(*samples, reading="strict") == 0.5
    with pytest.raises(ConfigError, match=r"Choice\.reading is 'lax' \(a text\); expected one of 'strict', 'lenient'"):
        accuracy(*samples, reading="lax")


def test_questions_with_several_right_options_are_compared_as_sets():
    samples = [asked("C and A", "A, C"), asked("water; road", "A, C"), asked("A", "A, C"), asked("A, B, C", "A, C")]
    assert accuracy(*samples) == 0.5
    assert accuracy(asked("A, C", "A", answers=["A", "road"])) == 1.0
    item = scores(asked("A, B", "A", several=True), asked("A", "A", several=True))
    assert (value(item["overall"]), item["overall"]["n_unparsed"]) == (0.5, 0)
    assert scores(asked("A, B", "A"), metrics={"mcq": {"type": "Choice", "several": True}})["overall"]["n_unparsed"] == 0


def test_truths_of_every_form():
    forms = ["B", "b.", "(B)", "forest", "Forest", "B. forest", "B: forest"]
    assert accuracy(*(asked("forest", truth) for truth in forms)) == 1.0


def test_the_first_of_numbered_options_is_never_guessed():
    with pytest.raises(AnnotationError, match=r"the annotated answer '1' is none of the candidates .* --index-base 0 or 1"):
        accuracy(asked("forest", "1"))
    assert accuracy(asked("forest", "1"), asked("1", "1"), asked("D", "3"), index_base=0) == 1.0
    assert accuracy(asked("forest", "2"), asked("D", "4"), index_base=1) == 1.0
    with pytest.raises(AnnotationError, match=r"'4' is none of the candidates .* \(the number is none of an option\)"):
        accuracy(asked("forest", "4"), index_base=0)
    with pytest.raises(ConfigError, match=r"index_base must be 0 or 1, the number of the first option; found 2"):
        accuracy(asked("forest", "4"), index_base=2)
    with pytest.raises(AnnotationError, match=r"'B. water' is none of the candidates .* \(letter and text are of different options\)"):
        accuracy(asked("forest", "B. water"))


def test_counts_are_compared_as_numbers_and_what_is_none_is_shown():
    said = [("2", "2.0"), ("two buildings", "2"), ("There are 1,200 of them", "1200"), ("many", "3"), ("2 or 3", "3")]
    item = scores(*(short(str(number), *pair, "count") for number, pair in enumerate(said)))
    assert value(item["overall"]) == 0.6
    assert item["overall"]["n_unparsed"] == 2
    assert item["unparsed"]["reasons"] == {"no single number": 2}
    assert [example["prediction"] for example in item["unparsed"]["examples"]] == ["many", "2 or 3"]


def test_lhrs_leaves_counts_and_areas_out_and_takes_any_part_of_the_truth_even_nothing():
    samples = [short("a", "", "yes", "presence"), short("b", "ye", "yes", "presence"), short("c", "no", "yes", "comp")]
    samples += [short("d", "7", "3", "count"), short("e", "large", "small", "area"), short("f", None, "yes", "comp")]
    item = scores(*samples)
    assert value(item["overall"]) == 0.0
    assert item["reference_compat"]["accuracy_evalai_substring"]["value"] == pytest.approx(2 / 4)


def test_lhrs_has_no_figure_without_types_or_for_counts_alone():
    assert "accuracy_evalai_substring" not in scores(short("a", "yes", "yes"))["reference_compat"]
    assert "accuracy_evalai_substring" not in scores(short("a", "3", "3", "count"))["reference_compat"]
