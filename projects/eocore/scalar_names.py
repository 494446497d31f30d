"""Names in scalars.jsonl: those of validation, and the points of a curve."""

from collections.abc import Iterable, Mapping, Sequence

VALIDATED = "val/"
"""Before the names of results of validation: `val/LOSS`, `val/SETTING/LOSS`, `val/SETTING/TASK/MEASURE`. Source:
`eocore.train.validation.hook`."""


def points(records: Sequence[Mapping[str, float]], name: str) -> tuple[list[float], list[float]]:
    """Steps at which a name was recorded, and its values."""
    found = [(record["step"], record[name]) for record in records if name in record]
    return [step for step, _ in found], [value for _, value in found]


def measures_of(records: Iterable[Mapping[str, float]]) -> dict[str, dict[str, str]]:
    """`TASK/MEASURE` of answers in validation -> setting -> name in the records."""
    found: dict[str, dict[str, str]] = {}
    for name in dict.fromkeys(key for record in records for key in record if key.startswith(VALIDATED)):
        setting, _, measure = name.removeprefix(VALIDATED).partition("/")
        if "/" in measure:
            found.setdefault(measure, {})[setting] = name
    return found
