"""Encoded samples and batches of them: rows of tokens, the tiles of all sensors in one tensor, masks with the positions of their [SEG]."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from eocore.portable.fusion_plan import FusionText
from eocore.portable.row_packing import (
    IGNORE,
    RowLayout,
    SupervisedTokens,
    VisionInputs,
    join_tiles,
    pack_rows,
    supervised_tokens,
    to_device,
)
from eocore.portable.series import MomentNames

DrawOn = Callable[[], Tensor]
"""Prepares the grounding images (G, C, S, S) uint8 of one moment of a sample; called for those that masks are asked of."""


ONE_MOMENT = MomentNames(("",))


class Sample(NamedTuple):
    """One encoded sample: L tokens, T tiles of side P, K [SEG] tokens, G grounding images of side S. Numbers count within the sample.

    Attributes:
        sample_id: for messages.
        input_ids: (L,).
        labels: (L,) ids of supervised tokens, `IGNORE` elsewhere.
        question_starts: where each independent question begins; empty: they are one conversation.
        tiles: (T, C, P, P) uint8; T is 0 without images.
        tile_group: (2, T), see `VisionInputs`.
        tokens_per_tile: vision tokens of one tile.
        placeholder_index: (I,) positions of the placeholders.
        vision_index: (I,) number of the vision token that replaces each.
        seg_index: (K,) positions of the [SEG] tokens.
        attention_columns: (Q * M, A) positions of the tokens that show the whole image, view by view, of each of M moments (one, but in a
            series), each time that images are shown (once, or to each independent question), padded with -1; for the attention loss.
        grounding_images: (G, C, S, S) uint8, the images that masks are drawn on; None where none is.
        grounding_moment: (G,) number of each one's moment, in order.
        seg_moment: (K,) number of the moment that each [SEG] is drawn on.
        names: of the moments, by which an answer finds those of its [SEG] tokens.
        fusion_text: words that the vision tokens depend on; None where each tile keeps its tokens.
        masks: (K, S, S) uint8, one for each [SEG]; None when predicting.
        draw_on: gives `grounding_images` of each moment later (generation); None elsewhere.
        seed: of the sample's own randomness in the losses.
        faults: broken samples that this one stands for (see `eocore.data.loading.error_policy`).
    """

    sample_id: str
    input_ids: Tensor
    labels: Tensor
    question_starts: list[int]
    tiles: Tensor
    tile_group: Tensor
    tokens_per_tile: int
    placeholder_index: Tensor
    vision_index: Tensor
    seg_index: Tensor
    attention_columns: Tensor
    grounding_images: Tensor | None = None
    fusion_text: FusionText | None = None
    masks: Tensor | None = None
    draw_on: Sequence[DrawOn] | None = None
    seed: int = 0
    faults: Sequence[Any] = ()
    grounding_moment: Tensor = torch.zeros(1, dtype=torch.long)
    seg_moment: Tensor = torch.zeros(0, dtype=torch.long)
    names: MomentNames = ONE_MOMENT


class GroundingImages(NamedTuple):
    """The images that masks are drawn on, G of all samples that have some. Those of one moment of one sample are a set.

    Attributes:
        images: (G, C, S, S) uint8.
        owner: (G,) set of each image; without series, its sample, counted over the samples that have some.
        num_samples: number of these sets.
    """

    images: Tensor
    owner: Tensor
    num_samples: int


class SegTokens(NamedTuple):
    """The [SEG] tokens of a batch, K of all samples.

    Attributes:
        positions: (K,) flat positions in the (R, S) rows.
        sample: (K,) set of grounding images that each is drawn on, see `GroundingImages`.
        slot: (K,) number of each among those of its set.
        num_slots: most [SEG] tokens of any set.
        weights: (K,) 1 / [SEG] tokens of the sample / samples.
        columns: (K, A) positions in the row of the tokens that show the whole image of its moment, padded with -1.
        spans: flat start and end of each sample that has some.
        counts: [SEG] tokens of each of these samples.
        seeds: of these samples.
        masks: (K, S, S) uint8; None when predicting.
        is_dummy: True for an empty mask of weight 0, where no sample has one.
    """

    positions: Tensor
    sample: Tensor
    slot: Tensor
    num_slots: int
    weights: Tensor
    columns: Tensor
    spans: list[tuple[int, int]]
    counts: list[int]
    seeds: list[int]
    masks: Tensor | None
    is_dummy: bool = False


class Batch(NamedTuple):
    """What the model takes: R rows of S tokens that hold one sample or several.

    A tuple, since mmengine moves those to a device, and ZeRO-3 finds tensors in them.

    Attributes:
        input_ids: (R, S).
        labels: (R, S) ids of supervised tokens, `IGNORE` elsewhere.
        position_ids: (R, S), beginning anew with every sample and in the padding.
        sequence_boundaries: 0 and the end of each sample and of the padding, counted through all rows.
        question_starts: flat start of a sample of independent questions -> where in it each of them begins.
        supervised: the tokens that have labels.
        sample_ids: of the samples, in their order.
        num_tokens: of the samples, without padding.
        attention_mask: (R, S) of rows padded in front (generation); None elsewhere.
        vision: tiles; None where no sample has an image.
        grounding: images to draw on; None where no sample has one.
        segments: [SEG] tokens; None where no sample with grounding images has one.
        draw_on: of each sample, see `Sample`; None where no sample has one.
        names: of the moments of each sample.
        faults: broken samples that others stand for.
    """

    input_ids: Tensor
    labels: Tensor
    position_ids: Tensor
    sequence_boundaries: list[int]
    question_starts: dict[int, list[int]]
    supervised: SupervisedTokens
    sample_ids: list[str]
    num_tokens: int
    attention_mask: Tensor | None = None
    vision: VisionInputs | None = None
    grounding: GroundingImages | None = None
    segments: SegTokens | None = None
    draw_on: list[Sequence[DrawOn] | None] | None = None
    faults: tuple[Any, ...] = ()
    names: Sequence[MomentNames] = ()

    def to(self, device: torch.device | str) -> "Batch":
        """The batch with its tensors on `device`."""
        return to_device(self, device)

    @property
    def num_samples(self) -> int:
        """Samples of all rows."""
        return len(self.sample_ids)

    @property
    def num_supervised(self) -> int:
        """Supervised tokens of all samples."""
        return len(self.supervised.targets)


def collate(
    samples: Sequence[Sample], *, pad_token_id: int, row_length: int | None = None, full_rows: bool = False, left_pad: bool = False
) -> Batch:
    """One batch of samples from `EarthMindProcessor.encode`.

    Args:
        samples: encoded samples.
        pad_token_id: pads rows up to the longest.
        row_length: pack several samples into rows of at most this many tokens; None: one sample a row.
        full_rows: pad packed rows up to `row_length`, so that all batches have one shape.
        left_pad: pad in front (generation); an `attention_mask` comes with it.

    Raises:
        ValueError: a sample alone is longer than a row.
    """
    lengths = [len(sample.input_ids) for sample in samples]
    rows = pack_rows(lengths, row_length)
    width = row_length if full_rows and row_length is not None else max(sum(lengths[index] for index in row) for row in rows)
    layout = RowLayout(lengths, rows, width=width, left_pad=left_pad)
    grounded = [index for index, sample in enumerate(samples) if sample.grounding_images is not None]
    return Batch(
        input_ids=layout.fill([sample.input_ids for sample in samples], pad_token_id),
        labels=layout.fill([sample.labels for sample in samples], IGNORE),
        position_ids=layout.positions([sample.question_starts for sample in samples]),
        sequence_boundaries=layout.sequence_boundaries(),
        question_starts={layout.start[index]: sample.question_starts for index, sample in enumerate(samples) if sample.question_starts},
        supervised=supervised_tokens([sample.labels for sample in samples], layout),
        sample_ids=[sample.sample_id for sample in samples],
        num_tokens=sum(lengths),
        attention_mask=layout.attention_mask() if left_pad else None,
        vision=join_tiles(samples, layout),
        grounding=_join_grounding([samples[index] for index in grounded]),
        segments=_join_segments(samples, grounded, layout=layout),
        draw_on=[sample.draw_on for sample in samples] if any(sample.draw_on for sample in samples) else None,
        faults=tuple(fault for sample in samples for fault in sample.faults),
        names=[sample.names for sample in samples],
    )


def _sets(samples: Sequence[Sample]) -> dict[tuple[int, int], int]:
    """(sample, moment) -> number of its set of grounding images; samples that have some, in order."""
    found = [(number, moment) for number, sample in enumerate(samples) for moment in dict.fromkeys(sample.grounding_moment.tolist())]
    return {key: number for number, key in enumerate(found)}


def _join_grounding(samples: Sequence[Sample]) -> GroundingImages | None:
    stacks = [sample.grounding_images for sample in samples if sample.grounding_images is not None]
    if not stacks:
        return None
    sets = _sets(samples)
    owner = [sets[number, moment] for number, sample in enumerate(samples) for moment in _moment_of_images(sample)]
    return GroundingImages(torch.cat(stacks), torch.tensor(owner), len(sets))


def _moment_of_images(sample: Sample) -> list[int]:
    """Number of the moment of each grounding image; several of a sample that says nothing are of one moment."""
    count = 0 if sample.grounding_images is None else len(sample.grounding_images)
    known = sample.grounding_moment.tolist()
    return known if len(known) == count else known[:1] * count


def _join_segments(samples: Sequence[Sample], grounded: Sequence[int], *, layout: RowLayout) -> SegTokens | None:
    """The [SEG] tokens of the samples at `grounded`, which have something to draw on."""
    counts = [len(samples[index].seg_index) for index in grounded]
    if not any(counts):
        return None
    columns = [_in_row(_columns_of_each(samples[index]), layout.start[index] % layout.width) for index in grounded]
    most = max(column.shape[1] for column in columns)
    masks = [mask for index in grounded if (mask := samples[index].masks) is not None]
    asked = [index for index, count in zip(grounded, counts, strict=True) if count]
    sets = _sets([samples[index] for index in grounded])
    drawn_on = [sets[number, moment] for number, index in enumerate(grounded) for moment in _moment_of_each(samples[index])]
    slots = [drawn_on[:position].count(owner) for position, owner in enumerate(drawn_on)]
    return SegTokens(
        positions=torch.cat([samples[index].seg_index + layout.start[index] for index in grounded]),
        sample=torch.tensor(drawn_on),
        slot=torch.tensor(slots),
        num_slots=max(slots) + 1,
        weights=torch.cat([torch.full((count,), 1.0 / max(count, 1) / len(samples)) for count in counts]),
        columns=torch.cat([functional.pad(column, (0, most - column.shape[1]), value=-1) for column in columns]),
        spans=[layout.span(index) for index in asked],
        counts=[count for count in counts if count],
        seeds=[samples[index].seed for index in asked],
        masks=torch.cat(masks) if len(masks) == len(grounded) else None,
    )


def _moment_of_each(sample: Sample) -> list[int]:
    """Number of the moment of each [SEG]; of a sample that says nothing, the only one."""
    known = sample.seg_moment.tolist()
    return known if len(known) == len(sample.seg_index) else [0] * len(sample.seg_index)


def _in_row(columns: Tensor, start: int) -> Tensor:
    """Positions in the row of positions in a sample that begins there; -1 stays."""
    return torch.where(columns < 0, columns, columns + start)


def _columns_of_each(sample: Sample) -> Tensor:
    """(K, A) positions in the sample of the tokens that show the whole image of its moment to each [SEG]."""
    moment, num_moments = torch.tensor(_moment_of_each(sample), dtype=torch.long), len(sample.names.times)
    columns = sample.attention_columns
    if len(columns) == 1:
        return columns.expand(len(sample.seg_index), -1)
    if len(columns) == num_moments:
        return columns[moment]
    starts = torch.tensor(sample.question_starts, dtype=torch.long)
    question = torch.searchsorted(starts, sample.seg_index, right=True) - 1
    return columns[question * num_moments + moment]
