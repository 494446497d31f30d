"""What of a model in training is validated, when, on what data, and what follows from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from eocore.errors import ConfigError
from eocore.text import did_you_mean
from eocore.train.task import LOSS_PREFIX

LOSS = "loss"
COUNTS = {"every": 1, "samples": 1, "batch_size": 1, "max_new_tokens": 1, "pictures": 0, "loss_samples": 1, "patience": 1}
"""Option -> its least value."""


@dataclass(frozen=True, kw_only=True)
class ValidationOptions:
    """Config entry `training.validation`.

    Results are named `loss` and `loss_*` over all samples, `SETTING/loss` and so on under each sensor setting, and
    `SETTING/TASK/MEASURE` for answers.

    Attributes:
        every: updates from one validation to the next; there is one after the last update too.
        data: held-out data: configs of the registry DATASETS, one or a list. One without records of its own (a mixture) counts for the
            loss alone, with its images as they are.
        settings: name -> roles of the images shown; None = those of section `evaluation`, or all images where it has none.
        loss_samples: most samples of each data set and setting whose loss is computed, a fixed random choice; None = all.
        metrics: of answers, each `TASK` for the measure the task is known by, or `TASK/MEASURE`; without any, nothing is generated.
        samples: most questions of each data set that are answered under each setting, a fixed random choice.
        batch_size: questions answered together.
        max_new_tokens: longest answer.
        generation: how the model generates, in its system's options.
        turns: how the questions of records of several turns are asked, see `eocore.evaluate.engine.sources.EvaluationOptions`.
        pictures: questions that are drawn at each validation, with what is true and what was answered.
        best: name of the result whose best checkpoint is kept; None = none is.
        lower_is_better: whether the best value of `best` is the lowest; None = for losses alone.
        patience: validations in a row without a better `best` after which the training ends; None = it does not end early.
    """

    every: int
    data: Mapping[str, Any] | Sequence[Mapping[str, Any]]
    settings: Mapping[str, Sequence[str]] | None = None
    loss_samples: int | None = None
    metrics: Sequence[str] = ()
    samples: int = 64
    batch_size: int = 8
    max_new_tokens: int = 64
    generation: Mapping[str, Any] = field(default_factory=dict)
    turns: Literal["each", "dialogue"] = "each"
    pictures: int = 4
    best: str | None = None
    lower_is_better: bool | None = None
    patience: int | None = None

    def __post_init__(self) -> None:
        for name, least in COUNTS.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"training.validation.{name} is {value}; expected a whole number of at least {least}.")
        if not self.data:
            raise ConfigError("training.validation.data is empty; expected the config of a data set, or a list of them.")
        if self.settings is not None and not self.settings:
            raise ConfigError("training.validation.settings is empty; expected names with roles of images, or leave it out.")
        if self.best is None and (self.patience is not None or self.lower_is_better is not None):
            raise ConfigError(
                "training.validation.patience and lower_is_better speak of the result that `best` names, and it names none. Set best, "
                "such as best='loss', or leave them out."
            )

    @property
    def datasets(self) -> list[Mapping[str, Any]]:
        """The configs of the data sets."""
        return [self.data] if isinstance(self.data, Mapping) else list(self.data)

    @property
    def seeks_lowest(self) -> bool:
        """Whether the best value of `best` is the lowest."""
        if self.lower_is_better is not None:
            return self.lower_is_better
        return self.best is not None and is_loss(self.best)


def is_loss(name: str) -> bool:
    """Whether a result of that name is a loss."""
    last = name.rpartition("/")[2]
    return last == LOSS or last.startswith(LOSS_PREFIX)


def check_fits_run(options: ValidationOptions, max_iters: int) -> None:
    """Raise ConfigError if there would be no validation but the last."""
    if options.every > max_iters:
        raise ConfigError(
            f"training.validation.every is {options.every}, and the training has {max_iters} updates (training.max_iters), so that nothing "
            "would be seen before its end. Lower it, or switch validation off with training.validation=None."
        )


def check_best(best: str | None, names: Sequence[str]) -> None:
    """Raise ConfigError if `best` names no result that a validation will have.

    Losses of a task have names that only its first validation tells, so that `loss_*` passes here.

    Args:
        best: the option.
        names: of the results that are known.
    """
    if best is None or best in names or (is_loss(best) and f"{best.rpartition('/')[0]}/{LOSS}".lstrip("/") in names):
        return
    raise ConfigError(
        f"training.validation.best is '{best}', which no validation of this run has as a result.{did_you_mean(best, names)} Results: "
        f"{', '.join(names)}. For a measure of answers, name it in training.validation.metrics too."
    )
