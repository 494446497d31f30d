"""What scoring gives, as plain JSON: scores.json holds `Scores`."""

from typing import Any, NotRequired, TypedDict

from eocore.evaluate.scoring.intervals import Value

SET = "data_set"
"""Field of `meta`: the data set of a sample, where several ask one task; each then has scores of its own beside those of all."""


class Group(TypedDict):
    """Scores of some samples. `n`: what was asked for (answers, masks or boxes); the other counts are part of it, but for `n_extra`."""

    n: int
    n_missing: int
    n_unparsed: int
    n_extra: int
    metrics: dict[str, Value]


class Unread(TypedDict):
    """A prediction that cannot be read; texts are cut to a length that can be shown."""

    sample_id: str
    prediction: str
    ground_truth: str
    reason: str


class Unparsed(TypedDict):
    """The predictions that cannot be read: number by reason, and some of them."""

    reasons: dict[str, int]
    examples: list[Unread]


class TaskScores(TypedDict):
    """All scores of one task under one setting.

    `macro`: mean over the types of the headline metric, where there are types. `by_group`: field of meta -> value -> scores. `subsets`:
    choices of types a convention asks for, each with its own `macro`. `chance`: what guessing among the candidates gives.
    `unparsed`: where predictions cannot be read. `notes`: how predictions were read, where that must be known beside the figures.
    `reference_compat`: figures as upstream evaluations compute them; never to be shown in one column with the others.
    """

    headline: str
    overall: Group
    macro: NotRequired[Value]
    by_type: dict[str, Group]
    by_cloud: dict[str, Group]
    by_group: dict[str, dict[str, Group]]
    subsets: dict[str, "Subset"]
    reference_compat: dict[str, Value]
    details: dict[str, Any]
    chance: NotRequired[float]
    confusion: NotRequired[dict[str, Any]]
    judge: NotRequired[dict[str, Any]]  # of `eocore.evaluate.judge.scores`
    unparsed: NotRequired[Unparsed]
    notes: NotRequired[list[str]]


class Subset(TypedDict):
    """Scores of a choice of types: all its samples alike (`overall`), and its types alike (`macro`)."""

    overall: Group
    macro: NotRequired[Value]


class Difference(TypedDict):
    """How much more the headline metric is under one setting than under another, on the same samples, paired."""

    task: str
    setting: str
    against: str
    group: str
    n: int
    difference: Value


class Scores(TypedDict):
    """Of `score_predictions`; plain JSON. `settings`: setting -> task -> scores. `unscored`: setting -> task -> number of samples."""

    predictions: NotRequired[dict[str, Any]]
    run: NotRequired[dict[str, Any]]  # of which model, data and choices
    settings: dict[str, dict[str, TaskScores]]
    differences: list[Difference]
    unscored: dict[str, dict[str, int]]
