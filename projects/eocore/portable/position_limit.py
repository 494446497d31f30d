"""How many tokens a language model can tell apart by their positions, and prompts and answers that run beyond."""

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import StoppingCriteria, StoppingCriteriaList

from eocore.portable.vision_layout import SampleError

STRETCHED = ("linear", "dynamic", "yarn")
"""Rotary embeddings that read `factor` times the positions of their training. Source: transformers, modeling_rope_utils."""


class SampleTooLongError(SampleError):
    """A sample has more tokens than allowed; nothing was cut."""


def num_positions(text_config: Any) -> int | None:
    """Positions of a language model [tokens]; None where its config sets no limit.

    Args:
        text_config: of transformers, of the language model.
    """
    stated = getattr(text_config, "max_position_embeddings", None)
    if not stated:
        return None
    return max(int(stated), *(int(factor * (first or stated)) for factor, first in _stretches(text_config)), 0)


def _stretches(text_config: Any) -> Iterator[tuple[float, int | None]]:
    """(factor, positions before) of each stretched rotary embedding; models of several kinds of layers have one for each."""
    rope = getattr(text_config, "rope_parameters", None) or getattr(text_config, "rope_scaling", None) or {}
    for kind in (rope, *(part for part in rope.values() if isinstance(part, Mapping))):
        if kind.get("rope_type", kind.get("type")) in STRETCHED and kind.get("factor"):
            yield float(kind["factor"]), kind.get("original_max_position_embeddings")


def most_prompt_tokens(text_config: Any) -> int | None:
    """Most tokens of a prompt: with room for one of the answer. None where there is no limit."""
    positions = num_positions(text_config)
    return None if positions is None else positions - 1


def check_prompt_length(text_config: Any, input_ids: Tensor | None, *, attention_mask: Tensor | None) -> None:
    """Raise SampleTooLongError if a prompt leaves no position for an answer.

    Args:
        text_config: of the language model.
        input_ids: (R, S) prompts; None where only embeddings are given.
        attention_mask: (R, S), 0 in the padding; None = there is none.
    """
    limit = most_prompt_tokens(text_config)
    lengths = prompt_lengths(input_ids, attention_mask)
    longest = max(lengths, default=0)
    if limit is not None and longest > limit:
        raise SampleTooLongError(too_long(f"prompt {lengths.index(longest)}", longest, limit=limit))


def prompt_lengths(input_ids: Tensor | None, attention_mask: Tensor | None) -> list[int]:
    """Tokens of each prompt without its padding; see `check_prompt_length`."""
    if attention_mask is not None:
        return [int(length) for length in attention_mask.sum(1).tolist()]
    return [] if input_ids is None else [input_ids.shape[1]] * len(input_ids)


class LastPosition(StoppingCriteria):
    """Ends each answer at the last position that the model tells apart.

    Args:
        lengths: tokens of each prompt.
        positions: of the language model.
        columns: of the prompts with their padding.
        ends: ids of the tokens that answers end with, and of what fills a row behind its end.
    """

    def __init__(self, lengths: Sequence[int], *, positions: int, columns: int, ends: Collection[int]) -> None:
        self.num_cut = 0
        self._left = positions - torch.tensor(lengths)
        self._positions, self._columns, self._ends = positions, columns, torch.tensor(sorted(ends), dtype=torch.long)

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Any:
        """(R,) True where a row has no position left; `scores` is unused."""
        written, rows = input_ids.shape[1] - self._columns, len(input_ids)
        left = self._left.repeat_interleave(rows // len(self._left)).to(input_ids.device)
        is_open = ~torch.isin(input_ids[:, -1], self._ends.to(input_ids.device))
        self.num_cut += int((is_open & (left == written)).sum())
        return left <= written

    def warn(self) -> None:
        """Tells how many answers were cut, if any."""
        warn_of_cut(self.num_cut, len(self._left), positions=self._positions)


def limit_answers(text_config: Any, prompts: Tensor | None, *, options: dict[str, Any], settings: Any) -> LastPosition | None:
    """What ends answers at the last position, added to the options of `generate`; None where none can be so long.

    Args:
        text_config: of the language model.
        prompts: (R, S) token ids, padded in front; None where only embeddings are given.
        options: of transformers' `generate`, `attention_mask` among them; gets `stopping_criteria`.
        settings: the generation config, which counts where options are silent.
    """
    positions, lengths = num_positions(text_config), prompt_lengths(prompts, options.get("attention_mask"))
    most = options.get("max_new_tokens") or settings.max_new_tokens
    if positions is None or not lengths or (most is not None and max(lengths) + most <= positions):
        return None
    tokens = [options.get(name) or getattr(settings, name, None) for name in ("eos_token_id", "pad_token_id")]
    ends = {int(token) for part in tokens if part is not None for token in (part if isinstance(part, Sequence) else [part])}
    limit = LastPosition(lengths, positions=positions, columns=0 if prompts is None else prompts.shape[1], ends=ends)
    options["stopping_criteria"] = StoppingCriteriaList([*(options.get("stopping_criteria") or ()), limit])
    return limit


def warn_of_cut(num_cut: int, num_answers: int, *, positions: int | None) -> None:
    """Warns where answers ended at the model's last position."""
    if num_cut:
        warnings.warn(
            f"{num_cut} of {num_answers} answers stopped unfinished at the model's last position ({positions} tokens with the prompt). "
            "Shorten the text, show fewer images or frames, begin the conversation anew, or lower max_tiles where the model has it.",
            stacklevel=4,
        )


def too_long(what: str, count: int, *, limit: int, tiles: str = "") -> str:
    """The message for a prompt that is longer than the model's positions.

    Args:
        what: the prompt.
        count: its tokens.
        limit: most tokens of a prompt.
        tiles: how many of the tokens are images, for the message.
    """
    return (
        f"{what}: {count} tokens{tiles}, but the model has positions for {limit} and an answer; further ones mean nothing to it. Nothing "
        "was cut. Shorten the text, show fewer images or frames, begin the conversation anew, or lower max_tiles where the model has it."
    )
