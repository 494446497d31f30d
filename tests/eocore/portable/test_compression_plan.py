"""Windows, what is kept of each, and positions."""

import torch

from eocore.portable.compression_plan import compressible_tokens, count_windows, plan_sample


def test_chunks_positions_and_what_is_kept_of_a_sample() -> None:
    shown = torch.tensor([0, 0, 1, 1, 1, 1, 0, 1, 1, 1, 0, 0], dtype=torch.bool)
    plan = plan_sample(shown, [2, 2], window=4)
    assert plan.num_compression == 3
    assert plan.chunk.tolist() == [0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 1, 1, 2]
    # behind the second and the fourth token of the first window, behind the second of the next, whose third is left over
    assert plan.order[-3:].tolist() == [7, 11, 17]
    assert plan.kept.tolist() == [True, True, *[False] * 4, True, False, False, True, True, True, True, True, True]
    assert plan.memory == [0, 2, 4, 7]
    first = plan.tokens_of(1)
    assert first.tolist() == [2, 3, 12, 4, 5, 13]
    assert plan.position[first].tolist() == [2, 3, 4, 5, 6, 7]
    assert plan.position[plan.tokens_of(2)].tolist() == [4, 5, 6, 7, 8]
    assert plan.memory_position[plan.remembered()].tolist() == list(range(9))
    assert plan.last_position == 8


def test_windows_are_counted_with_the_part_at_the_end() -> None:
    assert [count_windows(torch.ones(count, dtype=torch.bool), 4) for count in (0, 1, 4, 5)] == [0, 1, 1, 2]


def test_image_tokens_of_a_region_are_not_compressed() -> None:
    ids = torch.tensor([[1, 9, 9, 9, 2, 8, 9, 9, 3], [9, 9, 2, 8, 9, 3, 3, 3, 3]])
    found = compressible_tokens(ids, image_token_id=9, region_token_id=8)
    assert found.int().tolist() == [[0, 1, 1, 1, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0, 0, 0, 0]]
    assert compressible_tokens(ids, image_token_id=9, region_token_id=None).sum() == 8
