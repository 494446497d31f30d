"""Generated token ids -> the text of an answer, and what ends one."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from eocore.portable.row_packing import without_padding


class AnswerText:
    """Reads answers that one tokenizer writes.

    Args:
        tokenizer: of the model.
        end_of_turn: mark that ends an answer; it may be several tokens.
    """

    def __init__(self, tokenizer: Any, end_of_turn: str) -> None:
        self.tokenizer, self.end_of_turn = tokenizer, end_of_turn

    @property
    def pad_token_id(self) -> int:
        """Id that fills rows up."""
        pad = self.tokenizer.pad_token_id
        return int(pad if pad is not None else self.tokenizer.eos_token_id or 0)

    def stop_settings(self, end_ids: Sequence[int]) -> dict[str, Any]:
        """Arguments of `generate` that end an answer: token ids, and a stop string where the end mark is several tokens.

        Args:
            end_ids: of the end mark.
        """
        ids = [] if self.tokenizer.eos_token_id is None else [self.tokenizer.eos_token_id]
        settings: dict[str, Any] = {"pad_token_id": self.pad_token_id}
        if len(end_ids) == 1:
            ids.append(end_ids[0])
        elif not ids or end_ids[-1] != ids[0]:  # an end mark that closes with the end token is found by that
            settings.update(stop_strings=[self.end_of_turn], tokenizer=self.tokenizer)
        return {**settings, "eos_token_id": sorted(set(ids))} if ids else settings

    def read(self, token_ids: Tensor, counted_id: int) -> tuple[str, int]:
        """The text of an answer (L,) with special tokens kept, without the end mark and padding, and how often one token stands in it.

        What was written after the end mark belongs to no answer: neither its words nor its tokens.
        """
        ids = token_ids.tolist()
        text = self._decode(ids)
        answer = self._before_end(text)
        if answer != text and counted_id in ids:
            # the shortest beginning in which the end is written: marks may be several tokens
            beginnings = range(1, len(ids) + 1)
            ids = ids[: 1 + bisect_left(beginnings, True, key=lambda length: self._has_ended(ids[:length]))]
        return answer.strip(), ids.count(counted_id)

    def decode_rows(self, generated: Any, *, skip_special_tokens: bool = True, **kwargs: Any) -> Any:
        """The text of a row of ids (L,), or of each of several (R, L), without padding: each is what it would be alone."""
        rows = torch.as_tensor(generated)
        ids = [without_padding(row, self.pad_token_id) for row in rows.reshape(-1, rows.shape[-1]).tolist()]
        texts = [self.tokenizer.decode(row, skip_special_tokens=skip_special_tokens, **kwargs) for row in ids]
        return texts if rows.ndim > 1 else texts[0]

    def _has_ended(self, ids: Sequence[int]) -> bool:
        text = self._decode(ids)
        return self._before_end(text) != text

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode([number for number in ids if number != self.tokenizer.pad_token_id], skip_special_tokens=False))

    def _before_end(self, text: str) -> str:
        text = text.split(self.end_of_turn)[0]
        return text.split(self.tokenizer.eos_token)[0] if self.tokenizer.eos_token else text
