"""A task without files and without memory, and a batch for it: what estimates are made from."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from eocore.errors import ConfigError
from eocore.losses.pairs import supposed_ranks
from eocore.option_types import check_option
from eocore.registry import TOKENIZERS
from eocore.train.options import DataOptions
from eocore.train.planning.estimate import StepShape
from eocore.train.planning.prompts import vocabulary_size
from ms_clip.building.tokenizer import END, START
from ms_clip.datasets.preparation import Batch
from ms_clip.model.processor_options import ProcessorOptions
from ms_clip.task import MsClipTask


@TOKENIZERS.register_module()
def StandInClipTokenizer(*, size: int) -> PreTrainedTokenizerBase:
    """A tokenizer of `size` tokens that knows where texts begin and end, and no language."""
    words = [f"<{number}>" for number in range(size - 2)]
    core = Tokenizer(models.BPE(vocab={word: number for number, word in enumerate([*words, START, END])}, merges=[]))
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token=START, eos_token=END, pad_token=END)


def outline(task: Mapping[str, Any]) -> MsClipTask:
    """The task of a config on the meta device: what trains is what would, nothing is read.

    Raises:
        ConfigError: as `MsClipTask`; or the vocabulary's size is nowhere stated.
    """
    for name in ("model", "tokenizer"):
        check_option(f"task.{name}", task.get(name, {}), annotation=Mapping[str, Any])
    fields = {key: value for key, value in task.items() if key not in ("type", "compile")}
    fields["model"] = {key: value for key, value in fields.get("model", {}).items() if key != "pretrained"}
    fields["tokenizer"] = {"type": "StandInClipTokenizer", "size": vocabulary_size(fields, example="CLIP: 49408")}
    with torch.device("meta"):
        return MsClipTask(**fields)


def step_shape(settings: Mapping[str, Any]) -> StepShape:
    """The largest step of a section `task`: a batch of pairs, whose texts are as long as the model reads."""
    length = settings.get("processor", {}).get("context_length", ProcessorOptions.context_length)
    return StepShape(tokens=length, rows=settings.get("batch_size", DataOptions.batch_size), text=0, supervised=0, masks=0)


def example_batch(task: MsClipTask, shape: StepShape) -> Batch:
    """A batch of `shape.rows` pairs with texts of `shape.tokens` tokens, all zeros.

    Raises:
        ConfigError: the shape has what pairs do not have, or texts are longer than the model reads.
    """
    config = task.model.config
    vision, longest = config.vision_config, config.text_config.max_position_embeddings
    if shape.samples != 1 or shape.masks or shape.supervised:
        raise ConfigError(
            f"pairs of an image and a text have one row each, no masks and no supervised tokens; asked for: {shape.samples} samples a row, "
            f"{shape.masks} masks, {shape.supervised} supervised tokens. Leave these options out."
        )
    if shape.tokens > longest:
        raise ConfigError(f"texts of {shape.tokens} tokens are asked for, the model reads at most {longest}. Ask for fewer.")
    return Batch(
        pixel_values=torch.zeros(shape.rows, vision.num_channels, vision.image_size, vision.image_size),
        input_ids=torch.zeros(shape.rows, shape.tokens, dtype=torch.long),
        attention_mask=torch.ones(shape.rows, shape.tokens, dtype=torch.long),
        keys=torch.zeros(shape.rows, dtype=torch.long),
        sample_ids=[""] * shape.rows,
    )


def global_batch(shape: StepShape) -> AbstractContextManager[None]:
    """Within it, pairs are compared with those of `shape.ranks` ranks."""
    return supposed_ranks(shape.ranks)
