"""Encoded prompts -> rows of a batch, for models that read a fixed number of embeddings of each image."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from eocore.portable.row_packing import IGNORE, RowLayout, SupervisedTokens, pack_rows, supervised_tokens


class EncodedPrompt(NamedTuple):
    """The text of one sample, L tokens, with I placeholders for embeddings of images.

    Attributes:
        sample_id: for messages.
        input_ids: (L,).
        labels: (L,) ids of supervised tokens, `IGNORE` elsewhere.
        placeholders: (I,) positions, in the order of the embeddings.
        question_starts: where each independent question begins; empty: they are one conversation.
    """

    sample_id: str
    input_ids: Tensor
    labels: Tensor
    placeholders: Tensor
    question_starts: list[int]


class PromptBatch(NamedTuple):
    """R rows of S tokens that hold one sample or several.

    Attributes:
        input_ids: (R, S).
        labels: (R, S) ids of supervised tokens, `IGNORE` on prompts, images and padding.
        position_ids: (R, S), beginning anew with every sample and in the padding.
        attention_mask: (R, S), 0 in the padding.
        placeholders: (I,) flat positions in the rows, in the order of the samples.
        sequence_boundaries: 0 and the end of each sample and of the padding, counted through all rows.
        question_starts: flat start of a sample of independent questions -> where in it each of them begins.
        supervised: the tokens that have labels.
        sample_ids: of the samples, in their order.
        num_tokens: of the samples, without padding.
    """

    input_ids: Tensor
    labels: Tensor
    position_ids: Tensor
    attention_mask: Tensor
    placeholders: Tensor
    sequence_boundaries: list[int]
    question_starts: dict[int, list[int]]
    supervised: SupervisedTokens
    sample_ids: list[str]
    num_tokens: int

    @property
    def num_samples(self) -> int:
        """Samples of all rows."""
        return len(self.sample_ids)


def collate_prompts(
    prompts: Sequence[EncodedPrompt], *, pad_token_id: int, row_length: int | None = None, full_rows: bool = False, left_pad: bool = False
) -> PromptBatch:
    """One batch.

    Args:
        prompts: encoded texts.
        pad_token_id: pads rows up to the longest.
        row_length: pack several samples into rows of at most this many tokens; None: one sample a row.
        full_rows: pad packed rows up to `row_length`, so that all batches have one shape.
        left_pad: pad in front (generation).

    Raises:
        ValueError: a sample alone is longer than a row.
    """
    lengths = [len(prompt.input_ids) for prompt in prompts]
    rows = pack_rows(lengths, row_length)
    width = row_length if full_rows and row_length is not None else max(sum(lengths[index] for index in row) for row in rows)
    layout = RowLayout(lengths, rows, width=width, left_pad=left_pad)
    return PromptBatch(
        input_ids=layout.fill([prompt.input_ids for prompt in prompts], pad_token_id),
        labels=layout.fill([prompt.labels for prompt in prompts], IGNORE),
        position_ids=layout.positions([prompt.question_starts for prompt in prompts]),
        attention_mask=layout.attention_mask(),
        placeholders=torch.cat([prompt.placeholders + layout.start[index] for index, prompt in enumerate(prompts)]),
        sequence_boundaries=layout.sequence_boundaries(),
        question_starts={layout.start[index]: prompt.question_starts for index, prompt in enumerate(prompts) if prompt.question_starts},
        supervised=supervised_tokens([prompt.labels for prompt in prompts], layout),
        sample_ids=[prompt.sample_id for prompt in prompts],
        num_tokens=sum(lengths),
    )


def to_inputs(batch: PromptBatch) -> dict[str, Any]:
    """`input_ids`, `attention_mask` (R, S) and `placeholders` (I,), as `ImageLanguageModel.generate` takes them."""
    return {name: getattr(batch, name) for name in ("input_ids", "attention_mask", "placeholders")}
