"""A task without files and without memory, and a batch for it: what estimates are made from."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from tokenizers import Tokenizer, models
from torch import Tensor
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast, masking_utils

from earthmind.datasets.dummy_inputs import complete_batch, dummy_masks
from earthmind.model.batching import Batch, GroundingImages, SegTokens
from earthmind.model.configuration_earthmind import EarthMindConfig
from earthmind.model.special_tokens import SPECIAL_TOKENS
from earthmind.task import EarthMindTask
from eocore.errors import ConfigError
from eocore.option_types import check_option
from eocore.portable.fusion_plan import FusionPlan
from eocore.portable.row_packing import SupervisedTokens, VisionInputs
from eocore.registry import TOKENIZERS
from eocore.replaced import replaced
from eocore.train.options import DataOptions
from eocore.train.planning.estimate import StepShape

FUSED_SENSORS = 2
"""Sensors whose tiles are fused to one tile's tokens, as in the upstream pairs."""


@TOKENIZERS.register_module()
def StandInTokenizer(*, size: int) -> PreTrainedTokenizerBase:
    """A tokenizer of `size` tokens that knows the special ones and no language."""
    words = [f"<{number}>" for number in range(size - len(SPECIAL_TOKENS) - 1)]
    core = Tokenizer(models.BPE(vocab={word: number for number, word in enumerate(["<pad>", *words])}, merges=[]))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>")
    tokenizer.add_special_tokens({"additional_special_tokens": list(SPECIAL_TOKENS)})
    return tokenizer


def outline(task: Mapping[str, Any]) -> EarthMindTask:
    """The task of a config on the meta device: what trains is what would, nothing is read.

    Raises:
        ConfigError: as `EarthMindTask`; or the vocabulary's size is nowhere stated.
    """
    for name in ("model", "tokenizer"):
        check_option(f"task.{name}", task.get(name, {}), annotation=Mapping[str, Any])
    fields = {key: value for key, value in task.items() if key not in ("type", "data", "vision_cache", "compile")}
    fields["model"] = {key: value for key, value in fields.get("model", {}).items() if key != "pretrained"}
    fields["tokenizer"] = {"type": "StandInTokenizer", "size": _vocabulary(fields)}
    with torch.device("meta"):
        return EarthMindTask(**fields)


def _vocabulary(fields: Mapping[str, Any]) -> int:
    text = fields["model"].get("text_config", {})
    check_option("task.model.text_config", text, annotation=Mapping[str, Any])
    stated, learned = text.get("vocab_size"), fields.get("tokenizer", {}).get("vocab_size")
    for value in (stated, learned):
        check_option("the size of the vocabulary", value, annotation=int | None)
    if stated is None and learned is None:
        raise ConfigError("the size of the vocabulary is not stated: set task.model.text_config.vocab_size, which estimates need.")
    return int(stated) if stated is not None else int(learned) + len(SPECIAL_TOKENS)


def step_shape(settings: Mapping[str, Any]) -> StepShape:
    """The largest step of a section `task`: its longest row, as many as a batch has; a pack is one row."""
    length, packing = settings.get("row_length"), settings.get("packing")
    if packing is not None:
        length = packing["max_tokens"]
    rows = 1 if length else settings.get("batch_size", 1)
    return StepShape(tokens=length or settings.get("max_length", DataOptions.max_length), rows=rows)


def example_batch(task: EarthMindTask, shape: StepShape) -> Batch:
    """A batch of that shape, all zeros: as many tiles as its rows have room for, a grounding image for each sample with masks.

    Where a model fuses sensors, each location is a pair's: `FUSED_SENSORS` tiles.

    Raises:
        ConfigError: the row has no room for the text.
    """
    config = task.model.config
    tiles = shape.rows * ((shape.tokens - shape.samples * shape.text) // config.tokens_per_tile)
    if tiles < 0 or shape.supervised > shape.text:
        raise ConfigError(
            f"{shape.samples} samples with {shape.text} text tokens each ({shape.supervised} supervised) do not fit a row of "
            f"{shape.tokens}. Ask for fewer."
        )
    count, supervised = shape.rows * shape.samples, shape.rows * shape.samples * shape.supervised
    grounding, segments = _masks(config, shape) if shape.masks else (None, None)
    batch = Batch(
        input_ids=_zeros(shape.rows, shape.tokens),
        labels=_zeros(shape.rows, shape.tokens),
        position_ids=_zeros(shape.rows, shape.tokens),
        sequence_boundaries=_boundaries(shape),
        question_starts={},
        supervised=SupervisedTokens(_zeros(supervised), _zeros(supervised), torch.zeros(supervised)),
        sample_ids=[""] * count,
        num_tokens=shape.rows * shape.tokens,
        vision=_vision(config, tiles, shape=shape) if tiles else None,
        grounding=grounding,
        segments=segments,
    )
    return complete_batch(batch, config)


def _vision(config: EarthMindConfig, locations: int, *, shape: StepShape) -> VisionInputs:
    vision, placeholders = config.vision_config, _zeros(locations * config.tokens_per_tile)
    tiles = locations * FUSED_SENSORS if config.fuses_sensors else locations
    return VisionInputs(
        tiles=torch.zeros(tiles, vision.num_channels, *vision.image_size, dtype=torch.uint8),
        tile_group=_zeros(2, tiles),
        tile_sample=_zeros(tiles),
        placeholder_index=placeholders,
        vision_index=placeholders,
        fusion=_plan(tiles, locations, shape=shape) if config.fuses_sensors else None,
    )


def _plan(tiles: int, locations: int, *, shape: StepShape) -> FusionPlan:
    """Of samples with as many tiles and words each."""
    samples = shape.rows * shape.samples
    ends = [tiles * number // samples for number in range(samples + 1)]
    return FusionPlan(
        positions=_zeros(samples * shape.text),
        num_words=[shape.text] * samples,
        streams=list(pairwise(ends)),
        stream=_zeros(tiles),
        num_streams=tiles,
        range_group=_zeros(tiles),
        member=_zeros(tiles),
        location=_zeros(tiles),
        num_locations=locations,
    )


def _masks(config: EarthMindConfig, shape: StepShape) -> tuple[GroundingImages, SegTokens]:
    (one, segment), samples = dummy_masks(config), shape.rows * shape.samples
    assert segment.masks is not None
    total = samples * shape.masks
    segments = SegTokens(
        positions=_zeros(total),
        sample=_zeros(total),
        slot=_zeros(total),
        num_slots=shape.masks,
        weights=torch.zeros(total),
        columns=_zeros(total, config.tokens_per_tile),
        spans=list(pairwise(_boundaries(shape))),
        counts=[shape.masks] * samples,
        seeds=[0] * samples,
        masks=segment.masks.expand(total, -1, -1).contiguous(),
    )
    images = one.images.expand(samples, -1, -1, -1).contiguous()
    return GroundingImages(images, owner=_zeros(samples), num_samples=samples), segments


def _boundaries(shape: StepShape) -> list[int]:
    """Of rows that are shared by samples of like length."""
    length = shape.tokens // shape.samples
    starts = [row * shape.tokens + number * length for row in range(shape.rows) for number in range(shape.samples)]
    return [*starts, shape.rows * shape.tokens]


def _zeros(*size: int) -> Tensor:
    return torch.zeros(*size, dtype=torch.long)


@contextmanager
def known_borders(shape: StepShape) -> Iterator[None]:
    """Within it, transformers makes the attention mask of such a row: a fake row cannot tell it whether it holds several samples."""
    if shape.samples > 1:
        yield
        return
    with replaced(masking_utils, "find_packed_sequence_indices", value=lambda *_, **__: None):
        yield
