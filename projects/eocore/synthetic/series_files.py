"""Writes series of the synthetic world: images of every date and questions, in the form that `SeriesDataset` reads."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from eocore.data.io.masks import encode_rle
from eocore.errors import ConfigError
from eocore.files import require_writable, write_file
from eocore.synthetic.series_questions import SeriesQuestion, ask_series
from eocore.synthetic.series_texts import text_entries
from eocore.synthetic.spectra import OPTICAL_BANDS, SAR_BANDS, digital_numbers
from eocore.synthetic.timeline import Series, make_series
from eocore.synthetic.world import MIN_SIZE, NORTH_M, SCENES_PER_ROW, SPACING_M, SPLITS, WEST_M, write_geotiff

SERIES_FILE, TEXTS_FILE = "series.json", "texts.json"
TEXTS_PER_SERIES = 4
"""Entries of text alone, of the train split."""
MOST_DATES = 5
PAIR_FRACTION = 0.4
"""Of the series, those of two dates; the others have 3 to `MOST_DATES`, equally often."""
ORDER_ONLY = 0.5
"""Of the pairs, those that say "before" and "after" in place of dates."""
SERIES_SEED = 7
"""Keeps series and single scenes of one seed apart."""


def series_of(split: str, number: int, *, seed: int = 0, size: int = 96) -> tuple[Series, list[SeriesQuestion]]:
    """Series `number` of a split with its questions, a pure function of the arguments.

    Raises:
        ConfigError: unknown split, or `size` too small.
    """
    if split not in SPLITS or size < MIN_SIZE:
        raise ConfigError(f"synthetic series: split '{split}', size {size}; splits are {', '.join(SPLITS)}, sizes {MIN_SIZE} px or more.")
    seeds = [seed, SERIES_SEED, SPLITS.index(split), number]
    rng = np.random.default_rng([*seeds, 99])
    num_dates = 2 if rng.random() < PAIR_FRACTION else int(rng.integers(3, MOST_DATES + 1))
    series = make_series(f"{split}_{number:05d}", seeds, size=size, num_dates=num_dates)
    return series, ask_series(series, rng)


def write_series(
    root: Path, counts: dict[str, int], *, seed: int = 0, size: int = 96, on_series: Callable[[], None] | None = None
) -> dict[str, Counter[str]]:
    """Number of questions of each kind by split; each split is a folder under `root` with `series.json` and the images it names, that of
    the train split with `texts.json` too (`series_texts`).

    Args:
        root: is made where it does not exist; files of the same name are replaced.
        counts: series by split.
        seed: of all.
        size: side of the images [px].
        on_series: called after each series, for a progress display.

    Raises:
        ConfigError: unknown split, or `size` too small.
        OutputError: `root` cannot be written to; this is found first.
    """
    require_writable(root, "the series")
    written = {}
    for split, count in counts.items():
        entries: list[dict[str, Any]] = []
        for number in range(count):
            series, asked = series_of(split, number, seed=seed, size=size)
            _write_images(root / split, series, cell=number + SPLITS.index(split) * SCENES_PER_ROW**2)
            entries += series_entries(series, asked)
            if on_series is not None:
                on_series()
        write_file(root / split / SERIES_FILE, json.dumps(entries, indent=0).encode())
        if split == "train":
            texts = text_entries(TEXTS_PER_SERIES * count, seed=seed)
            write_file(root / split / TEXTS_FILE, json.dumps(texts, indent=0).encode())
        written[split] = Counter(entry["type"] for entry in entries)
    return written


def series_entries(series: Series, asked: list[SeriesQuestion]) -> list[dict[str, Any]]:
    """The entries of a series, one for each question."""
    by_order = len(series.dates) == 2 and int(series.series_id.rpartition("_")[2]) % round(1 / ORDER_ONLY) == 0
    times = ("before", "after") if by_order else series.dates
    images = {role: list(_images(series, role, times=times)) for role in ("multispectral", "sar")}
    entries = []
    for number, question in enumerate(asked):
        entry = {
            "id": f"{series.series_id}_{question.kind}{number}",
            "images": images,
            "conversations": [{"from": "human", "value": f"<image>\n{question.text}"}, {"from": "gpt", "value": question.answer}],
            "type": question.kind,
            "cloudy": series.cloudy is not None,
        }
        if question.candidates:
            entry["candidates"] = list(question.candidates)
        if question.mask is not None:
            kind = "regions" if question.kind == "region" else "masks"
            entry[kind] = [{"segmentation": encode_rle(question.mask), "image": question.image}]
        entries.append(entry)
    return entries


def _images(series: Series, role: str, *, times: tuple[str, ...]) -> Iterator[dict[str, str]]:
    sensor = {"multispectral": "sentinel2_l2a", "sar": "sentinel1_grd"}[role]
    for day, time in zip(series.dates, times, strict=True):
        yield {"path": f"{role}/{series.series_id}_{day}.tif", "sensor": sensor, "time": time}


def _write_images(folder: Path, series: Series, *, cell: int) -> None:
    row, column = divmod(cell, SCENES_PER_ROW)
    origin = (WEST_M + column * SPACING_M, NORTH_M - row * SPACING_M)
    for number, day in enumerate(series.dates):
        name = f"{series.series_id}_{day}.tif"
        write_geotiff(folder / "multispectral" / name, digital_numbers(series.optical[number]), names=OPTICAL_BANDS, origin=origin)
        write_geotiff(folder / "sar" / name, series.sar[number], names=SAR_BANDS, origin=origin)
