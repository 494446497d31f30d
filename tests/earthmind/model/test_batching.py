from typing import Any

import pytest
import torch
from torch import Tensor

from earthmind.model.batching import Batch, Sample, collate
from eocore.portable.row_packing import IGNORE

PAD, IMAGE, SEG = 0, 90, 91
TOKENS = 2


def sample(ids: list[int], *, prompt: int, places: int = 0, sensors: int = 1, masks: int | None = None, **more: Any) -> Sample:
    """An encoded sample: `prompt` tokens are not scored; `places` tile places of `sensors` sensors; `masks` to draw, None: no image."""
    input_ids = torch.tensor(ids)
    labels = input_ids.clone()
    labels[:prompt] = IGNORE
    tiles = places * sensors
    place = torch.arange(places).repeat_interleave(sensors)
    placeholder = (input_ids == IMAGE).nonzero().flatten()
    return Sample(
        sample_id=f"s{ids[0]}",
        input_ids=input_ids,
        labels=labels,
        question_starts=[],
        tiles=torch.full((tiles, 3, 4, 4), ids[0], dtype=torch.uint8),
        tile_group=torch.stack([place, torch.arange(tiles)]),
        tokens_per_tile=TOKENS,
        placeholder_index=placeholder,
        vision_index=torch.arange(tiles * TOKENS),
        seg_index=(input_ids == SEG).nonzero().flatten(),
        attention_columns=placeholder[None, -TOKENS * sensors :],
        grounding_images=None if masks is None else torch.full((1, 3, 8, 8), ids[0], dtype=torch.uint8),
        masks=torch.full((masks or 0, 8, 8), ids[0] % 2, dtype=torch.uint8),
        **more,
    )


@pytest.fixture
def samples() -> list[Sample]:
    """Text alone; one image and one mask; a pair of sensors with two masks."""
    return [
        sample([1, 11, 12, 13], prompt=2),
        sample([2, IMAGE, IMAGE, 21, 22, SEG, 23], prompt=4, places=1, masks=1),
        sample([3, IMAGE, IMAGE, IMAGE, IMAGE, 31, SEG, SEG, 32, 33], prompt=6, places=1, sensors=2, masks=2),
    ]


@pytest.mark.parametrize("row_length", [None, 14, 100])
@pytest.mark.parametrize("left_pad", [False, True])
class TestCollate:
    """Whatever the rows look like, each index tensor points at its own sample."""

    def test_labels_follow_their_tokens_and_never_cross_samples(
        self, samples: list[Sample], row_length: int | None, left_pad: bool
    ) -> None:
        batch = collate(samples, pad_token_id=PAD, row_length=row_length, left_pad=left_pad)
        before = batch.input_ids.flatten()[batch.supervised.positions].tolist()
        assert list(zip(before, batch.supervised.targets.tolist(), strict=True)) == [
            (11, 12), (12, 13),
            (21, 22), (22, SEG), (SEG, 23),
            (31, SEG), (SEG, SEG), (SEG, 32), (32, 33),
        ]  # fmt: skip

    def test_every_sample_weighs_the_same(self, samples: list[Sample], row_length: int | None, left_pad: bool) -> None:
        batch = collate(samples, pad_token_id=PAD, row_length=row_length, left_pad=left_pad)
        torch.testing.assert_close(batch.supervised.weights, torch.tensor([1 / 6] * 2 + [1 / 9] * 3 + [1 / 12] * 4))
        torch.testing.assert_close(batch.segments.weights, torch.tensor([1 / 3, 1 / 6, 1 / 6]))

    def test_vision_tokens_go_to_the_placeholders_of_their_sample(
        self, samples: list[Sample], row_length: int | None, left_pad: bool
    ) -> None:
        batch = collate(samples, pad_token_id=PAD, row_length=row_length, left_pad=left_pad)
        assert (batch.input_ids.flatten()[batch.vision.placeholder_index] == IMAGE).all()
        owner_of_place = _owner(batch)[batch.vision.placeholder_index]
        owner_of_token = batch.vision.tiles[:, 0, 0, 0].long()[batch.vision.vision_index // TOKENS]
        assert torch.equal(owner_of_place, owner_of_token)
        assert batch.vision.vision_index.tolist() == list(range(6))

    def test_tile_groups_of_samples_do_not_mix(self, samples: list[Sample], row_length: int | None, left_pad: bool) -> None:
        batch = collate(samples, pad_token_id=PAD, row_length=row_length, left_pad=left_pad)
        assert batch.vision.tile_group.tolist() == [[0, 1, 1], [0, 1, 2]]
        assert int(batch.vision.tile_group.max()) < len(batch.vision.tiles)

    def test_seg_tokens_know_their_sample_slot_row_and_columns(self, samples: list[Sample], row_length: int | None, left_pad: bool) -> None:
        batch = collate(samples, pad_token_id=PAD, row_length=row_length, left_pad=left_pad)
        width = batch.input_ids.shape[1]
        assert (batch.input_ids.flatten()[batch.segments.positions] == SEG).all()
        assert _owner(batch)[batch.segments.positions].tolist() == [2, 3, 3]
        places = batch.segments.positions.split(batch.segments.counts)
        for (start, end), own in zip(batch.segments.spans, places, strict=True):
            assert (_owner(batch)[start:end] == _owner(batch)[own[0]]).all() and ((own >= start) & (own < end)).all()
        assert batch.segments.sample.tolist() == [0, 1, 1]
        assert batch.segments.slot.tolist() == [0, 0, 1]
        assert (batch.segments.num_slots, batch.grounding.num_samples) == (2, 2)
        assert [int(mask.max()) for mask in batch.segments.masks] == [0, 1, 1]
        for number, count in enumerate((2, 4, 4)):
            columns = batch.segments.columns[number]
            assert (columns >= 0).sum() == count
            assert (batch.input_ids[batch.segments.positions[number] // width, columns[columns >= 0]] == IMAGE).all()

    def test_positions_restart_with_every_sample_and_with_the_padding(
        self, samples: list[Sample], row_length: int | None, left_pad: bool
    ) -> None:
        batch = collate(samples, pad_token_id=PAD, row_length=row_length, left_pad=left_pad)
        owner, positions = _owner(batch), batch.position_ids.flatten()
        for number, item in enumerate(samples):
            assert positions[owner == number + 1].tolist() == list(range(len(item.input_ids)))
        if not left_pad:
            starts = ((owner == 0) & (torch.nn.functional.pad(owner, (1, 0))[:-1] != 0)).nonzero().flatten()
            assert (positions[starts] == 0).all()

    def test_borders_are_where_samples_and_padding_begin(self, samples: list[Sample], row_length: int | None, left_pad: bool) -> None:
        batch = collate(samples, pad_token_id=PAD, row_length=row_length, left_pad=left_pad)
        owner, width = _owner(batch), batch.input_ids.shape[1]
        changes = (owner.diff() != 0).nonzero().flatten() + 1
        assert batch.sequence_boundaries == sorted({*changes.tolist(), *range(0, len(owner) + 1, width)})

    def test_padding_is_neither_scored_nor_seen(self, samples: list[Sample], row_length: int | None, left_pad: bool) -> None:
        batch = collate(samples, pad_token_id=PAD, row_length=row_length, left_pad=left_pad)
        padding = _owner(batch).view_as(batch.input_ids) == 0
        assert (batch.labels[padding] == IGNORE).all()
        assert (batch.input_ids[padding] == PAD).all()
        if left_pad:
            assert torch.equal(batch.attention_mask == 0, padding)
            assert (batch.attention_mask.diff(dim=1) >= 0).all(), "padding lies in front"


def _owner(batch: Batch) -> Tensor:
    """(R * S,) number of the sample that holds each place, 0 for padding: samples begin with 1, 2, 3 and hold no other ids below 10."""
    flat, owner, current, left = batch.input_ids.flatten(), [], 0, 0
    lengths = {1: 4, 2: 7, 3: 10}
    for token in flat.tolist():
        if left == 0:
            current, left = (token, lengths[token]) if token in lengths else (0, 1)
        owner.append(current)
        left -= 1
    return torch.tensor(owner)


class TestPartsThatMayBeMissing:
    def test_text_alone_has_no_vision_and_no_masks(self, samples: list[Sample]) -> None:
        batch = collate(samples[:1], pad_token_id=PAD)
        assert (batch.vision, batch.grounding, batch.segments, batch.attention_mask, batch.draw_on) == (None,) * 5

    def test_a_prompt_without_seg_keeps_its_grounding_image(self) -> None:
        batch = collate([sample([2, IMAGE, IMAGE, 21], prompt=4, places=1, masks=0)], pad_token_id=PAD, left_pad=True)
        assert batch.grounding.images.shape[0] == 1
        assert batch.segments is None

    def test_a_sample_without_a_scored_token_adds_nothing(self) -> None:
        batch = collate([sample([1, 11], prompt=2), sample([2, 21, 22], prompt=1)], pad_token_id=PAD)
        assert batch.supervised.targets.tolist() == [21, 22]
        torch.testing.assert_close(batch.supervised.weights, torch.tensor([0.25, 0.25]))

    def test_tiles_and_seeds_know_their_sample(self, samples: list[Sample]) -> None:
        seeded = [made._replace(seed=seed) for made, seed in zip(samples, (0, 7, 9), strict=True)]
        batch = collate([*seeded, sample([4, IMAGE, IMAGE, 41], prompt=3, places=1, masks=0)], pad_token_id=PAD)
        assert batch.vision.tile_sample.tolist() == [1, 2, 2, 3]
        assert (batch.segments.counts, batch.segments.seeds) == ([1, 2], [7, 9])

    def test_counts_and_names(self, samples: list[Sample]) -> None:
        batch = collate(samples, pad_token_id=PAD)
        assert (batch.num_samples, batch.num_tokens, batch.sample_ids) == (3, 21, ["s1", "s2", "s3"])
