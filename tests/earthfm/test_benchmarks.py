"""Captions scored by facts: the class that covers most, the classes named at all."""

import numpy as np
import pytest

pytest.importorskip("olmoearth_pretrain_minimal")
from earthfm.benchmarks import LandCoverCaption
from eocore.errors import AnnotationError
from eocore.evaluate.predictions import Prediction

TRUTH = "The scene shows mostly grass with water and two buildings."


def judged(answer: str, truth: str = TRUTH) -> dict[str, float]:
    sample = Prediction(
        sample_id="a",
        image_ids=("a",),
        sensor="multispectral",
        task="land_cover",
        prompt="?",
        prediction=answer,
        ground_truth=truth,
        meta={"references": [truth]},
    )
    found = LandCoverCaption().judge([sample, sample])
    return {name: measure.of(np.arange(2)) for name, measure in found.measures.items() if name in ("majority", "class_f1")}


@pytest.mark.parametrize(
    ("answer", "majority", "class_f1"),
    [
        (TRUTH, 1.0, 1.0),
        ("The scene shows mostly meadows.", 1.0, 0.5),
        ("The scene shows mostly water with grass.", 0.0, 0.8),
        ("There is grass.", 0.0, 0.5),
        ("", 0.0, 0.0),
    ],
)
def test_facts_of_a_caption(answer: str, majority: float, class_f1: float) -> None:
    assert judged(answer) == pytest.approx({"majority": majority, "class_f1": class_f1})


def test_a_reference_without_such_a_fact_is_refused() -> None:
    with pytest.raises(AnnotationError, match="its reference names none of water, forest"):
        judged("x", truth="Nothing to see.")
