"""Samples -> one batch: rows of tokens, the tiles of all sensors in one tensor, masks with the place of their [SEG]."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

IGNORE = -100
"""Label of a token that is not scored (the value torch's cross-entropy ignores)."""


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


def collate(
    samples: Sequence[Mapping[str, Any]],
    *,
    pad_token_id: int,
    row_length: int | None = None,
    full_rows: bool = False,
    left_pad: bool = False,
    shared_counts: Sequence[str] = (),
) -> dict[str, Any]:
    """One batch of samples from `EarthMindProcessor.encode`.

    Args:
        samples: encoded samples.
        pad_token_id: fills rows up to the longest.
        row_length: pack several samples into rows of at most this many tokens; None: one sample a row.
        full_rows: fill packed rows up to `row_length`, so that all batches have one shape.
        left_pad: fill in front (generation); an `attention_mask` comes with it.
        shared_counts: counts of the batch that ranks tell each other, named under this key.

    Returns:
        input_ids, labels, position_ids: (R, S); borders: list of 0 and the end of each sample and of the filling, through all rows.
        question_starts: flat start of a sample of independent questions -> where in it each of them begins.
        tiles: (T, C, P, P) uint8; tile_group (2, T), tile_sample (T,).
        placeholder_index, vision_index: (I,) flat token place <- flat vision token.
        label_index, label_target, label_weight: (M,); the weight is 1 / scored tokens of the sample / samples.
        seg_index, seg_sample, seg_slot, seg_weight: (K,); seg_columns (K, A), places in the row, filled with -1.
        masks: (K, S, S) uint8.
        grounding_images: (G, 3, S, S) uint8; grounding_owner (G,).
        num_slots, num_grounded, num_samples, num_tokens, num_scored: int.
        draw_on: list, what prepares each sample's grounding images once masks are asked for (generation), None without images.
        sample_ids: list; seg_counts, seg_seeds, seg_spans (flat start and end): lists, one entry for each sample with masks.
        Parts that the samples do not have (tiles, masks, ...) are left out.
    """
    rows = pack_rows([len(sample["input_ids"]) for sample in samples], row_length)
    width = max(sum(len(samples[index]["input_ids"]) for index in row) for row in rows)
    width = row_length if full_rows and row_length is not None else width
    layout = _Layout(samples, rows, width, left_pad)
    batch: dict[str, Any] = {
        "input_ids": layout.fill("input_ids", pad_token_id),
        "labels": layout.fill("labels", IGNORE),
        "position_ids": layout.positions(),
        "borders": layout.borders(),
        "question_starts": {
            layout.start[index]: sample["question_starts"] for index, sample in enumerate(samples) if sample.get("question_starts")
        },
        "sample_ids": [sample.get("sample_id", "") for sample in samples],
        "num_samples": len(samples),
        "num_tokens": sum(len(sample["input_ids"]) for sample in samples),
    }
    if shared_counts:
        batch["shared_counts"] = tuple(shared_counts)
    if left_pad:
        batch["attention_mask"] = layout.attention_mask()
    batch.update(_vision(samples, layout))
    batch.update(_targets(samples, layout))
    batch["num_scored"] = len(batch["label_target"])
    batch.update(_grounding(samples, layout))
    if any("draw_on" in sample for sample in samples):
        batch["draw_on"] = [sample.get("draw_on") for sample in samples]
    return batch


class _Layout:
    """Where each sample begins in the (R, S) token rows."""

    def __init__(self, samples: Sequence[Mapping[str, Any]], rows: list[list[int]], width: int, left_pad: bool) -> None:
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


def _vision(samples: Sequence[Mapping[str, Any]], layout: _Layout) -> dict[str, Any]:
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


def _targets(samples: Sequence[Mapping[str, Any]], layout: _Layout) -> dict[str, Any]:
    places, targets, weights = [], [], []
    for index, sample in enumerate(samples):
        # the state at place p predicts the token at p + 1
        scored = (sample["labels"][1:] != IGNORE).nonzero().flatten()
        places.append(scored + layout.start[index])
        targets.append(sample["labels"][1:][scored])
        weights.append(torch.full((len(scored),), 1.0 / max(len(scored), 1) / len(samples)))
    return {"label_index": torch.cat(places), "label_target": torch.cat(targets), "label_weight": torch.cat(weights)}


def _grounding(samples: Sequence[Mapping[str, Any]], layout: _Layout) -> dict[str, Any]:
    grounded = [index for index, sample in enumerate(samples) if len(sample["grounding_images"])]
    if not grounded:
        return {}
    images = [samples[index]["grounding_images"] for index in grounded]
    owner = [torch.full((len(stack),), number) for number, stack in enumerate(images)]
    batch: dict[str, Any] = {
        "grounding_images": torch.cat(images),
        "grounding_owner": torch.cat(owner),
        "num_grounded": len(grounded),
        "grounded_samples": grounded,
    }
    counts = [len(samples[index]["seg_places"]) for index in grounded]
    if not any(counts):
        return batch
    columns = [samples[index]["attention_columns"] + layout.start[index] % layout.width for index in grounded]
    most = max(len(column) for column in columns)
    batch["seg_index"] = torch.cat([samples[index]["seg_places"] + layout.start[index] for index in grounded])
    batch["seg_sample"] = torch.cat([torch.full((count,), number) for number, count in enumerate(counts)])
    batch["seg_slot"] = torch.cat([torch.arange(count) for count in counts])
    batch["seg_weight"] = torch.cat([torch.full((count,), 1.0 / max(count, 1) / len(samples)) for count in counts])
    batch["seg_columns"] = torch.cat(
        [
            torch.nn.functional.pad(column, (0, most - len(column)), value=-1).expand(count, -1)
            for column, count in zip(columns, counts, strict=True)
        ]
    )
    batch["num_slots"] = max(counts)
    batch["seg_spans"] = [layout.span(index) for index, count in zip(grounded, counts, strict=True) if count]
    batch["seg_counts"] = [count for count in counts if count]
    batch["seg_seeds"] = [samples[index].get("seed", 0) for index, count in zip(grounded, counts, strict=True) if count]
    if all("masks" in samples[index] for index in grounded):
        batch["masks"] = torch.cat([samples[index]["masks"] for index in grounded])
    return batch
