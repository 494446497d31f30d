"""Answers that are written together, token by token, while finished ones leave and new ones enter (continuous batching)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from eocore.portable.answer_row import AnswerRow
from eocore.portable.generation_options import OBJECTS
from eocore.portable.last_tokens import last_tokens_alone
from eocore.portable.position_limit import num_positions, warn_of_cut
from eocore.portable.row_cache import RowCache, keeps_all_columns, states_of, writes_to_itself


@dataclass(frozen=True)
class ReadPrompts:
    """Prompts that the language model has read, n of them, P columns wide; columns that a row does not fill are masked.

    Attributes:
        input_ids, attention_mask: (n, P).
        cache: keys and values of all columns.
        states: (n, D) of each prompt's last token.
    """

    input_ids: Tensor
    attention_mask: Tensor
    cache: Any
    states: Tensor

    def ids(self) -> list[list[int]]:
        """Of each prompt, without padding."""
        return [row[keep].tolist() for row, keep in zip(self.input_ids, self.attention_mask.bool(), strict=True)]


def read_prompts(decoder: nn.Module, embeddings: Tensor, *, input_ids: Tensor, attention_mask: Tensor) -> ReadPrompts:
    """Reads prompts that are padded in front.

    Args:
        decoder: of the language model.
        embeddings: (n, P, D).
        input_ids, attention_mask: (n, P).
    """
    positions = (attention_mask.cumsum(1) - 1).clamp(min=0)
    mask = None if bool(attention_mask.all()) else attention_mask
    with last_tokens_alone(decoder):
        read = decoder(inputs_embeds=embeddings, attention_mask=mask, position_ids=positions, use_cache=True)
    return ReadPrompts(input_ids, attention_mask, read.past_key_values, read.last_hidden_state[:, -1])


class RunningBatch:
    """Rows that are continued together. Called by one thread at a time.

    Args:
        model: with `language_model`, token embedding and head.
        watched: id of the token whose states are kept; None = of none.
    """

    def __init__(self, model: Any, *, watched: int | None = None) -> None:
        self.rows: list[AnswerRow] = []
        self._model, self._watched = model, watched
        self._cache: RowCache | None = None
        self._mask = torch.zeros(0, 0)

    def join(self, prompts: ReadPrompts, rows: Sequence[AnswerRow]) -> None:
        """Adds the rows of prompts, and chooses the first token of each."""
        mask = prompts.attention_mask
        if self._cache is None:
            self._cache, self._mask = RowCache(states_of(prompts.cache)), mask
        else:
            self._cache.add(states_of(prompts.cache))
            columns = max(mask.shape[1], self._mask.shape[1])
            parts = (nn.functional.pad(part, (columns - part.shape[1], 0)) for part in (self._mask, mask))
            self._mask = torch.cat(list(parts))
        self.rows += rows
        self._write(rows, prompts.states)
        self._settle()

    def step(self) -> list[AnswerRow]:
        """Rows that have ended, which leave; where none has, the others are continued by a token first."""
        left = self._leave()
        if left or not self.rows:
            return left
        decoder, device = self._model.language_model.get_decoder(), self._mask.device
        tokens = torch.tensor([row.tokens[-1:] for row in self.rows], device=device)
        self._mask = nn.functional.pad(self._mask, (0, 1), value=1)
        states = decoder(
            inputs_embeds=self._model.get_input_embeddings()(tokens),
            attention_mask=self._mask if self._is_padded else None,
            position_ids=self._mask.sum(1, keepdim=True) - 1,
            past_key_values=self._cache,
            use_cache=True,
        ).last_hidden_state[:, -1]
        for number, row in enumerate(self.rows):
            if row.tokens[-1] == self._watched:
                row.states.append(states[number].clone())
        going = [number for number, row in enumerate(self.rows) if not row.has_ended]
        self._write([self.rows[number] for number in going], states if len(going) == len(self.rows) else states[going])
        return self._leave()

    def drop(self, row: AnswerRow) -> None:
        """Takes out a row that nobody waits for; unknown ones count for nothing."""
        if any(row is other for other in self.rows):
            self._keep([number for number, other in enumerate(self.rows) if other is not row])

    def clear(self) -> list[AnswerRow]:
        """Takes out all rows."""
        rows = self.rows
        self._keep([])
        return rows

    def _write(self, rows: Sequence[AnswerRow], states: Tensor) -> None:
        """Chooses the next token of rows with states (n, D); an error costs its own row alone."""
        if not rows:
            return
        scores = self._model.get_output_embeddings()(states).float()
        likeliest = scores.argmax(-1).tolist()
        for row, token, own in zip(rows, likeliest, scores, strict=True):
            try:
                row.put(token if row.takes_likeliest else row.choose(own))
            except Exception as error:
                row.fail(error)

    def _leave(self) -> list[AnswerRow]:
        left = [row for row in self.rows if self._is_complete(row)]
        if left:
            self._keep([number for number, row in enumerate(self.rows) if not self._is_complete(row)])
        return left

    def _is_complete(self, row: AnswerRow) -> bool:
        """Whether it has ended and a watched token at its end has been read."""
        num_watched = 0 if self._watched is None else row.tokens.count(self._watched)
        return row.has_ended and (row.error is not None or num_watched == len(row.states))

    def _keep(self, numbers: Sequence[int]) -> None:
        self.rows = [self.rows[number] for number in numbers]
        if self._cache is None or not numbers:
            self._cache = None
            return
        rows = torch.tensor(numbers, device=self._mask.device)
        mask = self._mask[rows]
        first = int(mask.any(0).int().argmax())
        self._cache.keep(rows, first)
        self._mask = mask[:, first:]
        self._settle()

    def _settle(self) -> None:
        self._is_padded = not bool(self._mask.all())


def can_join(model: Any, settings: Mapping[str, Any]) -> bool:
    """Whether answers with these options can be joined by others.

    Not those in a cache of fixed size, or with objects of transformers that follow a whole batch; nor those of language models whose layers
    see less than all that came before, or that write to themselves as they read.

    Args:
        model: with a generation config, which counts where `settings` are silent.
        settings: of `generate`.
    """
    follows = any(settings.get(name) is not None for name in OBJECTS if name != "tokenizer")
    text = model.config.text_config
    return not follows and not has_fixed_cache(model, settings) and keeps_all_columns(text) and not writes_to_itself(text)


def has_fixed_cache(model: Any, settings: Mapping[str, Any]) -> bool:
    """Whether the cache has a fixed size; arguments as `can_join`."""
    return settings.get("cache_implementation", model.generation_config.cache_implementation) is not None


def write_rows(running: RunningBatch, prompts: ReadPrompts, *, rows: Sequence[AnswerRow], text_config: Any) -> None:
    """Writes answers to their ends. Raises what was raised in one of them."""
    running.join(prompts, rows)
    while running.rows:
        for row in running.step():
            if row.error is not None:
                raise row.error
    warn_of_cut(sum(row.is_cut for row in rows), len(rows), positions=num_positions(text_config))
