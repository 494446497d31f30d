"""Which tiles and words a fusion of sensors reads for each location of each sample, where one tile's tokens are left."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class FusionText(NamedTuple):
    """The words of one sample that its vision tokens depend on.

    Attributes:
        positions: (P,) of the words within the sample, question after question.
        num_words: of each question that has fused tokens of its own; one entry for one conversation.
        num_positions: tile positions of each moment of a series; empty = all are of one moment.
    """

    positions: Tensor
    num_words: list[int]
    num_positions: Sequence[int] = ()


class FusionPlan(NamedTuple):
    """What is fused with what in a batch: T tiles, U streams (one sensor at one location), G questions, F locations as questions see them.

    Sizes are numbers, not tensors, so that estimates without data can be made.

    Attributes:
        positions: (P,) flat positions in the (R, S) rows of all words, question after question.
        num_words: of each question.
        streams: first stream that each question sees, and the one after its last.
        stream: (T,) stream of each tile; views of one sensor at one location share one.
        num_streams: U.
        range_group: (U,) streams of one sensor of one moment of a sample share a number below U.
        member: (M,) stream of each pair of stream and question that sees it.
        location: (M,) number of the fused location that it goes into.
        num_locations: F.
    """

    positions: Tensor
    num_words: list[int]
    streams: list[tuple[int, int]]
    stream: Tensor
    num_streams: int
    range_group: Tensor
    member: Tensor
    location: Tensor
    num_locations: int


def plan_fusion(tile_group: Tensor, tile_sample: Tensor, *, texts: Sequence[FusionText], owners: Sequence[int]) -> FusionPlan:
    """The plan of a batch.

    Args:
        tile_group, tile_sample: (2, T) and (T,) of its `VisionInputs`, samples in their order.
        texts: of each sample with tiles, with flat positions.
        owners: number of each of these samples.
    """
    views, stream = torch.unique(tile_group[1], return_inverse=True)
    location = torch.zeros_like(views).scatter(0, stream, tile_group[0])
    sample = torch.zeros_like(views).scatter(0, stream, tile_sample)
    position = torch.unique(location, return_inverse=True)[1]
    sensor = views - torch.zeros_like(views).scatter_reduce(0, position, views, "amin", include_self=False)[position]
    sensors_and_more = int(sensor.max()) + 1
    streams, members, locations, count = [], [], [], 0
    moment, num_moments = torch.zeros_like(views), 0
    for owner, text in zip(owners, texts, strict=True):
        own = (sample == owner).nonzero().flatten()
        within = torch.unique(location[own], return_inverse=True)[1]
        sizes = torch.tensor(text.num_positions or [int(within.max()) + 1], device=own.device)
        moment[own] = torch.repeat_interleave(torch.arange(len(sizes), device=own.device), sizes)[within] + num_moments
        num_moments += len(sizes)
        for _ in text.num_words:
            streams.append((int(own[0]), int(own[-1]) + 1))
            members.append(own)
            locations.append(within + count)
            count += int(within.max()) + 1
    return FusionPlan(
        positions=torch.cat([text.positions for text in texts]),
        num_words=[number for text in texts for number in text.num_words],
        streams=streams,
        stream=stream,
        num_streams=len(views),
        range_group=torch.unique(moment * sensors_and_more + sensor, return_inverse=True)[1],
        member=torch.cat(members),
        location=torch.cat(locations),
        num_locations=count,
    )
