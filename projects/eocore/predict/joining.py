"""Answers of one model that are written together: each enters when it is asked for, and leaves when it ends."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch

from eocore.portable.answer_row import AnswerRow, RowOptions
from eocore.portable.running_batch import ReadPrompts, RunningBatch


@runtime_checkable
class JoiningAnswerer(Protocol):
    """Optional beside `eocore.evaluate.protocols.PreparingAnswerer`: one whose answers may be joined by others.

    Attributes:
        model: see `RunningBatch`.
    """

    model: Any

    @property
    def watched(self) -> int | None:
        """Id of the token whose states `finish` reads; None = of none."""

    def row_settings(self) -> Mapping[str, Any] | None:
        """Options of its answers, see `RowOptions.settings`; None where answers with these options cannot be joined."""

    def read(self, prepared: Sequence[Any]) -> ReadPrompts:
        """Prompts of prepared samples, read. Raises DataError where the model cannot take one."""

    def finish(self, prepared: Sequence[Any], rows: Sequence[AnswerRow]) -> Sequence[Any]:
        """One answer for each of the rows that are written, see `eocore.evaluate.protocols.AnswerLike`."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question on its way into the batch.

    Attributes:
        key: of whoever asks.
        prepared: by the answerer.
        options: of the answer.
        begin: is called with the number of the prompt's tokens before the first token is heard.
        is_wanted: whether anybody still waits for the answer; others leave without being finished.
    """

    key: Any
    prepared: Any
    options: RowOptions
    begin: Callable[[int], None] = lambda count: None
    is_wanted: Callable[[], bool] = lambda: True


@dataclass(frozen=True)
class Left:
    """A question that has left.

    Attributes:
        asked: the question.
        answer: to it; None with an error, and where nobody wanted it any more.
        error: why there is none.
    """

    asked: Asked
    answer: Any = None
    error: Exception | None = None


class JoinedAnswers:
    """The batch. Called by one thread at a time.

    Args:
        answerer: of the model, whatever its options.
    """

    def __init__(self, answerer: JoiningAnswerer) -> None:
        self._answerer = answerer
        self._running = RunningBatch(answerer.model, watched=answerer.watched)
        self._asked: dict[AnswerRow, Asked] = {}

    def __len__(self) -> int:
        """Answers that are being written."""
        return len(self._asked)

    @torch.no_grad()
    def join(self, asked: Sequence[Asked]) -> list[Left]:
        """Adds questions; returns those that could not be added. One that fails costs the others nothing."""
        if not asked:
            return []
        rows: list[AnswerRow] = []
        try:
            prompts = self._answerer.read([one.prepared for one in asked])
            rows = [AnswerRow(self._answerer.model, ids, options=one.options) for ids, one in zip(prompts.ids(), asked, strict=True)]
            for row, one in zip(rows, asked, strict=True):
                one.begin(len(row.prompt))
            self._running.join(prompts, rows)
        except Exception as error:
            for row in rows:
                self._running.drop(row)
            return [left for one in asked for left in self.join([one])] if len(asked) > 1 else [Left(asked[0], error=error)]
        self._asked |= zip(rows, asked, strict=True)
        return []

    @torch.no_grad()
    def step(self) -> list[Left]:
        """Continues all answers by a token; returns those that have ended."""
        try:
            rows = self._running.step()
        except Exception as error:  # of the pass that they share
            self._running.clear()
            lost, self._asked = list(self._asked.values()), {}
            return [Left(one, error=error) for one in lost]
        return self._finish([(self._asked.pop(row), row) for row in rows])

    def _finish(self, written: Sequence[tuple[Asked, AnswerRow]]) -> list[Left]:
        left = [Left(one, error=row.error) for one, row in written if row.error is not None or not one.is_wanted()]
        gone = {one.asked.key for one in left}
        wanted = [(one, row) for one, row in written if one.key not in gone]
        return [*left, *self._make(wanted)]

    def _make(self, written: Sequence[tuple[Asked, AnswerRow]]) -> list[Left]:
        if not written:
            return []
        try:
            answers = self._answerer.finish([one.prepared for one, _ in written], [row for _, row in written])
        except Exception as error:
            return [left for one in written for left in self._make([one])] if len(written) > 1 else [Left(written[0][0], error=error)]
        return [Left(one, answer) for (one, _), answer in zip(written, answers, strict=True)]
