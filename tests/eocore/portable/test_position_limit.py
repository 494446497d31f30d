"""Positions of language models, and prompts beyond them."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from eocore.portable.position_limit import LastPosition, SampleTooLongError, check_prompt_length, most_prompt_tokens, num_positions


@pytest.mark.parametrize(
    ("rope", "expected"),
    [
        (None, 100),
        ({"rope_type": "default", "rope_theta": 1e4}, 100),
        ({"rope_type": "dynamic", "factor": 2.0}, 200),
        ({"type": "linear", "factor": 4.0}, 400),
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 50}, 200),
        ({"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 50}, 100),  # stretched already: Llama 3.1
        ({"full_attention": {"rope_type": "linear", "factor": 8.0}, "sliding_attention": {"rope_type": "default"}}, 800),  # Gemma 3
    ],
)
def test_positions_count_with_what_stretches_them(rope: Any, expected: int) -> None:
    config = SimpleNamespace(max_position_embeddings=100, rope_parameters=rope)
    assert num_positions(config) == expected and most_prompt_tokens(config) == expected - 1


def test_models_without_a_limit_take_any_prompt() -> None:
    assert most_prompt_tokens(SimpleNamespace()) is None
    check_prompt_length(SimpleNamespace(), torch.zeros(1, 10_000), attention_mask=None)


def test_a_prompt_leaves_room_for_an_answer_and_padding_does_not_count() -> None:
    config = SimpleNamespace(max_position_embeddings=5)
    ids = torch.zeros(2, 6, dtype=torch.long)
    check_prompt_length(config, ids, attention_mask=torch.tensor([[0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 0, 1]]))
    with pytest.raises(
        SampleTooLongError, match=r"prompt 1: 5 tokens, but the model has positions for 4 and an answer; .* Nothing was cut"
    ):
        check_prompt_length(config, ids, attention_mask=torch.tensor([[0, 0, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1]]))
    with pytest.raises(SampleTooLongError, match="prompt 0: 6 tokens"):
        check_prompt_length(config, ids, attention_mask=None)


def test_each_answer_ends_at_its_own_last_position() -> None:
    ids = torch.tensor([[0, 5, 6], [4, 5, 6]])
    limit = LastPosition([2, 3], positions=5, columns=3, ends={9})
    first = torch.cat([ids, torch.tensor([[7], [7]])], 1)
    assert limit(first, None).tolist() == [False, False]
    second = torch.cat([first, torch.tensor([[7], [9]])], 1)
    assert limit(second, None).tolist() == [False, True] and limit.num_cut == 0, "the second one had ended by itself"
    third = torch.cat([second, torch.tensor([[7], [9]])], 1)
    assert limit(third, None).tolist() == [True, True] and limit.num_cut == 1
    with pytest.warns(UserWarning, match=r"1 of 2 answers stopped unfinished at the model's last position \(5 tokens"):
        limit.warn()
