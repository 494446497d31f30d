"""Images that a batch holds several times are encoded once. Questions about one image are asked one after the other."""

import torch
from torch import Tensor


def find_duplicates(images: Tensor) -> tuple[Tensor, Tensor]:
    """(first, index) of images (T, ...): `images[first]` are the different ones (U, ...), and `images[first][index]` equals `images`.

    Images are compared byte by byte; sums only tell which pairs need not be.
    """
    rows = images.flatten(1).contiguous()
    # eight bytes at a time: the sums read every tile of a batch before the encoder does
    words = rows.view(torch.int64) if rows.dtype == torch.uint8 and rows.shape[1] % 8 == 0 and len(rows) else rows
    sums = torch.stack([words.sum(1, dtype=torch.int64), words[:, ::7].sum(1, dtype=torch.int64)], dim=1).tolist()
    seen: dict[tuple[int, int], list[int]] = {}
    first: list[int] = []
    index: list[int] = []
    for number, (whole, part) in enumerate(sums):
        alike = seen.setdefault((whole, part), [])
        found = next((other for other in alike if torch.equal(rows[first[other]], rows[number])), None)
        if found is None:
            found = len(first)
            first.append(number)
            alike.append(found)
        index.append(found)
    return torch.tensor(first, device=images.device, dtype=torch.long), torch.tensor(index, device=images.device, dtype=torch.long)
