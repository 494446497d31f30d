"""Fewer vision tokens without training."""

import torch
from compressing_models import WIDTH, prompts

from eocore.portable.long_options import LongInput
from eocore.portable.token_reduction import reduce_tokens


def test_means_of_neighbours_stand_where_their_last_token_stood() -> None:
    asked = prompts([[(2, 10)], []], [14, 9])
    found = reduce_tokens(asked, long=LongInput("pool", 4), window=8)
    assert found.attention_mask.sum(1).tolist() == [8, 9]
    own, expected = found.embeddings[0, 1:], asked.embeddings[0]
    torch.testing.assert_close(own[2:4], torch.stack([expected[2:6].mean(0), expected[6:10].mean(0)]))
    assert torch.equal(own[4:], expected[10:])
    assert found.compressible[0].tolist() == [False, False, False, True, True, False, False, False, False]
    assert torch.equal(found.embeddings[1], asked.embeddings[1, 5:])


def test_the_windows_most_like_the_question_are_left() -> None:
    asked = prompts([[(2, 18)]], [22])
    asked.embeddings[0, 2:18] = 0.01 * torch.randn(16, WIDTH)
    asked.embeddings[0, 10:14] += 3 * asked.embeddings[0, 18:].mean(0)
    found = reduce_tokens(asked, long=LongInput("choose", 4), window=4)
    assert found.attention_mask.sum() == 10
    assert torch.equal(found.embeddings[0, 2:6], asked.embeddings[0, 10:14])


def test_tokens_are_left_out_at_random_and_the_same_each_time() -> None:
    asked = prompts([[(2, 34)]], [40])
    first, second = (reduce_tokens(asked, long=LongInput("drop", 4), window=8) for _ in range(2))
    assert first.attention_mask.sum() == 40 - 32 + 8
    assert torch.equal(first.embeddings, second.embeddings)
    assert torch.equal(first.input_ids[0, :2], asked.input_ids[0, :2])
