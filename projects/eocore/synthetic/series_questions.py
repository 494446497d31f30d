"""What is asked about a series: dates, order, what changed and where; answers need the dates or the order of the images."""

from dataclasses import dataclass, field

import numpy as np

from eocore.synthetic.timeline import Event, Series, changes_between

EVENT_NAMES = {
    "flood": "the flood",
    "construction": "the construction",
    "demolition": "the demolition",
    "harvest": "the harvest",
    "sowing": "the sowing",
    "snow": "the snow",
}
PASSED = {"flood": "the flood went down", "snow": "the snow melted"}
"""What is said where a passing event shows on the earlier date alone."""
WHEN = {
    "flood": "On which date is the land flooded?",
    "construction": "On which date does the new building first appear?",
    "demolition": "On which date is the building gone?",
    "harvest": "On which date is the field first harvested?",
    "sowing": "On which date does the field first grow?",
    "snow": "On which date does snow lie?",
}
WHICH_CLOUDY = "On which date is it cloudy?"
WHICH_DATES = "Which dates are shown?"
WHAT_CHANGED = "What changed?"
SEGMENT_CHANGE = "Please segment what changed."
REGION_CLASSES = {1: "water", 2: "forest", 3: "cropland", 4: "built area", 5: "bare ground", 6: "grass", 10: "salt", 9: "snow"}


@dataclass(frozen=True)
class SeriesQuestion:
    """A question and its answer.

    Attributes:
        text, answer: words; the answer to a request for a mask begins with [SEG], the question about a region holds `<region>`.
        kind: "dates", "which_date", "order", "change", "change_mask" or "region".
        mask: (H, W) bool of the [SEG] or the region; None without.
        image: number of the date whose image it lies on.
        candidates: what the answer is one of; empty where it is open.
    """

    text: str
    answer: str
    kind: str
    mask: np.ndarray | None = None
    image: int = 0
    candidates: tuple[str, ...] = field(default=())


def ask_series(series: Series, rng: np.random.Generator) -> list[SeriesQuestion]:
    """All that is asked about a series, a pure function of the arguments (`rng` moves on)."""
    last = len(series.dates) - 1
    if last == 1:
        asked = _change_questions(series, earlier=0, later=1, named=False)
    else:
        # read from the prompt alone: a small language model learns from it to copy, without which it can name no date
        asked = [SeriesQuestion(WHICH_DATES, ", ".join(series.dates), "dates")]
        asked += _date_questions(series) + _order_questions(series, rng)
        for event in series.events:
            asked += _change_questions(series, earlier=event.first - 1, later=event.first, named=True)
    return asked + _region_questions(series, rng)


def describe_change(event: Event, *, appears: bool) -> str:
    """What happened between two dates of which one shows an event."""
    return EVENT_NAMES[event.kind] if appears else PASSED[event.kind]


def _date_questions(series: Series) -> list[SeriesQuestion]:
    asked = [(WHEN[event.kind], series.dates[event.first]) for event in series.events]
    if series.cloudy is not None:
        asked.append((WHICH_CLOUDY, series.dates[series.cloudy]))
    return [SeriesQuestion(text, answer, "which_date", candidates=series.dates) for text, answer in asked]


def _order_questions(series: Series, rng: np.random.Generator) -> list[SeriesQuestion]:
    if len(series.events) < 2:
        return []
    names = [EVENT_NAMES[event.kind] for event in series.events]
    first, second = (names[int(number)] for number in rng.permutation(2))
    asked = [("first", names[0]), ("last", names[-1])]
    word, answer = asked[int(rng.integers(2))]
    return [SeriesQuestion(f"What came {word}, {first} or {second}?", answer, "order", candidates=(first, second))]


def _change_questions(series: Series, *, earlier: int, later: int, named: bool) -> list[SeriesQuestion]:
    """What changed between two dates, and where, if it is one thing alone.

    Args:
        series: of the dates.
        earlier, later: their numbers.
        named: the questions name both.
    """
    changed = changes_between(series.events, earlier=earlier, later=later)
    if len(changed) != 1 or series.cloudy in (earlier, later):
        return []
    what = describe_change(changed[0], appears=changed[0].shows(later))
    mask = series.layouts[earlier].class_map != series.layouts[later].class_map
    between = f" between {series.dates[earlier]} and {series.dates[later]}" if named else ""
    asked = [SeriesQuestion(WHAT_CHANGED.replace("?", f"{between}?"), what, "change")]
    text = SEGMENT_CHANGE.replace(".", f"{between}.")
    return [*asked, SeriesQuestion(text, f"[SEG] {what}", "change_mask", mask, later)]


def _region_questions(series: Series, rng: np.random.Generator) -> list[SeriesQuestion]:
    """What a place that changes is on one date, which the region names; the answer differs from date to date."""
    asked = []
    for event in series.events:
        if event.kind == "snow":
            continue
        number = event.first - int(rng.integers(2))
        values, counts = np.unique(series.layouts[number].class_map[event.mask], return_counts=True)
        name = REGION_CLASSES.get(int(values[counts.argmax()]))
        if name is not None and counts.max() > 0.9 * counts.sum() and number != series.cloudy:
            asked.append(SeriesQuestion("What is region1<region>?", name, "region", event.mask, number))
    return asked
