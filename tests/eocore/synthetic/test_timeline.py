"""Series of the synthetic world: dates, events, clouds and seasons."""

from datetime import date

import numpy as np
import pytest

from eocore.synthetic.landscape import BARE, CROPS, SNOW, WATER
from eocore.synthetic.spectra import OPTICAL_BANDS
from eocore.synthetic.timeline import PASSING, Series, changes_between, make_series

MADE = [make_series(f"test_{number:05d}", [3, number], size=64, num_dates=4) for number in range(24)]


def test_a_series_is_a_pure_function_of_its_seeds() -> None:
    again = make_series("test_00000", [3, 0], size=64, num_dates=4)
    assert again.dates == MADE[0].dates and np.array_equal(again.optical[2], MADE[0].optical[2])


@pytest.mark.parametrize("series", MADE[:8], ids=lambda series: series.series_id)
def test_dates_are_in_order_and_events_on_dates_of_their_own(series: Series) -> None:
    assert list(series.dates) == sorted(set(series.dates))
    firsts = [event.first for event in series.events]
    assert len(set(firsts)) == len(firsts) and all(0 < first < 4 for first in firsts)
    assert all(event.last == (event.first if event.kind in PASSING else 3) for event in series.events)


def test_the_ground_changes_where_and_when_an_event_says() -> None:
    found = 0
    for series in MADE:
        for event in series.events:
            if event.kind not in ("flood", "harvest", "sowing"):
                continue
            before, after = ({"flood": (None, WATER), "harvest": (CROPS, BARE), "sowing": (BARE, CROPS)})[event.kind]
            layout = series.layouts[event.first].class_map
            snow = layout == SNOW
            assert ((layout == after) | snow)[event.mask].all()
            if before is not None:
                earlier = series.layouts[event.first - 1].class_map
                assert ((earlier == before) | (earlier == SNOW))[event.mask].all()
            found += 1
    assert found > 8


def test_every_kind_occurs_and_snow_falls_in_winter() -> None:
    kinds = {event.kind for series in MADE for event in series.events}
    assert kinds >= {"flood", "construction", "demolition", "harvest", "sowing"}
    for series in MADE:
        for event in series.events:
            if event.kind == "snow":
                assert date.fromisoformat(series.dates[event.first]).month in (12, 1, 2)


def test_clouds_lie_on_quiet_dates() -> None:
    cloudy = [series for series in MADE if series.cloudy is not None]
    assert cloudy
    for series in cloudy:
        assert all(series.cloudy not in (event.first, event.first - 1) for event in series.events)
        blue = [picture[OPTICAL_BANDS.index("B02")].mean() for picture in series.optical]
        assert int(np.argmax(blue)) == series.cloudy or any(event.kind == "snow" for event in series.events)


def test_a_pair_has_one_event_and_no_cloud() -> None:
    pair = make_series("p_00001", [5, 1], size=64, num_dates=2)
    assert len(pair.events) == 1 and pair.cloudy is None
    assert [event.kind for event in changes_between(pair.events, earlier=0, later=1)] == [pair.events[0].kind]
    assert not changes_between(pair.events, earlier=1, later=1)


def test_vegetation_is_darker_in_the_near_infrared_in_winter() -> None:
    from eocore.synthetic.landscape import GRASS, Layout
    from eocore.synthetic.timeline import _season

    layout = Layout(np.full((8, 8), GRASS, np.uint8), np.zeros((8, 8), np.int32))
    picture = np.full((12, 8, 8), 0.4, np.float32)
    winter, summer = (_season(picture, layout, day=date(2020, month, 1), clouds=None) for month in (1, 7))
    band = OPTICAL_BANDS.index("B08")
    assert winter[band].mean() < 0.75 * summer[band].mean() and np.array_equal(winter[0], summer[0])
