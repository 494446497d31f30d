"""The time axis of the synthetic world: a landscape on several dates, with what happens to it in between."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
from scipy.ndimage import binary_erosion

from eocore.synthetic.landscape import BARE, BUILDINGS, CROPS, FOREST, GRASS, SNOW, WATER, Layout, draw_clouds, draw_layout, draw_shape
from eocore.synthetic.spectra import OPTICAL_BANDS, optical_scene, sar_scene

FIRST_DAY, LAST_DAY = date(2016, 1, 1), date(2023, 12, 31)
GAPS_D = (20, 100)
"""Fewest and most days between two dates."""
EVENT_AREA = (0.05, 0.11)
"""Fraction of the image that an event changes."""
KINDS = ("flood", "construction", "demolition", "harvest", "sowing", "snow")
SHAPES = {"flood": "lake", "construction": "block", "demolition": "block", "harvest": "field", "sowing": "field"}
STATES = {
    "flood": (0, WATER),
    "construction": (0, BUILDINGS),
    "demolition": (BUILDINGS, 0),
    "harvest": (CROPS, BARE),
    "sowing": (BARE, CROPS),
}
"""Class before and from the event on; 0 = as the land around it."""
PASSING = ("flood", "snow")
"""Events of one date alone; the others last."""
COLD_MONTHS = (12, 1, 2)
GROWN = (FOREST, CROPS, GRASS)
GREEN_BANDS = ("B05", "B06", "B07", "B08", "B8A", "B09")
WINTER_DIP = 0.3
"""Fraction of the near infrared that vegetation loses from July to January."""
TRIES = 60
FREE_FRACTION = 0.97
CLOUDY_FRACTION = 0.5
"""Of the series of three dates or more, those with one cloudy date."""


@dataclass(frozen=True)
class Event:
    """What happens.

    Attributes:
        kind: one of `KINDS`.
        mask: (H, W) bool, the pixels that it changes.
        first: number of the first date that shows it.
        last: number of the last date that does.
    """

    kind: str
    mask: np.ndarray
    first: int
    last: int

    def shows(self, number: int) -> bool:
        """Whether the date of that number shows it."""
        return self.first <= number <= self.last


@dataclass(frozen=True)
class Series:
    """One place on several dates.

    Attributes:
        series_id: "<split>_<number>".
        dates: ISO dates, in order.
        layouts: class map and objects on each date.
        optical: (12, H, W) float32 reflectance [1] of each date, clouds included.
        sar: (2, H, W) float32 backscatter (VV, VH) [dB] of each date.
        events: what happens.
        cloudy: number of the cloudy date; None without one.
    """

    series_id: str
    dates: tuple[str, ...]
    layouts: tuple[Layout, ...]
    optical: tuple[np.ndarray, ...]
    sar: tuple[np.ndarray, ...]
    events: tuple[Event, ...]
    cloudy: int | None = None


def make_series(series_id: str, seeds: Sequence[int], *, size: int, num_dates: int) -> Series:
    """A series, a pure function of the arguments. With two dates one event, with more two.

    Args:
        series_id: its name.
        seeds: of its randomness.
        size: side of the images [px].
        num_dates: of the series, at least 2.
    """
    ground, when, look, sky = (np.random.default_rng([*seeds, part]) for part in range(4))
    dates = draw_dates(when, num_dates)
    base = draw_layout(ground, size)
    base, events = _draw_events(base, when, dates=dates)
    layouts = tuple(_at(base, events, number=number) for number in range(num_dates))
    cloudy = _cloudy_date(events, num_dates, rng=sky)
    clouds = [draw_clouds(layout, sky) if number == cloudy else None for number, layout in enumerate(layouts)]
    optical = tuple(
        _season(optical_scene(layout, look, clouds=cloud), layout, day=day, clouds=cloud)
        for layout, cloud, day in zip(layouts, clouds, dates, strict=True)
    )
    sar = tuple(sar_scene(layout, look) for layout in layouts)
    return Series(series_id, tuple(day.isoformat() for day in dates), layouts, optical, sar, tuple(events), cloudy)


def changes_between(events: Sequence[Event], *, earlier: int, later: int) -> list[Event]:
    """The events that show on one of two dates alone."""
    return [event for event in events if event.shows(earlier) != event.shows(later)]


def draw_dates(rng: np.random.Generator, count: int) -> list[date]:
    """So many dates in order, as far apart as those of a series."""
    gaps = rng.integers(GAPS_D[0], GAPS_D[1], count - 1)
    latest = (LAST_DAY - FIRST_DAY).days - int(gaps.sum())
    day = FIRST_DAY + timedelta(days=int(rng.integers(latest)))
    days = [day]
    for gap in gaps:
        days.append(days[-1] + timedelta(days=int(gap)))
    return days


def _draw_events(base: Layout, rng: np.random.Generator, *, dates: Sequence[date]) -> tuple[Layout, list[Event]]:
    """Events on unlike dates at places of their own, and the landscape as it was before them."""
    count, last = (1 if len(dates) < 3 else 2), len(dates) - 1
    firsts = [int(number) for number in rng.permutation(np.arange(1, len(dates)))]
    kinds = [str(kind) for kind in rng.permutation(KINDS)]
    events: list[Event] = []
    taken = np.zeros(base.class_map.shape, bool)
    while len(events) < count and kinds and firsts:
        kind, first = kinds.pop(), firsts[-1]
        if kind == "snow":
            cold = [number for number in firsts if dates[number].month in COLD_MONTHS]
            if not cold:
                continue
            first = cold[0]
            mask: np.ndarray | None = np.isin(base.class_map, (GRASS, BARE, CROPS))
            if mask is None or mask.mean() < EVENT_AREA[1]:
                continue
        else:
            mask = _free_place(base, taken, shape=SHAPES[kind], rng=rng)
        if mask is None:
            continue
        firsts.remove(first)
        if kind != "snow":
            taken |= mask
        events.append(Event(kind, mask, first, first if kind in PASSING else last))
    return base, sorted(events, key=lambda event: event.first)


def _free_place(base: Layout, taken: np.ndarray, *, shape: str, rng: np.random.Generator) -> np.ndarray | None:
    """(H, W) bool of a shape on land without objects of its own, away from other events; None where none was found."""
    for _ in range(TRIES):
        mask = draw_shape(shape, float(rng.uniform(*EVENT_AREA)), rng=rng, size=len(taken))
        free = mask & (base.objects == 0) & ~taken
        if mask.any() and free.sum() >= FREE_FRACTION * mask.sum() and binary_erosion(free, iterations=4).any():
            return free
    return None


def _at(base: Layout, events: Sequence[Event], *, number: int) -> Layout:
    """The landscape on one date; snow lies on what the other events leave."""
    class_map, objects = base.class_map.copy(), base.objects.copy()
    for index, event in enumerate(events):
        if event.kind == "snow":
            continue
        land_class = STATES[event.kind][int(event.shows(number))]
        if land_class:
            class_map[event.mask] = land_class
            objects[event.mask] = int(base.objects.max()) + 1 + index
    for event in events:
        if event.kind == "snow" and event.shows(number):
            class_map[np.isin(class_map, (GRASS, BARE, CROPS)) & event.mask] = SNOW
    return replace(base, class_map=class_map, objects=objects)


def _cloudy_date(events: Sequence[Event], num_dates: int, *, rng: np.random.Generator) -> int | None:
    """A date on which nothing happens, and before which nothing did; None in half of the series, and in pairs."""
    busy = {number for event in events for number in (event.first, event.first - 1)}
    quiet = [number for number in range(num_dates) if number not in busy]
    if num_dates < 3 or not quiet or rng.random() > CLOUDY_FRACTION:
        return None
    return int(rng.choice(quiet))


def _season(optical: np.ndarray, layout: Layout, *, day: date, clouds: np.ndarray | None) -> np.ndarray:
    """The reflectance with the near infrared of vegetation as the month makes it (northern hemisphere)."""
    cold = (1 + np.cos(2 * np.pi * (day.month - 1) / 12)) / 2
    green = np.isin(layout.class_map, GROWN) & (True if clouds is None else ~clouds)
    bands = [OPTICAL_BANDS.index(name) for name in GREEN_BANDS]
    changed = optical.copy()
    changed[bands] = np.where(green, optical[bands] * (1 - WINTER_DIP * cold), optical[bands])
    return changed.astype(np.float32)
