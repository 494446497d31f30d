"""Prompts of models that read an image and text, made of no data: what estimates are made from."""

from collections.abc import Mapping
from typing import Any

import torch
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from eocore.errors import ConfigError
from eocore.option_types import check_option
from eocore.portable.prompt_batching import PromptBatch
from eocore.portable.row_packing import SupervisedTokens
from eocore.registry import TOKENIZERS
from eocore.train.options import DataOptions
from eocore.train.planning.estimate import StepShape


@TOKENIZERS.register_module()
def StandInChatTokenizer(*, size: int) -> PreTrainedTokenizerBase:
    """A tokenizer of `size` tokens that knows no language."""
    words = ["<pad>", "</s>", *(f"<{number}>" for number in range(size - 2))]
    core = Tokenizer(models.BPE(vocab={word: number for number, word in enumerate(words)}, merges=[]))
    return PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="</s>")


def vocabulary_size(fields: Mapping[str, Any], *, example: str) -> int:
    """Tokens of the language model that a section `task` describes, by its `text_config` or its tokenizer.

    Args:
        fields: the section; `model` and `tokenizer` are mappings.
        example: of a value, for the message.

    Raises:
        ConfigError: it is nowhere stated.
    """
    text = fields.get("model", {}).get("text_config", {})
    check_option("task.model.text_config", text, annotation=Mapping[str, Any])
    size = text.get("vocab_size", fields.get("tokenizer", {}).get("vocab_size"))
    check_option("the size of the vocabulary", size, annotation=int | None)
    if size is None:
        raise ConfigError(
            f"the size of the vocabulary is not stated: set task.model.text_config.vocab_size ({example}), which estimates need."
        )
    return int(size)


def step_of_prompts(settings: Mapping[str, Any]) -> StepShape:
    """The largest step of a section `task` of a model that answers in text alone: a batch of its longest samples."""
    return StepShape(
        tokens=settings.get("max_length", DataOptions.max_length), rows=settings.get("batch_size", DataOptions.batch_size), masks=0
    )


def example_prompts(shape: StepShape, *, per_image: int) -> PromptBatch:
    """Prompts of that shape, all zeros: an image of `per_image` tokens for each sample.

    Raises:
        ConfigError: the row has no room for text beside the image.
    """
    count = shape.rows * shape.samples
    if shape.tokens // shape.samples - per_image <= shape.supervised:
        raise ConfigError(
            f"{shape.samples} samples of {per_image} image tokens and {shape.supervised} supervised tokens do not fit a row of "
            f"{shape.tokens}. Ask for fewer, or a longer row."
        )
    zeros = torch.zeros(shape.rows, shape.tokens, dtype=torch.long)
    supervised = torch.zeros(count * shape.supervised, dtype=torch.long)
    return PromptBatch(
        input_ids=zeros,
        labels=zeros,
        position_ids=zeros,
        attention_mask=torch.ones_like(zeros),
        placeholders=torch.zeros(count * per_image, dtype=torch.long),
        sequence_boundaries=[number * shape.tokens // shape.samples for number in range(count + 1)],
        question_starts={},
        supervised=SupervisedTokens(supervised, supervised, torch.zeros(len(supervised))),
        sample_ids=[""] * count,
        num_tokens=shape.rows * shape.tokens,
    )
