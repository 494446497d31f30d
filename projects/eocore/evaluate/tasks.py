"""Tasks of evaluation: what is asked, through which protocols of a model, and how it is scored. A system or a user adds more:

TASKS.register("change", EvaluationTask(scorers={GENERATES: {"type": "OpenAnswer"}}))
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eocore.choices import Choices
from eocore.errors import ConfigError
from eocore.evaluate.protocols import implemented

GENERATES, SCORES, EMBEDS = "generates", "scores", "embeds"
"""Names of the protocols, see `eocore.evaluate.protocols.PROTOCOLS`."""

ScorerConfig = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class EvaluationTask:
    """One kind of question.

    Attributes:
        protocols: the task can be evaluated through, the preferred first.
        scorers: protocol -> entry of METRICS that scores it where a benchmark names no other; none where the task has no score.
    """

    scorers: Mapping[str, ScorerConfig] = field(default_factory=dict)
    protocols: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.protocols:
            object.__setattr__(self, "protocols", tuple(self.scorers) or (GENERATES,))


def _text(scorer: str) -> EvaluationTask:
    return EvaluationTask(scorers={GENERATES: {"type": scorer}})


TASKS: Choices[EvaluationTask] = Choices(
    "task",
    {
        "vqa": _text("ShortAnswer"),
        "mcq": _text("Choice"),
        "classification": EvaluationTask(scorers={GENERATES: {"type": "SceneClass"}, SCORES: {"type": "ClassScores"}}),
        "multilabel": EvaluationTask(scorers={GENERATES: {"type": "SceneClasses"}, SCORES: {"type": "LabelScores"}}),
        "caption": _text("Caption"),
        "region": _text("Caption"),
        "open": _text("OpenAnswer"),
        "grounding": _text("Grounding"),
        "detection": _text("Detection"),
        "referring": _text("ReferringMasks"),
        "chat": EvaluationTask(),
        "retrieval": EvaluationTask(scorers={EMBEDS: {"type": "Retrieval"}}),
    },
)
"""Name -> task, in the order of tables."""


CLASS_TASKS = ("classification", "multilabel")
"""Tasks whose samples choose among classes."""
BOX_TASKS = ("grounding", "detection")
"""Tasks whose truths are boxes."""


def scored_tasks(protocol: str = GENERATES) -> dict[str, ScorerConfig]:
    """Task -> scorer of all tasks that have a score through a protocol."""
    return {name: task.scorers[protocol] for name, task in TASKS.items() if protocol in task.scorers}


def scorer_of(task: str, *, by_vectors: bool) -> ScorerConfig | None:
    """The scorer of samples of a task where nothing else is asked for; None where the task has no score.

    Args:
        task: one of TASKS.
        by_vectors: whether the samples hold class scores or embeddings, rather than texts.
    """
    scorers = TASKS.find(task).scorers
    found = [config for protocol, config in scorers.items() if (protocol != GENERATES) == by_vectors]
    return found[0] if found else next(iter(scorers.values()), None)


def protocol_of(task: str, predictor: object, *, wanted_by: str) -> str:
    """The protocol through which a predictor is evaluated on a task.

    Args:
        task: one of TASKS.
        predictor: of a model.
        wanted_by: the benchmark or data set, for the message.

    Raises:
        ConfigError: the predictor implements none of the task's.
    """
    offered, needed = implemented(predictor), TASKS.find(task).protocols
    for protocol in needed:
        if protocol in offered:
            return protocol
    raise ConfigError(
        f"{wanted_by}: task '{task}' needs a model that {' or '.join(needed)}; this one {' and '.join(offered) or 'does none of them'} "
        f"({type(predictor).__name__}). Leave it out, or choose another model; docs/evaluation.md lists the protocols."
    )
