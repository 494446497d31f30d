"""Rows of a batch: which samples share one, where each begins, positions, sequence boundaries, supervised tokens and vision tokens."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol, TypeVar, cast

import torch
from torch import Tensor

from eocore.portable.fusion_plan import FusionPlan, FusionText, plan_fusion

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


class SupervisedTokens(NamedTuple):
    """The tokens that a language model is trained to predict, of all samples of a batch (M of them).

    Attributes:
        positions: (M,) flat position in the (R, S) rows whose state predicts the token, one before the token's own.
        targets: (M,) ids of the tokens.
        weights: (M,) 1 / supervised tokens of the sample / samples.
    """

    positions: Tensor
    targets: Tensor
    weights: Tensor


class VisionInputs(NamedTuple):
    """The tiles of a batch, T of all samples and sensors, and the I placeholders that their vision tokens replace.

    Attributes:
        tiles: (T, C, P, P) uint8.
        tile_group: (2, T) row 0: tiles that show the same location of the same sample share a number; row 1: those that are also of the
            same sensor do. Numbers are below T.
        tile_sample: (T,) sample of each tile.
        placeholder_index: (I,) flat positions in the (R, S) rows.
        vision_index: (I,) flat numbers of the vision tokens that go there.
        keys: of the tiles' content, where encoded tiles are kept; None where they are not.
        fusion: where the sensors of a location become the tokens of one tile; None where each tile keeps its own.
    """

    tiles: Tensor
    tile_group: Tensor
    tile_sample: Tensor
    placeholder_index: Tensor
    vision_index: Tensor
    keys: list[str] | None = None
    fusion: FusionPlan | None = None


Inputs = TypeVar("Inputs")


def to_device(inputs: Inputs, device: torch.device | str) -> Inputs:
    """`inputs` with its tensors on `device`; tuples of the same kinds, named or not, and what they hold."""
    if isinstance(inputs, Tensor):
        return cast(Inputs, inputs.to(device))
    if isinstance(inputs, tuple):
        parts = [to_device(part, device) for part in inputs]
        return cast(Inputs, type(inputs)(*parts) if hasattr(inputs, "_fields") else tuple(parts))
    return inputs


class TiledSample(Protocol):
    """What of a sample becomes `VisionInputs`; numbers count within the sample."""

    @property
    def input_ids(self) -> Tensor:
        """(L,)."""

    @property
    def tiles(self) -> Tensor:
        """(T, C, P, P) uint8; T is 0 without images."""

    @property
    def tile_group(self) -> Tensor:
        """(2, T)."""

    @property
    def tokens_per_tile(self) -> int:
        """Vision tokens of one tile."""

    @property
    def fusion_text(self) -> FusionText | None:
        """Words that the fused vision tokens depend on; None where each tile keeps its own tokens."""

    @property
    def placeholder_index(self) -> Tensor:
        """(I,)."""

    @property
    def vision_index(self) -> Tensor:
        """(I,)."""


class RowLayout:
    """Where each sample begins in the (R, S) token rows.

    Args:
        lengths: tokens of each sample.
        rows: samples of each row, from `pack_rows`.
        width: S.
        left_pad: samples stand at the end of their row, padding in front.
    """

    def __init__(self, lengths: Sequence[int], rows: list[list[int]], *, width: int, left_pad: bool = False) -> None:
        self.lengths, self.rows, self.width = lengths, rows, width
        self.start = [0] * len(lengths)
        for number, row in enumerate(rows):
            position = width - sum(lengths[index] for index in row) if left_pad else 0
            for index in row:
                self.start[index] = number * width + position
                position += lengths[index]

    def fill(self, parts: Sequence[Tensor], value: int) -> Tensor:
        """(R, S) of each sample's (L,) part, `value` in the padding."""
        flat = torch.full((len(self.rows) * self.width,), value, dtype=torch.long)
        for index, part in enumerate(parts):
            flat[slice(*self.span(index))] = part
        return flat.view(len(self.rows), self.width)

    def positions(self, question_starts: Sequence[Sequence[int]]) -> Tensor:
        """(R, S) positions that restart with every sample: transformers reads the boundaries of packed samples from them.

        Args:
            question_starts: where in each sample its independent questions begin, none in one conversation. Each question continues the
                positions of what all of them share.
        """
        flat = torch.zeros(len(self.rows) * self.width, dtype=torch.long)
        for number, row in enumerate(self.rows):
            end = max(self.span(index)[1] for index in row)
            tail = (number + 1) * self.width - end
            flat[end : end + tail] = torch.arange(tail)
            for index in row:
                own = flat[slice(*self.span(index))]
                own.copy_(torch.arange(len(own)))
                starts = question_starts[index]
                for first, last in pairwise([*starts, len(own)]):
                    own[first:last] -= first - starts[0]
        return flat.view(len(self.rows), self.width)

    def span(self, index: int) -> tuple[int, int]:
        """Flat start and end of a sample."""
        return self.start[index], self.start[index] + self.lengths[index]

    def sequence_boundaries(self) -> list[int]:
        """0 and the end of each sample, and of the padding of each row, through all rows."""
        ends = [position for index in range(len(self.lengths)) for position in self.span(index)]
        return sorted({0, *ends, *(self.width * (number + 1) for number in range(len(self.rows)))})

    def attention_mask(self) -> Tensor:
        """(R, S) 1 at the tokens of samples, 0 in the padding."""
        return self.fill([torch.ones(length, dtype=torch.long) for length in self.lengths], 0)


def join_tiles(samples: Sequence[TiledSample], layout: RowLayout) -> VisionInputs | None:
    """The tiles of all samples with numbers that count through the batch; None where no sample has any."""
    tiles, groups, placeholders, sources, owners, texts = [], [], [], [], [], {}
    location_offset = view_offset = token_offset = 0
    for index, sample in enumerate(samples):
        count = len(sample.tiles)
        if not count:
            continue
        tiles.append(sample.tiles)
        owners.append(torch.full((count,), index))
        groups.append(sample.tile_group + torch.tensor([[location_offset], [view_offset]]))
        placeholders.append(sample.placeholder_index + layout.start[index])
        sources.append(sample.vision_index + token_offset)
        location_offset += int(sample.tile_group[0].max()) + 1
        view_offset += int(sample.tile_group[1].max()) + 1
        text = sample.fusion_text
        if text is not None:
            texts[index] = text._replace(positions=text.positions + layout.start[index])
            count = len(text.num_words) * (int(sample.tile_group[0].max()) + 1)
        token_offset += count * sample.tokens_per_tile
    if not tiles:
        return None
    tile_group, tile_sample = torch.cat(groups, dim=1), torch.cat(owners)
    return VisionInputs(
        tiles=torch.cat(tiles),
        tile_group=tile_group,
        tile_sample=tile_sample,
        placeholder_index=torch.cat(placeholders),
        vision_index=torch.cat(sources),
        fusion=plan_fusion(tile_group, tile_sample, texts=list(texts.values()), owners=list(texts)) if texts else None,
    )


def supervised_tokens(labels: Sequence[Tensor], layout: RowLayout) -> SupervisedTokens:
    """The supervised tokens of samples with these labels (L,), which are `IGNORE` elsewhere."""
    positions, targets, weights = [], [], []
    for index, own in enumerate(labels):
        # the state at position p predicts the token at p + 1
        supervised = (own[1:] != IGNORE).nonzero().flatten()
        positions.append(supervised + layout.start[index])
        targets.append(own[1:][supervised])
        weights.append(torch.full((len(supervised),), 1.0 / max(len(supervised), 1) / len(labels)))
    return SupervisedTokens(torch.cat(positions), torch.cat(targets), torch.cat(weights))


def without_padding(ids: Sequence[int], pad: int) -> list[int]:
    """The ids of a row between its padding in front and at the end."""
    kept = [number for number, token in enumerate(ids) if token != pad]
    return list(ids[kept[0] : kept[-1] + 1]) if kept else []
