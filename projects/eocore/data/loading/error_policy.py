"""Broken samples by policy: stop at the first, or replace up to a fraction of them, counted, logged once each, and alike on all ranks.

A replacement is another sample of the same dataset, chosen by (seed, epoch, index, attempt) alone. So batches keep their size, all other
samples stay where they are, and any number of ranks or loader processes sees the same.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from torch.utils.data import DataLoader

from eocore.errors import ConfigError, DataError
from eocore.log import get_logger

POLICIES = ("stop", "skip")
MAX_ATTEMPTS = 16
"""Replacements tried for one sample; with half of a dataset broken, 1 in 65,536 samples would need more."""

NUM_REPLACED = "num_replaced"
"""Under which name a task reports how many samples of a batch stand for broken ones."""


@dataclass(frozen=True, kw_only=True)
class FaultOptions:
    """What becomes of broken samples.

    Attributes:
        policy: "stop" at the first, or "skip": leave broken entries of annotation files out, and replace samples that cannot be prepared.
        max_share: with "skip", largest fraction of a dataset's samples [1] that may be broken before the run stops.
    """

    uncompared: ClassVar[Mapping[str, str]] = {"max_share": "ends a run, changes none"}
    policy: str = "stop"
    max_share: float = 0.01

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise ConfigError(f"data_faults.policy is {self.policy!r}; choices: {', '.join(POLICIES)}.")
        if isinstance(self.max_share, bool) or not isinstance(self.max_share, int | float) or not 0 <= self.max_share < 1:
            raise ConfigError(f"data_faults.max_share is {self.max_share!r}; expected a fraction from 0 up to, not including, 1.")

    @property
    def skips(self) -> bool:
        """Whether broken samples are replaced."""
        return self.policy == "skip"


class Origin(NamedTuple):
    """Where a sample comes from: name and size of its dataset, and its position there."""

    dataset: str
    size: int
    position: str


class Fault(NamedTuple):
    """A sample that could not be prepared, and why."""

    origin: Origin
    message: str


class FaultReport:
    """What was found broken, by dataset and position.

    Args:
        max_share: see `FaultOptions`.
    """

    def __init__(self, max_share: float) -> None:
        self.max_share = max_share
        self.replaced = 0
        self.sizes: dict[str, int] = {}
        self.messages: dict[str, dict[str, str]] = defaultdict(dict)

    def add(self, faults: Iterable[Fault]) -> list[Fault]:
        """Counts the faults; returns those seen for the first time."""
        new = []
        for fault in faults:
            self.replaced += 1
            self.sizes[fault.origin.dataset] = fault.origin.size
            if fault.origin.position not in self.messages[fault.origin.dataset]:
                self.messages[fault.origin.dataset][fault.origin.position] = fault.message
                new.append(fault)
        return new

    def check(self) -> None:
        """Nothing; raises DataError, naming the dataset, where more than `max_share` of its samples are broken."""
        for dataset, messages in self.messages.items():
            if len(messages) > self.max_share * self.sizes[dataset]:
                raise DataError(
                    f"dataset '{dataset}': {len(messages)} of {self.sizes[dataset]} samples are broken, more than the {self.max_share:.1%} "
                    f"that data_faults.max_share allows; the first: {next(iter(messages.values()))} Find all with tools/check_data.py."
                )

    def describe(self) -> str:
        """Counts by dataset, in one line."""
        parts = [f"{dataset}: {len(messages)} of {self.sizes[dataset]} samples" for dataset, messages in self.messages.items()]
        return f"{self.replaced} broken samples replaced ({'; '.join(parts) or 'none broken'})"


class ReportingLoader(DataLoader):
    """A loader of batches with a field `faults`; notes the faults of each batch it hands over.

    Attributes:
        new_faults: not yet shared with the other ranks, see `eocore.train.resilience.data_errors`.
    """

    options: FaultOptions = FaultOptions()
    new_faults: list[Fault]

    def __iter__(self) -> Any:
        self.new_faults = []
        return self._report(super().__iter__())  # begun here, since a loader draws a seed when it begins

    def _report(self, batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            self.new_faults += batch.faults
            yield batch


def make_loader(dataset: Any, *, collate: Callable[..., Any], options: FaultOptions, **choices: Any) -> DataLoader:
    """A DataLoader of `PreparedDataset` samples under a policy.

    Args:
        dataset: made with the same options.
        collate: samples -> batch. Under "skip", samples and batches are named tuples with a field `faults`: that of a batch joins those
            of its samples.
        options: the policy.
        **choices: of `DataLoader`.
    """
    if not options.skips:
        return DataLoader(dataset, collate_fn=collate, **choices)
    loader = ReportingLoader(dataset, collate_fn=collate, **choices)
    loader.options = options
    return loader


def report_entries(name: str, size: int, *, faults: Sequence[DataError], options: FaultOptions) -> None:
    """Logs the broken entries of one annotation file, which were left out.

    Args:
        name: the dataset's.
        size: its entries, broken ones among them.
        faults: what is wrong with them.
        options: the policy.

    Raises:
        DataError: they are more than `max_share`.
    """
    report = FaultReport(options.max_share)
    for fault in report.add(Fault(Origin(name, size, str(number)), str(error)) for number, error in enumerate(faults)):
        get_logger().warning("left out of dataset '%s': %s", name, fault.message)
    report.check()
