"""Images that a batch holds several times in a batch are found."""

import torch

from eocore.portable.duplicates import find_duplicates


def test_the_different_ones_and_where_they_stand() -> None:
    images = torch.randint(0, 255, (4, 3, 8, 8), dtype=torch.uint8)
    stacked = images[[2, 0, 2, 2, 1, 0, 3]]
    first, index = find_duplicates(stacked)
    assert first.tolist() == [0, 1, 4, 6]
    assert torch.equal(stacked[first][index], stacked)


def test_images_of_equal_sums_are_told_apart() -> None:
    images = torch.zeros(3, 1, 4, 4, dtype=torch.uint8)
    images[0, 0, 0, 1], images[1, 0, 0, 2], images[2, 0, 0, 1] = 9, 9, 9
    assert find_duplicates(images)[1].tolist() == [0, 1, 0]


def test_no_image_at_all() -> None:
    first, index = find_duplicates(torch.zeros(0, 3, 4, 4, dtype=torch.uint8))
    assert (len(first), len(index)) == (0, 0)
