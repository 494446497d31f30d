"""A task without files and without memory, and a batch for it: what estimates are made from."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from tokenizers import Tokenizer, models
from torch import Tensor
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast, masking_utils

from earthmind.dummy_inputs import blank_masks
from earthmind.model.configuration_earthmind import EarthMindConfig
from earthmind.model.special_tokens import SPECIAL_TOKENS
from earthmind.task import EarthMindTask
from eocore.errors import ConfigError
from eocore.registry import TOKENIZERS
from eocore.replaced import replaced
from eocore.train.planning.estimate import StepShape


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
    fields = {key: value for key, value in task.items() if key not in ("type", "data", "vision_cache", "compile")}
    fields["model"] = {key: value for key, value in fields["model"].items() if key != "pretrained"}
    fields["tokenizer"] = {"type": "StandInTokenizer", "size": _vocabulary(fields)}
    with torch.device("meta"):
        return EarthMindTask(**fields)


def _vocabulary(fields: Mapping[str, Any]) -> int:
    stated = fields["model"].get("text_config", {}).get("vocab_size")
    learnt = fields["tokenizer"].get("vocab_size")
    if stated is None and learnt is None:
        raise ConfigError("the size of the vocabulary is not stated: set task.model.text_config.vocab_size, which estimates need.")
    return int(stated) if stated is not None else int(learnt) + len(SPECIAL_TOKENS)


def example_batch(task: EarthMindTask, shape: StepShape) -> dict[str, Any]:
    """A batch of that shape, all zeros: as many tiles as its rows have room for, a grounding image for each sample with masks.

    Raises:
        ConfigError: the row has no room for the text.
    """
    config = task.model.config
    count, per_tile = shape.rows * shape.samples, config.tokens_per_tile
    tiles = shape.rows * ((shape.tokens - shape.samples * shape.text) // per_tile)
    if tiles < 0 or shape.supervised > shape.text:
        raise ConfigError(
            f"{shape.samples} samples with {shape.text} text tokens each ({shape.supervised} learnt) do not fit a row of {shape.tokens}. "
            "Ask for fewer."
        )
    vision = config.vision_config
    batch = {
        "input_ids": _zeros(shape.rows, shape.tokens),
        "position_ids": _zeros(shape.rows, shape.tokens),
        "borders": _borders(shape),
        "label_index": _zeros(count * shape.supervised),
        "label_target": _zeros(count * shape.supervised),
        "label_weight": torch.zeros(count * shape.supervised),
        "num_samples": count,
        "num_tokens": shape.rows * shape.tokens,
    }
    if tiles:
        batch |= {
            "tiles": torch.zeros(tiles, vision.num_channels, *vision.image_size, dtype=torch.uint8),
            "tile_group": _zeros(2, tiles),
            "tile_sample": _zeros(tiles),
            "placeholder_index": _zeros(tiles * per_tile),
            "vision_index": _zeros(tiles * per_tile),
        }
    return batch | (_masks(config, shape) if shape.masks else {})


def _masks(config: EarthMindConfig, shape: StepShape) -> dict[str, Any]:
    one, samples = blank_masks(config, torch.device("cpu")), shape.rows * shape.samples
    total = samples * shape.masks
    repeated = {
        key: value.expand(total, *value.shape[1:]).contiguous()
        for key, value in one.items()
        if isinstance(value, Tensor) and key not in ("grounding_images", "grounding_owner")
    }
    images = one["grounding_images"]
    return repeated | {
        "grounding_images": images.expand(samples, *images.shape[1:]).contiguous(),
        "grounding_owner": _zeros(samples),
        "num_grounded": samples,
        "seg_columns": _zeros(total, config.tokens_per_tile),
        "seg_spans": list(pairwise(_borders(shape))),
        "seg_counts": [shape.masks] * samples,
        "seg_seeds": [0] * samples,
        "num_slots": shape.masks,
    }


def _borders(shape: StepShape) -> list[int]:
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
