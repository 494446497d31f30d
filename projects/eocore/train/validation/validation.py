"""Everything that is computed at a validation, and what of it is kept."""

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from PIL import Image

from eocore.distributed import Ranks, control_group
from eocore.errors import ConfigError
from eocore.progress import Progress
from eocore.resolve import plain
from eocore.train.checkpoint.random_state import random_states, restore_random_states
from eocore.train.resilience.heartbeat import HEARTBEAT
from eocore.train.resilience.preemption import Orders
from eocore.train.strategy import ZeroStrategy
from eocore.train.task import Task
from eocore.train.validation.answers import Answered, Answers, AnswersRequest, MakeAnswers
from eocore.train.validation.best import BestResult
from eocore.train.validation.held_out_loss import HeldOutLoss
from eocore.train.validation.options import ValidationOptions, check_best
from eocore.train.validation.undisturbed import undisturbed

FOLDER = "validation"
"""Of a run's folder: pictures of each validation, and the answers of the last."""
ONLY_LOOKS = ("every", "patience", "pictures", "batch_size")
"""Options on which no result depends but for its rounding."""


@dataclass(frozen=True)
class Found:
    """Of one validation: results by name, and the picture on the first rank."""

    results: Mapping[str, float]
    picture: np.ndarray | None
    seconds: float


class Steps:
    """Progress of one part of a validation, on every rank; see `eocore.train.validation.answers.Watch`."""

    def __init__(self, progress: Progress, orders: Orders, *, ranks: Ranks) -> None:
        self.progress, self.orders, self.ranks = progress, orders, ranks

    def advance(self, count: int) -> None:
        """See `Watch`."""
        self.progress.advance(count)
        HEARTBEAT.mark(f"validation, {self.progress.what}: {self.progress.done} of {self.progress.total} {self.progress.unit}")

    def stopped(self) -> bool:
        """See `Watch`; where it is True all ranks have agreed to save and stop, as in an update."""
        stop = torch.tensor(self.orders.stop + self.orders.interrupted)
        if self.ranks.world_size > 1:
            torch.distributed.all_reduce(stop, op=torch.distributed.ReduceOp.MAX, group=control_group())
        if stop:
            self.orders.agree(save=self.orders.save_agreed, stop=True, interrupted=int(stop) > 1)
        return bool(stop)


class Validation:
    """Made before the training, called by its hook.

    Attributes:
        options: of the config.
        best: the best result so far.
        names: of the results that are known before the first validation.
    """

    def __init__(self, options: ValidationOptions, loss: HeldOutLoss, *, answers: Answers | None, ranks: Ranks) -> None:
        self.options, self.loss, self.answers, self.ranks = options, loss, answers, ranks
        self.names = [*loss.names, *(answers.names if answers is not None else ())]
        check_best(options.best, self.names)
        self.best = BestResult(options, _key(options, loss))

    def is_due(self, step: int, max_iters: int) -> bool:
        """Whether there is a validation after `step` updates."""
        return step > 0 and (step % self.options.every == 0 or step == max_iters)

    def run(self, strategy: ZeroStrategy, orders: Orders, *, work_dir: Path) -> Found | None:
        """All results of the model as it is; None where the run is told to stop meanwhile. All ranks call it."""
        start = time.perf_counter()
        HEARTBEAT.mark("validation")
        task: Task = strategy.model.module
        with undisturbed(strategy, task):
            results = self._part("loss", self.loss.num_batches, unit="batches", orders=orders, compute=partial(self.loss, task))
            answered: Answered | None = Answered({})
            if results is not None and self.answers is not None:
                compute = partial(self.answers, folder=work_dir / FOLDER)
                answered = self._part("answers", self.answers.num_questions, unit="questions", orders=orders, compute=compute)
        HEARTBEAT.mark("logging and saving")
        if results is None or answered is None:
            return None
        return Found({**results, **answered.metrics}, answered.picture, time.perf_counter() - start)

    def _part(self, what: str, total: int, *, unit: str, orders: Orders, compute: Any) -> Any:
        with Progress(f"validation, {what}", total, unit=unit, visible=self.ranks.is_first) as progress:
            return compute(Steps(progress, orders, ranks=self.ranks))

    def describe(self) -> list[str]:
        """What will be validated, in lines."""
        lines = [f"validation every {self.options.every} updates", f"  loss of {self.loss.num_samples} samples"]
        if self.answers is not None:
            lines.append(f"  {self.answers.num_questions} questions answered: {', '.join(self.answers.names)}")
        if self.options.best is not None:
            lines.append(f"  best checkpoint by {self.options.best}, the {'lowest' if self.options.seeks_lowest else 'highest'}")
        return lines


@dataclass(frozen=True, kw_only=True)
class ValidationSetup:
    """What a validation is made with.

    Attributes:
        config: of the run.
        options: of its entry `training.validation`.
        ranks: that share it.
        answers: makes what scores answers; None where the program that trains has nothing of the kind.
        timeout_s: how long to wait for a batch of held-out data [s].
    """

    config: Config
    options: ValidationOptions
    ranks: Ranks
    answers: MakeAnswers | None = None
    timeout_s: int = 0

    @property
    def settings(self) -> Mapping[str, Sequence[str]]:
        """Name -> roles of the images shown; empty = all images."""
        if self.options.settings is not None:
            return self.options.settings
        found: Mapping[str, Sequence[str]] = self.config.get("evaluation", {}).get("settings", {})
        return found


def build_validation(task: Task, setup: ValidationSetup) -> Validation:
    """The validation of a training, its data read and its names checked; no random state is changed.

    Args:
        task: not wrapped.
        setup: of the run.

    Raises:
        ConfigError: an option names what there is not.
        EOError: the data cannot be read.
    """
    HEARTBEAT.mark("reading the data of validation")
    states = random_states()
    try:
        loss = HeldOutLoss(
            task,
            setup.options,
            settings=setup.settings,
            ranks=setup.ranks,
            seed=setup.config.seed,
            timeout_s=setup.timeout_s,
        )
        return Validation(setup.options, loss, answers=_make_answers(task, setup), ranks=setup.ranks)
    finally:
        restore_random_states(states)


def _make_answers(task: Task, setup: ValidationSetup) -> Answers | None:
    options = setup.options
    if not options.metrics:
        return None
    if setup.answers is None:
        raise ConfigError(
            f"training.validation.metrics names {', '.join(options.metrics)}, but this program gave `train` nothing that scores answers. "
            "Train with tools/train.py, or give answers=eocore.predict.validation.ScoredAnswers."
        )
    if not setup.settings:
        raise ConfigError(
            "training.validation.metrics needs the images that questions are asked about, and neither training.validation.settings nor "
            "evaluation.settings names any. Add settings=dict(NAME=[ROLE, ...])."
        )
    return setup.answers(
        AnswersRequest(config=setup.config, task=task, options=options, settings=setup.settings, ranks=setup.ranks, seed=setup.config.seed)
    )


def _key(options: ValidationOptions, loss: HeldOutLoss) -> str:
    """A digest of what results depend on beside the model; files may be moved."""
    kept = {item.name: plain(getattr(options, item.name)) for item in fields(options) if item.name not in ONLY_LOOKS}
    text = json.dumps([kept | {"data": _without_folders(kept["data"])}, loss.num_samples], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _without_folders(value: Any) -> Any:
    if isinstance(value, str):
        return os.path.basename(value)
    if isinstance(value, dict):
        return {name: _without_folders(part) for name, part in value.items()}
    return [_without_folders(part) for part in value] if isinstance(value, list) else value


def save_picture(picture: np.ndarray, work_dir: Path, *, step: int) -> Path:
    """Writes the picture of a validation; returns its file."""
    path = work_dir / FOLDER / f"step_{step:06d}.png"
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(picture).save(path)
    return path
