"""Samples -> one batch: rows of tokens, the tiles of all sensors in one tensor, masks with the place of their [SEG]."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from eocore.portable.row_packing import IGNORE, RowLayout, join_tiles, pack_rows, supervised_tokens


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
    layout = RowLayout(samples, rows, width=width, left_pad=left_pad)
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
    batch.update(join_tiles(samples, layout))
    batch.update(supervised_tokens(samples, layout))
    batch["num_scored"] = len(batch["label_target"])
    batch.update(_grounding(samples, layout))
    if any("draw_on" in sample for sample in samples):
        batch["draw_on"] = [sample.get("draw_on") for sample in samples]
    return batch


def _grounding(samples: Sequence[Mapping[str, Any]], layout: RowLayout) -> dict[str, Any]:
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
