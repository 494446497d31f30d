"""What a check of data found: problems, warnings, and what each dataset is like."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from eocore.checks.band_statistics import BandStatistics
from eocore.errors import DataError

ANNOTATION, DUPLICATE, IMAGE, MASK, SAMPLE, UNFORESEEN = "annotation", "duplicate id", "image", "mask", "sample", "unforeseen"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        kind: ANNOTATION, DUPLICATE, IMAGE, MASK, SAMPLE (the record can be read, but training makes no sample of it), or UNFORESEEN (an
            error that is none of ours: please report it).
        locations: "file:line" or "file#entry" of the records it concerns.
        message: what is wrong.
    """

    kind: str
    locations: tuple[str, ...]
    message: str

    @property
    def what(self) -> str:
        """The message without the first location, if it begins with it."""
        return self.message.removeprefix(f"{self.locations[0]}: ")


def problem_of(error: Exception, kind: str, *, locations: Sequence[str]) -> Problem:
    """The problem that an error tells of; of the kind UNFORESEEN where it is none of ours."""
    ours = isinstance(error, DataError)
    return Problem(kind if ours else UNFORESEEN, tuple(locations), str(error) if ours else f"{type(error).__name__}: {error}")


@dataclass
class DatasetFacts:
    """What was found in one dataset.

    Attributes:
        name, kind, annotations: as configured.
        sections: of the config that it stands in: "task" (trained on), "evaluation", ...
        num_entries: records, broken ones among them.
        num_images: image files, each counted once.
        num_questions: of all records; one may ask several.
        problems: what is wrong.
        warnings: what no training refuses, but somebody should look at.
        lengths: words of the text of each good record.
        classes: what is asked about or answered -> how often: question types, short answers to any question, phrases and labels.
        tasks: task -> records.
        sizes: "role height x width" -> images.
        mask_shares: fraction of its image that each mask covers [1].
        empty_masks, full_masks: locations of the records whose mask covers nothing, or the whole image; once for each such mask.
        nodata: role -> fraction of pixels without data, per image [1].
        bands: (role, band) -> statistics of its values, in the sensor's unit.
        tiles: what identifies an image (its pixels, or the ground it shows) -> a file of it; see `eocore.checks.splits`.
        misstated: locations of the records whose stated image size is not the size of their image, with both.
    """

    name: str
    kind: str
    annotations: str
    sections: frozenset[str] = frozenset()
    num_entries: int = 0
    num_images: int = 0
    num_questions: int = 0
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    classes: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    tasks: Counter[str] = field(default_factory=Counter)
    sizes: Counter[str] = field(default_factory=Counter)
    mask_shares: list[float] = field(default_factory=list)
    empty_masks: list[str] = field(default_factory=list)
    full_masks: list[str] = field(default_factory=list)
    nodata: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    bands: dict[tuple[str, str], BandStatistics] = field(default_factory=dict)
    tiles: dict[str, str] = field(default_factory=dict)
    misstated: list[str] = field(default_factory=list)

    @property
    def num_broken(self) -> int:
        """Records with a problem."""
        return len({location for problem in self.problems for location in problem.locations})

    @property
    def masks(self) -> str:
        """How many masks were drawn, and how many of them are empty or cover the whole image; "-" where there are none."""
        if not self.mask_shares:
            return "-"
        odd = ((len(self.empty_masks), "empty"), (len(self.full_masks), "covering the whole image"))
        return ", ".join([f"{len(self.mask_shares):,}", *(f"{count:,} {what}" for count, what in odd if count)])
