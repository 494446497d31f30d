"""Answers of a batch that are handed out word by word while they are generated, and may end one by one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor
from transformers import StoppingCriteria, StoppingCriteriaList

from eocore.predict.streaming import AnswerStreamer


@dataclass(kw_only=True)
class FollowedRow:
    """One answer of a batch.

    Attributes:
        write: is called with each piece of its text.
        limit: tokens after which it ends.
        stops: texts that end it and do not belong to it.
        is_cancelled: whether nobody waits for it any more.
        num_prompt_tokens, num_tokens: of the prompt and of the answer.
        finish: why it ended: by itself, at its limit, or since nobody waits; "" until then.
    """

    write: Callable[[str], None]
    limit: int
    stops: Sequence[str] = ()
    is_cancelled: Callable[[], bool] = lambda: False
    num_prompt_tokens: int = 0
    num_tokens: int = 0
    finish: Literal["", "stop", "length", "cancelled"] = ""


class RowFollower:
    """Hands an answer out word by word while it is generated, and says when it ends.

    Args:
        row: the answer.
        processor: of the model, with `tokenizer` and `end_of_turn`.
    """

    def __init__(self, row: FollowedRow, processor: Any) -> None:
        tokenizer = processor.tokenizer
        ends = (processor.end_of_turn.strip(), tokenizer.eos_token or "", *row.stops)
        self.row, self._streamer = row, AnswerStreamer(tokenizer, row.write, ends=ends)

    def begin(self, num_prompt_tokens: int) -> None:
        """The prompt has been read; a second reading counts for nothing."""
        if self.row.num_prompt_tokens:
            return
        self.row.num_prompt_tokens = num_prompt_tokens
        self._streamer.put(torch.zeros(num_prompt_tokens, dtype=torch.long))  # it hands out what follows the first call

    def hear(self, token: int) -> bool:
        """Takes the next token; whether the answer ends with it."""
        row = self.row
        row.num_tokens += 1
        self._streamer.put(torch.tensor([token]))
        if row.is_cancelled():
            row.finish = "cancelled"
        elif self._streamer.has_ended:
            row.finish = "stop"
        elif row.num_tokens >= row.limit:
            row.finish = "length"
        return bool(row.finish)

    def end(self) -> None:
        """Hands out what is left."""
        self._streamer.end()
        self.row.finish = self.row.finish or ("length" if self.row.num_tokens >= self.row.limit else "stop")


class BatchFollower(StoppingCriteria):
    """A streamer and a stopping criterion of transformers' `generate` in one, for the rows of a batch.

    Args:
        rows: in the order of the batch.
        processor: of the model, with `tokenizer` and `end_of_turn`.
    """

    def __init__(self, rows: Sequence[FollowedRow], processor: Any) -> None:
        self._pad = processor.tokenizer.pad_token_id
        self._rows = [RowFollower(row, processor) for row in rows]
        self._begun = False
        self._num_steps = 0

    @property
    def objects(self) -> dict[str, Any]:
        """Arguments of `generate`, see `eocore.portable.generation_options.OBJECTS`."""
        return {"streamer": self, "stopping_criteria": StoppingCriteriaList([self])}

    def put(self, value: Tensor) -> None:
        """Takes the prompts (R, S), then the next token of each row (R,)."""
        for each, ids in zip(self._rows, value, strict=True):
            if not self._begun:
                each.begin(int((ids != self._pad).sum()) if self._pad is not None else len(ids))
            elif not each.row.finish:
                each.hear(int(ids))
        self._begun = True

    def end(self) -> None:
        """Hands out what is left of each answer."""
        for each in self._rows:
            each.end()

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """(R,) bool: which rows are complete with the token just made, which `put` gets before or after this."""
        self._num_steps += 1
        complete = [bool(each.row.finish) or self._num_steps >= each.row.limit for each in self._rows]
        return torch.tensor(complete, device=input_ids.device)


class FollowedAnswerer(Protocol):
    """A `PreparingAnswerer` whose answers are followed."""

    def prepare(self, sample: Any) -> Any:
        """What `answer` takes for this sample; several threads may prepare at once."""

    def answer(self, prepared: Sequence[Any]) -> Sequence[Any]:
        """One answer a sample, see `eocore.evaluate.protocols.AnswerLike`."""


@runtime_checkable
class FollowsAnswers(Protocol):
    """Optional beside `eocore.evaluate.protocols.Generates`: a predictor whose batches of answers can be followed while they are generated.

    Attributes:
        processor: of the model, with `tokenizer` and `end_of_turn`.
    """

    processor: Any

    def followed_answerer(self, max_new_tokens: int, *, generation: Mapping[str, Any], objects: Mapping[str, Any]) -> FollowedAnswerer:
        """What answers the last question of records.

        Args:
            max_new_tokens: longest answer of the batch.
            generation: options of `eocore.predict.generation.generation_settings`, beside those that the predictor was made with.
            objects: of a `BatchFollower` of the batch that is answered; none where answers are only prepared.

        Raises:
            ConfigError: an option is unknown or does not fit the others.
        """
