from dataclasses import replace

import pytest

from eocore.errors import AnnotationError
from eocore.evaluate.predictions import Prediction
from eocore.evaluate.scoring.score import score_predictions

TEXTS = ["Many green trees are around a pond.", "A baseball field is beside a road.", "Two planes are parked at the airport."]


def caption(number: int, said: str | None, task: str = "caption") -> Prediction:
    meta = {"references": [TEXTS[number], "Here is a place."], "type": "a" if number else "b"}
    return Prediction(str(number), task, ("same.png",), "optical", "", said, TEXTS[number], meta)


def scores(*samples: Prediction) -> dict:
    return score_predictions(samples)["settings"]["optical"][samples[0].task]


def test_every_figure_of_a_caption_and_its_variant():
    item = scores(*(caption(number, text) for number, text in enumerate(TEXTS)))
    found = {name: value["value"] for name, value in item["overall"]["metrics"].items()}
    assert list(found) == ["bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "cider"]
    assert found["bleu4"] == pytest.approx(1.0)
    assert found["cider"] == pytest.approx(5.0)  # half of the most there is: each has one of two references word for word
    assert item["headline"] == "cider"
    assert item["details"] == {"tokenizer": "ptb-regex", "mean_length": pytest.approx(7.0)}


def test_empty_missing_and_repeated_images_do_no_harm():
    item = scores(caption(0, ""), caption(1, None), caption(2, TEXTS[2]), replace(caption(2, "tab\there\n"), sample_id="again"))
    assert (item["overall"]["n"], item["overall"]["n_missing"], item["overall"]["n_unparsed"]) == (4, 1, 1)
    assert 0.0 < item["overall"]["metrics"]["rouge_l"]["value"] < 0.5
    assert item["overall"]["metrics"]["bleu1"]["low"] is None  # one image: nothing to draw from


def test_a_type_keeps_the_weights_of_the_whole_set():
    samples = [caption(number, text) for number, text in enumerate(TEXTS)]
    of_type = scores(*samples)["by_type"]["b"]["metrics"]["cider"]["value"]
    assert of_type == pytest.approx(5.0)
    assert scores(samples[0])["overall"]["metrics"]["cider"]["value"] == 0.0


def test_regions_are_captions_and_open_answers_lead_with_rouge():
    assert scores(caption(0, TEXTS[0], "region"))["headline"] == "cider"
    assert scores(caption(0, TEXTS[0], "open"))["headline"] == "rouge_l"


def test_a_caption_needs_a_reference():
    with pytest.raises(AnnotationError, match=r"sample '0' \(caption\): expected one reference text or more .*, found \[\]"):
        scores(replace(caption(0, "x"), meta={"references": []}))
