import numpy as np
import pytest

from eocore.data.io.masks import encode_rle
from eocore.errors import AnnotationError, ConfigError
from eocore.evaluate.predictions import Prediction
from eocore.evaluate.scoring.score import score_predictions


def square(at: int, side: int) -> dict:
    mask = np.zeros((100, 100), dtype=bool)
    mask[at : at + side, at : at + side] = True
    return encode_rle(mask)


def phrase(sample_id: str, drawn: tuple, asked: tuple, said: str | None = "[SEG]") -> Prediction:
    return Prediction(sample_id, "referring", (sample_id,), "sar", "", said, "", {}, drawn, asked)


def scores(*samples: Prediction, **options) -> dict:
    return score_predictions(samples, metrics={"referring": {"type": "ReferringMasks", **options}})["settings"]["sar"]["referring"]


def value(item: dict, name: str) -> float:
    return item["overall"]["metrics"][name]["value"]


def test_phrases_without_target_have_a_score_of_their_own():
    nothing = phrase("a", (), ()), phrase("b", (square(0, 5),), ()), phrase("c", (), (), None)
    item = scores(*nothing, phrase("d", (square(0, 5),), (square(0, 5),)), phrase("e", (), (square(0, 5),)))
    assert value(item, "no_target_accuracy") == pytest.approx(1 / 3)
    assert value(item, "target_accuracy") == 0.5
    assert "no_target_accuracy" not in scores(phrase("d", (), (square(0, 5),)))["overall"]["metrics"]


def test_both_empty_is_a_choice():
    silent = phrase("a", (), ())
    assert value(scores(silent), "miou") == 1.0
    assert value(scores(silent, both_empty=0), "miou") == 0.0


def test_size_of_evaluation_is_a_choice():
    sample = phrase("a", (square(0, 49),), (square(0, 50),))
    assert value(scores(sample), "miou") == pytest.approx(49**2 / 50**2)
    assert value(scores(sample, eval_size=10), "miou") == 1.0


@pytest.mark.parametrize("options", [{"both_empty": 2}, {"eval_size": 0}])
def test_wrong_options(options):
    with pytest.raises(ConfigError, match="both_empty must be 0 or 1 and eval_size 1 px or more"):
        scores(phrase("a", (), ()), **options)


@pytest.mark.parametrize("counts", ["", "0", "zzzzzzzzzz", "PPP", "\u00e9", "1" * 5000])
def test_a_damaged_mask_is_an_error_that_names_it(counts):
    with pytest.raises(AnnotationError, match=r"sample 'a', predicted mask 1: RLE"):
        scores(phrase("a", ({"size": [100, 100], "counts": counts},), (square(0, 5),)))
