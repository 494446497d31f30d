from dataclasses import replace

import numpy as np
import pytest

from eocore.errors import DataError
from eocore.evaluate.comparison.paired import compare_predictions
from eocore.evaluate.predictions import Prediction


def answers(rights: list[bool], sensor: str = "optical") -> list[Prediction]:
    return [
        Prediction(f"s{index}", "vqa", (f"i{index}",), sensor, "?", "yes" if right else "no", "yes", {"type": "ab"[index % 2]})
        for index, right in enumerate(rights)
    ]


def test_difference_is_paired_and_narrower_than_of_two_sets_apart():
    rng = np.random.default_rng(0)
    hard = rng.random(400) < 0.5
    better = [bool(easy or rng.random() < 0.15) for easy in hard]
    (row, *types) = compare_predictions(answers(better), answers(list(hard)))
    assert row["difference"]["value"] == pytest.approx(np.mean(better) - np.mean(hard))
    width = row["difference"]["high"] - row["difference"]["low"]
    apart = 2 * 1.96 * np.sqrt(np.var(better) / 400 + np.var(hard) / 400)
    assert width < 0.6 * apart
    assert row["difference"]["low"] > 0 and row["p"] <= 0.01
    assert [(item["samples"], item["n"]) for item in types] == [("a", 200), ("b", 200), ("mean of types", 400)]
    assert types[2]["difference"]["value"] == pytest.approx(np.mean([item["difference"]["value"] for item in types[:2]]))
    assert types[2]["difference"]["low"] > 0


def test_equal_predictions_differ_by_nothing():
    row = compare_predictions(answers([True, False] * 20), list(reversed(answers([True, False] * 20))))[0]
    assert (row["difference"], row["p"]) == ({"value": 0.0, "low": 0.0, "high": 0.0}, 1.0)


def test_two_settings_can_be_compared():
    row = compare_predictions(answers([True] * 9 + [False], "fused"), answers([False] * 10, "sar"))[0]
    assert (row["first_setting"], row["second_setting"], row["difference"]["value"]) == ("fused", "sar", pytest.approx(0.9))


def test_every_figure_of_captions_is_compared():
    texts = ["green trees around a pond", "a road beside a field", "two planes at the airport"]
    said = [Prediction(text, "caption", (text,), "optical", "", text, text) for text in texts]
    other = [replace(sample, prediction=sample.prediction[:-4]) for sample in said]
    rows = compare_predictions(said, other)
    assert [row["metric"] for row in rows] == ["cider", "bleu1", "bleu2", "bleu3", "bleu4", "rouge_l"]
    assert all(row["difference"]["value"] > 0 for row in rows)


def test_other_samples_and_other_truths_are_refused():
    first = answers([True] * 3)
    with pytest.raises(DataError, match=r"task vqa: 1 samples are only in the first file \(s2\) and 0 only in the second"):
        compare_predictions(first, first[:2])
    with pytest.raises(DataError, match=r"sample 's0' has another truth in the second file \('no'\)"):
        compare_predictions(first, [replace(first[0], ground_truth="no"), *first[1:]])
    with pytest.raises(
        DataError, match=r"no scored task in common: vqa \(optical\) against chat|no scored task in common: vqa \(optical\) against none"
    ):
        compare_predictions(first, [replace(sample, task="chat") for sample in first])
