"""Images of prompts with numbers that count within each prompt, so that batches may be put together from single prompts by others."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from eocore.portable.fusion_plan import FusionText, plan_fusion
from eocore.portable.row_packing import TiledSample, VisionInputs

ROW_INPUTS = ("image", "tile_positions", "tile_views", "tile_counts", "vision_order")
"""What the processor gives beside token ids. The pipelines of transformers batch prompts by joining, end to end, all tensors of one axis
and the one named `image` (`pixel_values` as well, but only beside a feature extractor): none of these numbers depends on other rows."""

TEXT_INPUTS = ("word_offsets", "word_counts")
"""What comes besides where vision tokens depend on words (a fusion of sensors that reads the question)."""


def to_rows(samples: Sequence[TiledSample], *, num_channels: int, tile_size: int) -> dict[str, Tensor]:
    """The images of encoded samples, one a row.

    Args:
        samples: from `EarthMindProcessor.encode`.
        num_channels, tile_size: of the tiles; prompts without images have them, too.

    Returns:
        image: (T, C, P, P) uint8, tiles of all rows.
        tile_positions, tile_views: (T,) number of each tile's position, and of its position and sensor, within the row.
        tile_counts: (R,) tiles of each row.
        vision_order: (I,) number within the row of the vision token that stands at each placeholder, row after row.
        word_offsets, word_counts: where vision tokens depend on words, (P,) position of each word before the row's end (-1 is its last
        token), and (R,) words of each row.
    """
    shown = [sample for sample in samples if len(sample.tiles)]
    none = torch.zeros(0, dtype=torch.long)
    groups = torch.cat([none.expand(2, 0), *(sample.tile_group for sample in shown)], dim=1)
    texts = [sample.fusion_text for sample in samples]
    words = {}
    if any(text is not None for text in texts):
        offsets = [text.positions - len(sample.input_ids) for sample, text in zip(samples, texts, strict=True) if text is not None]
        counts = [0 if text is None else len(text.positions) for text in texts]
        words = {"word_offsets": torch.cat(offsets), "word_counts": torch.tensor(counts)}
    return {
        "image": torch.cat([torch.zeros(0, num_channels, tile_size, tile_size, dtype=torch.uint8), *(sample.tiles for sample in shown)]),
        "tile_positions": groups[0],
        "tile_views": groups[1],
        "tile_counts": torch.tensor([len(sample.tiles) for sample in samples]),
        "vision_order": torch.cat([none, *(sample.vision_index for sample in shown)]),
        **words,
    }


def from_rows(
    rows: Mapping[str, Tensor], input_ids: Tensor, *, attention_mask: Tensor | None, image_token_id: int, tokens_per_tile: int
) -> VisionInputs | None:
    """The same images with numbers that count through the whole batch; None where no row has an image.

    Args:
        rows: all of `ROW_INPUTS`, and of `TEXT_INPUTS` where the vision tokens depend on words.
        input_ids: (R, S).
        attention_mask: (R, S) of prompts that continue; None where nothing is generated.
        image_token_id: of the placeholders.
        tokens_per_tile: vision tokens of one tile.

    Raises:
        ValueError: rows and images do not belong together, or rows are padded at their end.
    """
    missing = sorted(set(ROW_INPUTS) - set(rows))
    if missing:
        raise ValueError(f"{', '.join(rows)} are given without {', '.join(missing)}. Pass on all that the processor gives.")
    tiles, counts = rows["image"], rows["tile_counts"]
    if len(counts) != len(input_ids) or int(counts.sum()) != len(tiles):
        raise ValueError(
            f"{len(input_ids)} prompts, but numbers of tiles for {len(counts)}, together {int(counts.sum())}, and {len(tiles)} tiles: "
            "prompts and images do not belong together. Where a pipeline makes the batches, give each prompt as an item of its own."
        )
    if not len(tiles):
        return None
    if attention_mask is not None and not bool(attention_mask[:, -1].all()):
        raise ValueError("prompts are padded at their end, where the answers begin. Set padding_side='left' in the tokenizer.")
    first = counts.cumsum(0) - counts
    positions = (input_ids.flatten() == image_token_id).nonzero().flatten()
    if len(positions) != len(rows["vision_order"]):
        raise ValueError(
            f"{len(positions)} placeholders in the text, {len(rows['vision_order'])} vision tokens to fill them; they must be equally "
            "many. Prepare the prompts with the model's own processor."
        )
    vision = VisionInputs(
        tiles=tiles,
        tile_group=torch.stack([rows["tile_positions"], rows["tile_views"]]) + torch.repeat_interleave(first, counts),
        tile_sample=torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts),
        placeholder_index=positions,
        vision_index=rows["vision_order"] + first[positions // input_ids.shape[1]] * tokens_per_tile,
    )
    return _fused(vision, rows, width=input_ids.shape[1], tokens_per_tile=tokens_per_tile) if "word_counts" in rows else vision


def _fused(vision: VisionInputs, rows: Mapping[str, Tensor], *, width: int, tokens_per_tile: int) -> VisionInputs:
    """The images of rows whose vision tokens depend on words: with a plan, and numbers of the fused tokens.

    Args:
        vision: as if each tile kept its tokens.
        rows: of `from_rows`.
        width: S.
        tokens_per_tile: vision tokens of one tile.
    """
    shown = rows["tile_counts"].nonzero().flatten().tolist()
    words = rows["word_offsets"].split(rows["word_counts"].tolist())
    texts = [FusionText(words[row] + (row + 1) * width, [len(words[row])]) for row in shown]
    locations = torch.zeros_like(rows["tile_counts"]).scatter_reduce(0, vision.tile_sample, rows["tile_positions"] + 1, "amax")
    first = locations.cumsum(0) - locations
    return vision._replace(
        vision_index=rows["vision_order"] + first[vision.placeholder_index // width] * tokens_per_tile,
        fusion=plan_fusion(vision.tile_group, vision.tile_sample, texts=texts, owners=shown),
    )
