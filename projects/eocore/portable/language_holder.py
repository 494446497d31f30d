"""A model around a causal language model of transformers, which is any that a config names."""

from collections.abc import Callable
from typing import Any, Self

from torch import Tensor, nn
from transformers import PreTrainedModel

from eocore.portable.exact_tables import EXACT_TABLES, keep_exact_tables


class LanguageModelHolder(PreTrainedModel):
    """Base of models that are a `language_model` and parts which see.

    Attributes:
        language_model: causal, of transformers.
    """

    language_model: Any
    base_model_prefix = "model"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True
    _keep_in_fp32_modules_strict = EXACT_TABLES  # read by transformers and DeepSpeed

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """As in torch (`to`, `cuda`, `bfloat16`, ...), but for `EXACT_TABLES`."""
        keep_exact_tables(self, lambda: super(LanguageModelHolder, self)._apply(fn, recurse))
        return self

    def get_input_embeddings(self) -> nn.Module:
        """The language model's token embedding."""
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the language model's token embedding."""
        self.language_model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        """The language model's head."""
        return self.language_model.get_output_embeddings()

    def set_output_embeddings(self, value: nn.Module) -> None:
        """Replace the language model's head."""
        self.language_model.set_output_embeddings(value)


def put_embeddings(embeddings: Tensor, placeholders: Tensor, *, tokens: Tensor) -> Tensor:
    """(R, S, D) embeddings of text, with those of images at the placeholders.

    Args:
        embeddings: (R, S, D) of token ids.
        placeholders: (I,) flat positions in the rows.
        tokens: (I, D) that go there, in the precision they have.

    Raises:
        ValueError: they are not equally many.
    """
    if len(placeholders) != len(tokens):
        raise ValueError(
            f"{len(placeholders)} placeholders in the text, {len(tokens)} vision tokens to fill them; they must be equally many. Prepare "
            "the sample with the processor of the model."
        )
    flat = embeddings.reshape(-1, embeddings.shape[-1])
    return flat.index_copy(0, placeholders, tokens.to(flat.dtype)).view_as(embeddings)
