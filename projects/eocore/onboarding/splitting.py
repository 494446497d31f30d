"""Train, val and test: places go to one of them whole, so that nothing is tested that was trained on."""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from eocore.errors import AnnotationError, ConfigError
from eocore.onboarding.choices import DEFAULT_FRACTIONS, SPLITS, DatasetChoices, Findings

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""What a column of splits may say -> the split."""


def split_places(counts: Mapping[str, int], choices: DatasetChoices) -> dict[str, str]:
    """Place -> split, drawn by the seed; each split that is wanted gets a place at least.

    Args:
        counts: place -> records.
        choices: fractions and seed.

    Raises:
        ConfigError: the fractions are none, or there are fewer places than splits.
    """
    fractions = dict(zip(SPLITS, choices.fractions or DEFAULT_FRACTIONS, strict=True))
    wanted = [split for split in SPLITS if fractions[split] > 0]
    if len(counts) < len(wanted):
        raise ConfigError(
            f"{len(counts)} places cannot be split into {', '.join(wanted)}: a place in two splits would be trained on and tested. Give "
            "images of more places, or fewer splits (--split 50,0,50). Where the chips of a scene count as places of their own: --group-by "
            "name; where a column of the table names the place: --place-column COLUMN."
        )
    order = sorted(counts)
    random.Random(choices.seed).shuffle(order)
    order.sort(key=lambda place: -counts[place])  # stable: equal sizes stay shuffled
    total, given = sum(counts.values()), Counter[str]()
    found: dict[str, str] = {}
    for position, place in enumerate(order):
        empty = [split for split in wanted if not given[split]]
        left = len(order) - position
        open_splits = empty if len(empty) == left else wanted
        split = max(open_splits, key=lambda name: fractions[name] * total - given[name])
        found[place] = split
        given[split] += counts[place]
    return found


def read_splits(said: Sequence[tuple[str, str, str]], findings: Findings) -> dict[str, str]:
    """Place -> split, as a column of the table says.

    Args:
        said: (place, split, "file:line") of each record.
        findings: takes that the column was followed.

    Raises:
        AnnotationError: a split goes by no known name, or a place stands in two.
        ConfigError: nothing is in train, or in test.
    """
    found: dict[str, tuple[str, str]] = {}
    for place, word, source in said:
        split = SPLIT_NAMES.get(word.strip().lower())
        if split is None:
            raise AnnotationError(
                f"{source}: split {word!r}; expected one of {', '.join(SPLIT_NAMES)}. Correct it, or split anew: --split 80,10,10."
            )
        before, line = found.setdefault(place, (split, source))
        if before != split:
            raise AnnotationError(
                f"{source}: in {split}, but {line}, of the same place, is in {before}: what is trained on would be tested. Correct the "
                "column, or split anew by place: --split 80,10,10."
            )
    chosen = {place: split for place, (split, _) in found.items()}
    counts = Counter(chosen.values())
    if not counts["train"]:
        raise ConfigError("the column of splits puts nothing into train. Correct it, or split anew by place: --split 80,10,10.")
    findings.guessed.append("splits: as the table says (" + ", ".join(f"{split} {counts[split]} places" for split in SPLITS) + ")")
    return chosen


def describe_splits(split_of: Mapping[str, str], counts: Mapping[str, int]) -> str:
    """Records and places of each split, in one line."""
    records: dict[str, int] = defaultdict(int)
    for place, split in split_of.items():
        records[split] += counts[place]
    number = Counter(split_of.values())
    told = ((split, records[split], number[split]) for split in SPLITS if number[split])
    return ", ".join(f"{split} {count} records of {places} place{'s' * (places > 1)}" for split, count, places in told)
