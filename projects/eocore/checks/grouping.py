"""Problems that are one: a thousand missing files of a folder are one line, not a thousand."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from eocore.checks.facts import Problem

_PATH = re.compile(r"(\S*/)[^\s/]+?(\.\w+)?(?=[\s:;,')]|$)")
_QUOTED = re.compile(r"'[^']*'")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:e[+-]?\d+)?")


@dataclass(frozen=True)
class ProblemGroup:
    """Problems that say the same of different records.

    Attributes:
        first: the problem that is shown for all.
        num_problems: of the group.
        num_records: that they concern.
    """

    first: Problem
    num_problems: int
    num_records: int


def group_problems(problems: Sequence[Problem]) -> list[ProblemGroup]:
    """Problems of one kind and text, whatever the names and numbers in it, together; the largest groups first."""
    groups: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        groups.setdefault((problem.kind, _signature(problem.what)), []).append(problem)
    found = [ProblemGroup(members[0], len(members), _count_records(members)) for members in groups.values()]
    return sorted(found, key=lambda group: -group.num_records)


def _count_records(problems: Sequence[Problem]) -> int:
    return len({location for problem in problems for location in problem.locations})


def _signature(text: str) -> str:
    """`text` without what differs between files: names of files (their folders and endings stay), quoted words, numbers."""
    without_names = _PATH.sub(r"\1*\2", text)
    return _NUMBER.sub("#", _QUOTED.sub("'*'", without_names))
