"""A tokenizer made of few texts: words as GPT-2's tokenizer has them, months of dates as tokens of their own."""

from itertools import product

import pytest
from tokenizers import Regex, pre_tokenizers
from transformers import PreTrainedTokenizerBase

from eocore.models.tokenizer_training import WORD_PATTERN, train_chat_tokenizer

DATES = [f"2021-{month:02d}-{day:02d}" for month, day in product(range(1, 13), range(1, 32))]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    """Of all dates of a year, each in a list and in front of an image."""
    return train_chat_tokenizer([f"{one} multispectral: {one}, {one}" for one in DATES], 400, template="phi3_chat")


@pytest.mark.parametrize("text", ["2021-03-05", "2021-03-05 multispectral: a\n2021-11-03 multispectral: b", "2021-05-03, 2021-12-31"])
def test_months_and_days_share_no_token_and_texts_come_back(tokenizer: PreTrainedTokenizerBase, text: str) -> None:
    assert tokenizer.decode(tokenizer(text).input_ids) == text
    months = {tokenizer.tokenize(f"2021-{month:02d}-05")[1] for month in range(1, 13)}
    days = {tokenizer.tokenize(f"2021-03-{day:02d}")[2] for day in range(1, 32)}
    assert len(months) == 12 and len(days) == 31 and not months & days


@pytest.mark.parametrize("text", ["It's the lake's edge, isn't it?", "a  b\n\n c [12.5, 3]", "Größe: 10 m² ok", "-03 -5- 7-8-9x", " x "])
def test_other_texts_are_cut_as_by_gpt2s_pattern(text: str) -> None:
    ours = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(WORD_PATTERN), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    theirs = pre_tokenizers.ByteLevel(add_prefix_space=False)
    assert ours.pre_tokenize_str(text) == theirs.pre_tokenize_str(text)
