"""What a user decides about data of their own, and what is told about the rest."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from eocore.data.io.layer_file import LEFT_OUT
from eocore.errors import ConfigError
from eocore.text import some_of

CHAT, REFERRING, CAPTION, CLASSIFICATION = "chat", "referring", "caption", "classification"
TASKS = (CHAT, REFERRING, CAPTION, CLASSIFICATION)
SPLITS = ("train", "val", "test")
DEFAULT_FRACTIONS = (0.8, 0.1, 0.1)

PairBy = Literal["location", "name"]
GroupBy = Literal["location", "scene", "name"]
BoxForm = Literal["xyxy", "xywh"]


@dataclass(frozen=True, kw_only=True)
class DatasetChoices:
    """What the user said; whatever is left out is read from the files, or an error that names the choice.

    Attributes:
        tasks: what is learnt, some of TASKS; () = what the columns hold, where that is one thing.
        image_columns: group -> column of the table that names its image; {} = by the names of the columns.
        text_columns: task -> column of its answer, phrase, caption or label; "" as task = the only task's.
        columns: other fields ("question", "mask", "place", "split") -> column.
        sensors: group -> sensor.
        roles: group -> role.
        bands: group -> names of its layers, "-" for one to leave out.
        leave_out: groups that are not used.
        pair: join the images of one place, where the table names one of them.
        pair_by: what tells that images of two groups show one place; None = location, else the name.
        group_by: what tells that images show one place, for the splits; None = location, else the source scene in the name, else the name.
        fractions: of train, val and test; None = the column of the table, or DEFAULT_FRACTIONS.
        seed: of the splits.
        question: asked where the table holds captions or labels.
        boxes: what four numbers of a box mean.
    """

    tasks: tuple[str, ...] = ()
    image_columns: Mapping[str, str] = field(default_factory=dict)
    text_columns: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    sensors: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)
    bands: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    leave_out: tuple[str, ...] = ()
    pair: bool = False
    pair_by: PairBy | None = None
    group_by: GroupBy | None = None
    fractions: tuple[float, float, float] | None = None
    seed: int = 0
    question: str = ""
    boxes: BoxForm | None = None


@dataclass(frozen=True)
class Skipped:
    """A row or file that is not used: "file:line", and why."""

    source: str
    reason: str


@dataclass
class Findings:
    """What is told beside the result.

    Attributes:
        guessed: what was read from the files, a sentence each.
        unsure: what may be otherwise, with the option that decides it.
        skipped: rows and files that are not used.
    """

    guessed: list[str] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def skip(self, source: str, error: Exception | str) -> None:
        """Notes a row or file that is not used; the reason does not say the source again."""
        self.skipped.append(Skipped(source, str(error).removeprefix(f"{source}: ")))


def check_groups(choices: DatasetChoices, known: tuple[str, ...]) -> None:
    """Raise ConfigError if an option names a group of images that there is not.

    Args:
        choices: of the user.
        known: labels of the groups.
    """
    named = {"sensor": choices.sensors, "role": choices.roles, "bands": choices.bands, "leave-out": choices.leave_out}
    for option, groups in named.items():
        unknown = [group for group in groups if group not in known]
        if unknown:
            raise ConfigError(f"--{option} names {unknown[0]!r}, which is no group of images here. Groups: {some_of(list(known))}.")


def counted_layers(bands: tuple[str, ...], layers: int) -> int:
    """Number of layers that are read, of which `bands` may leave some out."""
    return layers - list(bands).count(LEFT_OUT)
