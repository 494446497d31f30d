"""What scores the answers of a model in training: given by a callable, since answers are asked and scored by parts above this one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from mmengine.config import Config

from eocore.distributed import Ranks
from eocore.train.task import Task
from eocore.train.validation.options import ValidationOptions


@dataclass(frozen=True, kw_only=True)
class AnswersRequest:
    """What answers are wanted of.

    Attributes:
        config: of the run.
        task: whose model answers.
        options: of the validation.
        settings: name -> roles of the images shown.
        ranks: that share the questions.
        seed: of the choice of questions, and of transforms that draw.
    """

    config: Config
    task: Task
    options: ValidationOptions
    settings: Mapping[str, Sequence[str]]
    ranks: Ranks
    seed: int


class Watch(Protocol):
    """Told of progress; says when to give up."""

    def advance(self, count: int) -> None:
        """So many more questions were answered by all ranks together."""

    def stopped(self) -> bool:
        """Whether the run was told to stop. All ranks call it equally often and get the same answer."""


@dataclass(frozen=True)
class Answered:
    """Answers scored.

    Attributes:
        metrics: `SETTING/TASK/MEASURE` -> value, on every rank; one that is not finite is left out.
        picture: (H, W, 3) uint8 of some questions with truth and answers; None on other ranks than the first, or where none is wanted.
    """

    metrics: Mapping[str, float]
    picture: np.ndarray | None = None


class Answers(Protocol):
    """Asks the model in training fixed questions and scores its answers."""

    @property
    def names(self) -> Sequence[str]:
        """Of the metrics."""

    @property
    def num_questions(self) -> int:
        """Over all settings."""

    def __call__(self, watch: Watch, folder: Path) -> Answered | None:
        """The scores; None where `watch` said stop. All ranks call it, with the model whole and in eval mode.

        Args:
            watch: called between batches.
            folder: the first rank leaves the answers here, in place of earlier ones.

        Raises:
            EOError: nothing could be answered, or the answers cannot be scored or written.
        """


MakeAnswers = Callable[[AnswersRequest], Answers]
