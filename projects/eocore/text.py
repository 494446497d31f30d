"""Words of messages and questions: hints at a name that was probably meant, lists that may be long, names of classes as words."""

import difflib
import re
from collections.abc import Iterable, Sequence

MAX_NAMED = 8
"""Most items that a message names."""


def some_of(items: Sequence[str], most: int = MAX_NAMED) -> str:
    """The items, and how many more there are than `most`; "none" where there are none."""
    more = [f"and {len(items) - most} more"] if len(items) > most else []
    return "; ".join([*items[:most], *more]) or "none"


def nearest(word: str, choices: Iterable[str], *, count: int = 1, cutoff: float = 0.6) -> list[str]:
    """The choices that look most like `word`, best first.

    Args:
        word: as it was written.
        choices: what exists.
        count: at most as many.
        cutoff: least similarity, 0 to 1 (difflib's ratio).
    """
    return difflib.get_close_matches(word, list(choices), n=count, cutoff=cutoff)


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """ " Did you mean 'x'?" with the choice that looks most like `word`; empty where none does."""
    near = nearest(word, choices)
    return f" Did you mean '{near[0]}'?" if near else ""


def display_name(label: str) -> str:
    """ "BareLand" and "bare_land" -> "bare land"."""
    return " ".join(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", label).replace("_", " ").replace("-", " ").lower().split())
