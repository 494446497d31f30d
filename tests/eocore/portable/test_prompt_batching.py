import pytest
import torch

from eocore.portable.prompt_batching import EncodedPrompt, collate_prompts, to_inputs
from eocore.portable.row_packing import IGNORE


def prompt(ids: list[int], *, placeholders: list[int], supervised: int = 1) -> EncodedPrompt:
    numbers = torch.tensor(ids)
    labels = numbers.clone()
    labels[: len(ids) - supervised] = IGNORE
    return EncodedPrompt("p", numbers, labels, torch.tensor(placeholders, dtype=torch.long), [])


PROMPTS = [prompt([5, 0, 0, 6, 7], placeholders=[1, 2]), prompt([8, 9], placeholders=[]), prompt([0, 4, 3], placeholders=[0])]


def test_placeholders_count_through_the_rows() -> None:
    batch = collate_prompts(PROMPTS, pad_token_id=1)
    assert batch.input_ids.tolist() == [[5, 0, 0, 6, 7], [8, 9, 1, 1, 1], [0, 4, 3, 1, 1]]
    assert batch.placeholders.tolist() == [1, 2, 10]
    assert batch.attention_mask.tolist() == [[1] * 5, [1, 1, 0, 0, 0], [1, 1, 1, 0, 0]]
    assert batch.labels[0].tolist() == [IGNORE] * 4 + [7] and batch.num_samples == 3 and batch.num_tokens == 10


def test_padding_in_front_moves_them() -> None:
    batch = collate_prompts(PROMPTS, pad_token_id=1, left_pad=True)
    assert batch.input_ids[2].tolist() == [1, 1, 0, 4, 3] and batch.attention_mask[2].tolist() == [0, 0, 1, 1, 1]
    assert batch.placeholders.tolist() == [1, 2, 12]
    assert set(to_inputs(batch)) == {"input_ids", "attention_mask", "placeholders"}


def test_rows_of_several_samples() -> None:
    batch = collate_prompts(PROMPTS, pad_token_id=1, row_length=8, full_rows=True)
    assert batch.input_ids.shape == (2, 8) and batch.num_samples == 3
    flat = batch.input_ids.flatten()
    assert flat[batch.placeholders].tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="a row takes 4"):
        collate_prompts(PROMPTS, pad_token_id=1, row_length=4)
