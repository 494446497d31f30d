"""Class scores by embeddings of several templates."""

import numpy as np
import pytest
from evaluation_runs import Embedder, Generator, Scorer

from eocore.errors import ConfigError, DataError
from eocore.evaluate.embedding_scores import EmbeddingScores, as_scores, class_prompts, unit_vectors
from eocore.evaluate.protocols import ClassPrompts


def test_a_class_is_the_normalised_mean_of_its_normalised_texts() -> None:
    prompts = ClassPrompts(("forest", "lake"), (("a forest", "trees"), ("a lake", "water")))
    found = EmbeddingScores(Embedder()).class_scores([[2.0, 2.0, 0.0], [0.0, 0.0, 7.0], [1.0, 0.0, 0.0]], prompts)
    np.testing.assert_allclose(found, [[1.0, 0.0], [0.0, 1.0], [np.sqrt(0.5), 0.0]], atol=1e-6)


def test_a_predictor_that_scores_is_taken_as_it_is() -> None:
    scorer = Scorer()
    assert as_scores(scorer) is scorer
    assert isinstance(as_scores(Embedder()), EmbeddingScores)
    with pytest.raises(ConfigError, match="Generator neither scores classes nor embeds"):
        as_scores(Generator())


def test_every_template_is_filled_with_every_class() -> None:
    assert class_prompts(["a", "b"], ["{label}!", "of {label}"]).texts == (("a!", "of a"), ("b!", "of b"))
    with pytest.raises(ConfigError, match=r"templates \['a photo'\]: each must hold \{label\}"):
        class_prompts(["a"], ["{label}", "a photo"])


def test_a_vector_without_direction_is_an_error() -> None:
    with pytest.raises(DataError, match="1 of 2 vectors are zero or not finite"):
        unit_vectors(np.array([[0.0, 0.0], [1.0, 0.0]]))
