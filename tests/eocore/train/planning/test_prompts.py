"""Prompts made of no data."""

import pytest

from eocore.errors import ConfigError
from eocore.registry import TOKENIZERS
from eocore.train.planning.estimate import StepShape
from eocore.train.planning.prompts import example_prompts, step_of_prompts, vocabulary_size


def test_samples_share_rows_and_each_has_its_image() -> None:
    prompts = example_prompts(StepShape(tokens=64, rows=2, samples=2, supervised=8, masks=0), per_image=5)
    assert prompts.input_ids.shape == (2, 64) and len(prompts.placeholders) == 4 * 5
    assert prompts.sequence_boundaries == [0, 32, 64, 96, 128] and len(prompts.supervised.targets) == 4 * 8
    with pytest.raises(ConfigError, match="1 samples of 9 image tokens and 8 supervised tokens do not fit a row of 16"):
        example_prompts(StepShape(tokens=16, supervised=8), per_image=9)


def test_the_tokenizer_has_as_many_tokens_as_asked_for() -> None:
    made = TOKENIZERS.build({"type": "StandInChatTokenizer", "size": 300})
    assert len(made) == 300 and made.eos_token == "</s>"


def test_the_largest_step_is_a_batch_of_the_longest_samples() -> None:
    assert step_of_prompts({"batch_size": 4, "max_length": 512}) == StepShape(tokens=512, rows=4, masks=0)


def test_the_vocabulary_is_the_language_model_s_or_the_tokenizer_s() -> None:
    assert vocabulary_size({"model": {"text_config": {"vocab_size": 7}}, "tokenizer": {"vocab_size": 9}}, example="") == 7
    assert vocabulary_size({"tokenizer": {"vocab_size": 9}}, example="") == 9
    with pytest.raises(ConfigError, match=r"not stated: set task\.model\.text_config\.vocab_size \(CLIP: 49408\)"):
        vocabulary_size({}, example="CLIP: 49408")
