"""What a predictor implements."""

import pytest
from evaluation_runs import Embedder, Generator, Scorer

from eocore.evaluate.protocols import implemented


@pytest.mark.parametrize(
    ("predictor", "names"), [(Embedder(), ("embeds", "scores")), (Generator(), ("generates",)), (Scorer(), ("scores",)), (object(), ())]
)
def test_protocols_of_a_predictor_are_told(predictor: object, names: tuple[str, ...]) -> None:
    assert implemented(predictor) == names
