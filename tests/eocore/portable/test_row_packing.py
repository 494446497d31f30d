import pytest
import torch

from eocore.portable.row_packing import pack_rows


class TestPackRows:
    def test_without_a_length_each_sample_has_its_own_row(self) -> None:
        assert pack_rows([5, 3, 4], None) == [[0], [1], [2]]

    def test_rows_hold_every_sample_once_and_are_never_too_long(self) -> None:
        lengths = torch.randint(1, 40, (60,), generator=torch.Generator().manual_seed(0)).tolist()
        rows = pack_rows(lengths, 50)
        assert sorted(index for row in rows for index in row) == list(range(60))
        assert max(sum(lengths[index] for index in row) for row in rows) <= 50
        assert len(rows) <= 1.25 * sum(lengths) / 50 + 1

    def test_longest_first_into_the_first_row_with_room(self) -> None:
        assert pack_rows([3, 6, 4, 2], 8) == [[1, 3], [2, 0]]

    def test_a_sample_longer_than_a_row_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="sample 1 of the batch has 9 tokens, a row takes 8; raise row_length"):
            pack_rows([3, 9], 8)
