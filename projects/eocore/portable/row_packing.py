"""Rows of a batch: which samples share one, where each begins, positions, sequence boundaries, supervised tokens and vision tokens."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

IGNORE = -100
"""Label of a token that is not supervised (the value torch's cross-entropy ignores)."""


def pack_rows(lengths: Sequence[int], row_length: int | None) -> list[list[int]]:
    """Which samples share a row: first fit, longest first, each row at most `row_length` tokens. None gives each sample its own row.

    Raises:
        ValueError: a sample alone is longer than a row.
    """
    if row_length is None:
        return [[index] for index in range(len(lengths))]
    rows: list[list[int]] = []
    free: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda number: -lengths[number]):
        length = lengths[index]
        if length > row_length:
            raise ValueError(
                f"sample {index} of the batch has {length} tokens, a row takes {row_length}; raise row_length or lower max_length."
            )
        row = next((number for number, space in enumerate(free) if space >= length), None)
        if row is None:
            rows.append([])
            free.append(row_length)
            row = len(rows) - 1
        rows[row].append(index)
        free[row] -= length
    return rows


class RowLayout:
    """Where each sample begins in the (R, S) token rows."""

    def __init__(self, samples: Sequence[Mapping[str, Any]], rows: list[list[int]], *, width: int, left_pad: bool = False) -> None:
        self.samples, self.rows, self.width, self.left_pad = samples, rows, width, left_pad
        self.start = [0] * len(samples)
        for number, row in enumerate(rows):
            place = width - sum(len(samples[index]["input_ids"]) for index in row) if left_pad else 0
            for index in row:
                self.start[index] = number * width + place
                place += len(samples[index]["input_ids"])

    def fill(self, key: str, value: int) -> Tensor:
        flat = torch.full((len(self.rows) * self.width,), value, dtype=torch.long)
        for index, sample in enumerate(self.samples):
            flat[self.start[index] : self.start[index] + len(sample[key])] = sample[key]
        return flat.view(len(self.rows), self.width)

    def positions(self) -> Tensor:
        """Positions that restart with every sample: transformers reads the borders of packed samples from them.

        Independent questions each go on where what they share ends.
        """
        flat = torch.zeros(len(self.rows) * self.width, dtype=torch.long)
        for number in range(len(self.rows)):
            used = [index for index in self.rows[number]]
            end = max(self.start[index] + len(self.samples[index]["input_ids"]) for index in used)
            tail = (number + 1) * self.width - end
            flat[end : end + tail] = torch.arange(tail)
            for index in used:
                own = flat[self.start[index] : self.start[index] + len(self.samples[index]["input_ids"])]
                own.copy_(torch.arange(len(own)))
                starts = self.samples[index].get("question_starts", ())
                for first, end in pairwise([*starts, len(own)]):
                    own[first:end] -= first - starts[0]
        return flat.view(len(self.rows), self.width)

    def span(self, index: int) -> tuple[int, int]:
        """Flat start and end of a sample."""
        return self.start[index], self.start[index] + len(self.samples[index]["input_ids"])

    def borders(self) -> list[int]:
        """0 and the end of each sample, and of the filling of each row, through all rows."""
        ends = [place for index in range(len(self.samples)) for place in self.span(index)]
        return sorted({0, *ends, *(self.width * (number + 1) for number in range(len(self.rows)))})

    def attention_mask(self) -> Tensor:
        mask = torch.zeros(len(self.rows) * self.width, dtype=torch.long)
        for index, sample in enumerate(self.samples):
            mask[self.start[index] : self.start[index] + len(sample["input_ids"])] = 1
        return mask.view(len(self.rows), self.width)


def join_tiles(samples: Sequence[Mapping[str, Any]], layout: RowLayout) -> dict[str, Any]:
    tiles, groups, placeholders, sources, owners = [], [], [], [], []
    place_offset = view_offset = token_offset = 0
    for index, sample in enumerate(samples):
        count = len(sample["tiles"])
        if not count:
            continue
        tiles.append(sample["tiles"])
        owners.append(torch.full((count,), index))
        groups.append(sample["tile_group"] + torch.tensor([[place_offset], [view_offset]]))
        placeholders.append(sample["placeholder_index"] + layout.start[index])
        sources.append(sample["vision_index"] + token_offset)
        place_offset += int(sample["tile_group"][0].max()) + 1
        view_offset += int(sample["tile_group"][1].max()) + 1
        token_offset += count * sample["tokens_per_tile"]
    if not tiles:
        return {}
    return {
        "tiles": torch.cat(tiles),
        "tile_group": torch.cat(groups, dim=1),
        "tile_sample": torch.cat(owners),
        "placeholder_index": torch.cat(placeholders),
        "vision_index": torch.cat(sources),
    }


def supervised_tokens(samples: Sequence[Mapping[str, Any]], layout: RowLayout) -> dict[str, Any]:
    places, targets, weights = [], [], []
    for index, sample in enumerate(samples):
        # the state at place p predicts the token at p + 1
        scored = (sample["labels"][1:] != IGNORE).nonzero().flatten()
        places.append(scored + layout.start[index])
        targets.append(sample["labels"][1:][scored])
        weights.append(torch.full((len(scored),), 1.0 / max(len(scored), 1) / len(samples)))
    return {"label_index": torch.cat(places), "label_target": torch.cat(targets), "label_weight": torch.cat(weights)}


def without_padding(ids: Sequence[int], pad: int) -> list[int]:
    """The ids of a row between its padding in front and at the end."""
    kept = [number for number, token in enumerate(ids) if token != pad]
    return list(ids[kept[0] : kept[-1] + 1]) if kept else []
