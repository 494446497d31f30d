from typing import Any

import pytest
import torch
from torch import Tensor

from earthmind.model.batching import collate
from eocore.portable.row_packing import IGNORE

PAD, IMAGE, SEG = 0, 90, 91
TOKENS = 2


def sample(ids: list[int], *, prompt: int, places: int = 0, sensors: int = 1, masks: int | None = None, **more: Any) -> dict[str, Any]:
    """An encoded sample: `prompt` tokens are not scored; `places` tile places of `sensors` sensors; `masks` to draw, None: no image."""
    input_ids = torch.tensor(ids)
    labels = input_ids.clone()
    labels[:prompt] = IGNORE
    tiles = places * sensors
    place = torch.arange(places).repeat_interleave(sensors)
    placeholder = (input_ids == IMAGE).nonzero().flatten()
    return {
        "sample_id": f"s{ids[0]}",
        "input_ids": input_ids,
        "labels": labels,
        "tiles": torch.full((tiles, 3, 4, 4), ids[0], dtype=torch.uint8),
        "tile_group": torch.stack([place, torch.arange(tiles)]),
        "tokens_per_tile": TOKENS,
        "placeholder_index": placeholder,
        "vision_index": torch.arange(tiles * TOKENS),
        "seg_places": (input_ids == SEG).nonzero().flatten(),
        "attention_columns": placeholder[-TOKENS * sensors :],
        "grounding_images": torch.full((0 if masks is None else 1, 3, 8, 8), ids[0], dtype=torch.uint8),
        "masks": torch.full((masks or 0, 8, 8), ids[0] % 2, dtype=torch.uint8),
        **more,
    }


@pytest.fixture
def samples() -> list[dict[str, Any]]:
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
        self, samples: list[dict[str, Any]], row_length: int | None, left_pad: bool
    ) -> None:
        batch = collate(samples, pad_token_id=PAD, row_length=row_length, left_pad=left_pad)
        before = batch["input_ids"].flatten()[batch["label_index"]].tolist()
        assert list(zip(before, batch["label_target"].tolist(), strict=True)) == [
            (11, 12), (12, 13),
            (21, 22), (22, SEG), (SEG, 23),
            (31, SEG), (SEG, SEG), (SEG, 32), (32, 33),
        ]  # fmt: skip

    def test_every_sample_weighs_the_same(self, samples: list[dict[str, Any]], row_length: int | None, left_pad: bool) -> None:
        batch = collate(samples, pad_token_id=PAD, row_length=row_length, left_pad=left_pad)
        torch.testing.assert_close(batch["label_weight"], torch.tensor([1 / 6] * 2 + [1 / 9] * 3 + [1 / 12] * 4))
        torch.testing.assert_close(batch["seg_weight"], torch.tensor([1 / 3, 1 / 6, 1 / 6]))

    def test_vision_tokens_go_to_the_placeholders_of_their_sample(
        self, samples: list[dict[str, Any]], row_length: int | None, left_pad: bool
    ) -> None:
        batch = collate(samples, pad_token_id=PAD, row_length=row_length, left_pad=left_pad)
        assert (batch["input_ids"].flatten()[batch["placeholder_index"]] == IMAGE).all()
        owner_of_place = _owner(batch)[batch["placeholder_index"]]
        owner_of_token = batch["tiles"][:, 0, 0, 0].long()[batch["vision_index"] // TOKENS]
        assert torch.equal(owner_of_place, owner_of_token)
        assert batch["vision_index"].tolist() == list(range(6))

    def test_tile_groups_of_samples_do_not_mix(self, samples: list[dict[str, Any]], row_length: int | None, left_pad: bool) -> None:
        batch = collate(samples, pad_token_id=PAD, row_length=row_length, left_pad=left_pad)
        assert batch["tile_group"].tolist() == [[0, 1, 1], [0, 1, 2]]
        assert int(batch["tile_group"].max()) < len(batch["tiles"])

    def test_seg_tokens_know_their_sample_slot_row_and_columns(
        self, samples: list[dict[str, Any]], row_length: int | None, left_pad: bool
    ) -> None:
        batch = collate(samples, pad_token_id=PAD, row_length=row_length, left_pad=left_pad)
        width = batch["input_ids"].shape[1]
        assert (batch["input_ids"].flatten()[batch["seg_index"]] == SEG).all()
        assert _owner(batch)[batch["seg_index"]].tolist() == [2, 3, 3]
        places = batch["seg_index"].split(batch["seg_counts"])
        for (start, end), own in zip(batch["seg_spans"], places, strict=True):
            assert (_owner(batch)[start:end] == _owner(batch)[own[0]]).all() and ((own >= start) & (own < end)).all()
        assert batch["seg_sample"].tolist() == [0, 1, 1]
        assert batch["seg_slot"].tolist() == [0, 0, 1]
        assert (batch["num_slots"], batch["num_grounded"], batch["grounded_samples"]) == (2, 2, [1, 2])
        assert [int(mask.max()) for mask in batch["masks"]] == [0, 1, 1]
        for number, count in enumerate((2, 4, 4)):
            columns = batch["seg_columns"][number]
            assert (columns >= 0).sum() == count
            assert (batch["input_ids"][batch["seg_index"][number] // width, columns[columns >= 0]] == IMAGE).all()

    def test_positions_restart_with_every_sample_and_with_the_padding(
        self, samples: list[dict[str, Any]], row_length: int | None, left_pad: bool
    ) -> None:
        batch = collate(samples, pad_token_id=PAD, row_length=row_length, left_pad=left_pad)
        owner, positions = _owner(batch), batch["position_ids"].flatten()
        for number, item in enumerate(samples):
            assert positions[owner == number + 1].tolist() == list(range(len(item["input_ids"])))
        if not left_pad:
            starts = ((owner == 0) & (torch.nn.functional.pad(owner, (1, 0))[:-1] != 0)).nonzero().flatten()
            assert (positions[starts] == 0).all()

    def test_borders_are_where_samples_and_padding_begin(
        self, samples: list[dict[str, Any]], row_length: int | None, left_pad: bool
    ) -> None:
        batch = collate(samples, pad_token_id=PAD, row_length=row_length, left_pad=left_pad)
        owner, width = _owner(batch), batch["input_ids"].shape[1]
        changes = (owner.diff() != 0).nonzero().flatten() + 1
        assert batch["borders"] == sorted({*changes.tolist(), *range(0, len(owner) + 1, width)})

    def test_padding_is_neither_scored_nor_seen(self, samples: list[dict[str, Any]], row_length: int | None, left_pad: bool) -> None:
        batch = collate(samples, pad_token_id=PAD, row_length=row_length, left_pad=left_pad)
        padding = _owner(batch).view_as(batch["input_ids"]) == 0
        assert (batch["labels"][padding] == IGNORE).all()
        assert (batch["input_ids"][padding] == PAD).all()
        if left_pad:
            assert torch.equal(batch["attention_mask"] == 0, padding)
            assert (batch["attention_mask"].diff(dim=1) >= 0).all(), "padding lies in front"


def _owner(batch: dict[str, Any]) -> Tensor:
    """(R * S,) number of the sample that holds each place, 0 for padding: samples begin with 1, 2, 3 and hold no other ids below 10."""
    flat, owner, current, left = batch["input_ids"].flatten(), [], 0, 0
    lengths = {1: 4, 2: 7, 3: 10}
    for token in flat.tolist():
        if left == 0:
            current, left = (token, lengths[token]) if token in lengths else (0, 1)
        owner.append(current)
        left -= 1
    return torch.tensor(owner)


class TestPartsThatMayBeMissing:
    def test_text_alone_has_no_vision_and_no_masks(self, samples: list[dict[str, Any]]) -> None:
        batch = collate(samples[:1], pad_token_id=PAD)
        assert not {"tiles", "vision_index", "seg_index", "masks", "grounding_images", "attention_mask"} & set(batch)

    def test_a_prompt_without_seg_keeps_its_grounding_image(self) -> None:
        batch = collate([sample([2, IMAGE, IMAGE, 21], prompt=4, places=1, masks=0)], pad_token_id=PAD, left_pad=True)
        assert batch["grounding_images"].shape[0] == 1
        assert "seg_index" not in batch

    def test_a_sample_without_a_scored_token_adds_nothing(self) -> None:
        batch = collate([sample([1, 11], prompt=2), sample([2, 21, 22], prompt=1)], pad_token_id=PAD)
        assert batch["label_target"].tolist() == [21, 22]
        torch.testing.assert_close(batch["label_weight"], torch.tensor([0.25, 0.25]))

    def test_tiles_and_seeds_know_their_sample(self, samples: list[dict[str, Any]]) -> None:
        samples[1]["seed"], samples[2]["seed"] = 7, 9
        batch = collate([*samples, sample([4, IMAGE, IMAGE, 41], prompt=3, places=1, masks=0)], pad_token_id=PAD)
        assert batch["tile_sample"].tolist() == [1, 2, 2, 3]
        assert (batch["seg_counts"], batch["seg_seeds"]) == ([1, 2], [7, 9])

    def test_counts_and_names(self, samples: list[dict[str, Any]]) -> None:
        batch = collate(samples, pad_token_id=PAD)
        assert (batch["num_samples"], batch["num_tokens"], batch["sample_ids"]) == (3, 21, ["s1", "s2", "s3"])
