"""Series in words: what each date shows is told, not seen, and the questions are those about images.

A language model that begins with nothing learns from them, at little cost, what a pretrained one knows: to copy from its prompt, and to
find the date that something is told of.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from eocore.synthetic.series_questions import EVENT_NAMES, WHEN, WHICH_CLOUDY, WHICH_DATES
from eocore.synthetic.timeline import KINDS, PASSING, draw_dates

MOST_DATES = 6
SHARES = {"dates": 0.3, "which_date": 0.5, "order": 0.2}
"""Of the kinds of questions."""
WORDS = {
    "flood": ("land", "flood"),
    "construction": ("land", "building"),
    "demolition": ("building", "land"),
    "harvest": ("crops", "bare field"),
    "sowing": ("bare field", "crops"),
    "snow": ("ground", "snow"),
}
"""What is told of a place before an event, and from then on."""
CLOUDS = "clouds"
CLOUDY_FRACTION = 0.3


def text_entries(count: int, *, seed: int) -> list[dict[str, Any]]:
    """So many entries {id, conversations, type} of texts alone, a pure function of the arguments."""
    return [_entry(number, np.random.default_rng([seed, number])) for number in range(count)]


def _entry(number: int, rng: np.random.Generator) -> dict[str, Any]:
    dates = [day.isoformat() for day in draw_dates(rng, int(rng.integers(3, MOST_DATES + 1)))]
    kinds = [str(kind) for kind in rng.permutation(KINDS)[:2]]
    firsts = sorted(int(first) for first in rng.permutation(np.arange(1, len(dates)))[:2])
    free = [each for each in range(len(dates)) if each not in (*firsts, *(first - 1 for first in firsts))]
    cloudy = int(rng.choice(free)) if free and rng.random() < CLOUDY_FRACTION else None
    events = list(zip(kinds, firsts, strict=True))
    kind, question, answer = _question(dates, events, cloudy=cloudy, rng=rng)
    told = [CLOUDS if at == cloudy else ", ".join(_told(event, first=first, at=at) for event, first in events) for at in range(len(dates))]
    lines = [f"{day}: {words}" for day, words in zip(dates, told, strict=True)]
    turns = [{"from": "human", "value": "\n".join([*lines, question])}, {"from": "gpt", "value": answer}]
    return {"id": f"text_{number:06d}", "conversations": turns, "type": kind}


def _told(kind: str, *, first: int, at: int) -> str:
    """What a date tells of the place of an event."""
    shows = at == first if kind in PASSING else at >= first
    return WORDS[kind][int(shows)]


def _question(
    dates: Sequence[str], events: Sequence[tuple[str, int]], *, cloudy: int | None, rng: np.random.Generator
) -> tuple[str, str, str]:
    """Kind, question and answer; `events` (kind, number of its first date) in their order."""
    kind = str(rng.choice(list(SHARES), p=list(SHARES.values())))
    if kind == "dates":
        return kind, WHICH_DATES, ", ".join(dates)
    if kind == "order":
        names = [EVENT_NAMES[event] for event, _ in events]
        one, other = (names[int(number)] for number in rng.permutation(2))
        word = str(rng.choice(["first", "last"]))
        return kind, f"What came {word}, {one} or {other}?", names[0] if word == "first" else names[-1]
    asked = [(WHEN[event], first) for event, first in events]
    if cloudy is not None:
        asked.append((WHICH_CLOUDY, cloudy))
    text, at = asked[int(rng.integers(len(asked)))]
    return kind, text, dates[at]
