"""A scene as large as a Sentinel-2 tile at 20 m, mapped whole: rate, memory, how much of the time the model computes, seams, processes.

On a machine that is shared, CPU time (one thread, OMP_NUM_THREADS=1) is what can be compared; other figures are of the clock on the wall.

    python -m profiling.scenes.whole_scene MODEL --tiles ../shared/tiles --sides 2745 5490 --json whole_scene.json

Each size is measured in a process of its own, so that its memory is its own. Seams are measured at the first size: its map against those of
the same ground with windows that lie elsewhere. --workers compares the engine of processes at the first size.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from eocore.data.records import ImageRef, Window
from eocore.evaluate.protocols import Sample, ScoresPixels
from eocore.jobs.processes import WorkerProcesses
from eocore.jobs.work import Chunk, Item, Outcome, Result, Work
from eocore.replaced import replaced
from eocore.scenes import mapping
from eocore.scenes.maps import CLASSES, VALUES, MapRequest, make_maps
from eocore.scenes.source import SceneSource
from eocore.scenes.windows import Tiling
from profiling.measures.memory import measure_peak
from profiling.scenes.mosaic import SENSORS, make_scene
from profiling.scenes.seams import differing, seam_ratio

ROLES = {"optical": "multispectral", "sar": "sar"}
PROMPTS = ("water", "crops")
SHIFTS = ((61, 97), (112, 40))
"""Rows and columns by which windows are laid elsewhere [px]; the stride is 168."""
KM2_OF_PIXEL = 1e-4
Measurement = Callable[[Path, dict[str, Path], int], dict[str, Any]]
"""(model, files of the scene, side of the scene or number of workers) -> a line."""
MB = 1e6
PROCESS, CPU_S = "process", "cpu_s"
"""Keys of a result."""


class Timed:
    """A model of which the time is taken.

    Args:
        model: what computes.
    """

    def __init__(self, model: ScoresPixels) -> None:
        self.model, self.pixel_scale, self.window_side = model, model.pixel_scale, model.window_side
        self.spans: list[tuple[float, float]] = []
        self.cpu_s = 0.0

    def pixel_scores(self, samples: Sequence[Sample], texts: Sequence[str]) -> list[np.ndarray]:
        """As the model's."""
        begin, before = time.perf_counter(), time.thread_time()
        found = self.model.pixel_scores(samples, texts)
        self.spans.append((begin, time.perf_counter()))
        self.cpu_s += time.thread_time() - before
        return found

    @property
    def computed_s(self) -> float:
        """All of its time [s]."""
        return sum(end - begin for begin, end in self.spans)


def request_of(model: Path, files: dict[str, Path], *, out: Path, window: Window | None = None) -> MapRequest:
    """The map of a scene, or of a part of it.

    Args:
        model: folder of a converted model.
        files: from `make_scene`.
        out: where it goes.
        window: the part.
    """
    refs = {ROLES[name]: ImageRef(ROLES[name], SENSORS[name], (str(path),), window=window) for name, path in files.items()}
    return MapRequest(windows=mapping.MapOptions(model=model, source=SceneSource(refs), prompts=PROMPTS, device="cpu"), out=out)


def measure(model: Path, files: dict[str, Path], side: int) -> dict[str, Any]:  # noqa: PLR0917  (called through a process pool)
    """One line of the table."""
    made: list[Timed] = []

    def timed(predictor: object) -> Timed:
        made.append(Timed(original(predictor)))
        return made[-1]

    original = mapping.as_pixel_scores
    with tempfile.TemporaryDirectory() as folder, replaced(mapping, "as_pixel_scores", value=timed):
        request = request_of(model, files, out=Path(folder))
        _load_once(request, Path(folder) / "first")
        begin, before = time.perf_counter(), time.process_time()
        memory = measure_peak(lambda: make_maps(request))
        end, cpu_s = time.perf_counter(), time.process_time() - before
    spans = made[-1].spans
    wall_s, windows_s = end - begin, spans[-1][1] - spans[0][0]
    return {
        "side": side,
        "km2": round(side**2 * KM2_OF_PIXEL, 1),
        "wall_s": round(wall_s, 1),
        "km2_per_min": round(side**2 * KM2_OF_PIXEL / wall_s * 60, 1),
        "cpu_s": round(cpu_s, 1),
        "km2_per_cpu_min": round(side**2 * KM2_OF_PIXEL / cpu_s * 60, 1),
        "computing_of_cpu": round(made[-1].cpu_s / cpu_s, 4),
        "computing_of_windows": round(made[-1].computed_s / windows_s, 4),
        "computing_of_all": round(made[-1].computed_s / wall_s, 4),
        "after_windows_s": round(end - spans[-1][1], 1),
        "before_mb": round(memory.before / MB),
        "peak_mb": round(memory.peak / MB),
        "rise_mb": round(memory.rise / MB),
    }


def _load_once(request: MapRequest, out: Path) -> None:
    """A map of one window, so that the libraries and the model are in memory before it is measured."""
    refs = {role: replace(ref, window=(0, 0, 224, 224)) for role, ref in request.windows.source.refs.items()}
    make_maps(replace(request, windows=replace(request.windows, source=SceneSource(refs)), out=out))


def seams(model: Path, files: dict[str, Path], side: int) -> dict[str, Any]:  # noqa: PLR0917  (called through a process pool)
    """The map of a scene against maps of its parts, whose windows lie elsewhere; with overlap, and without."""
    found: dict[str, Any] = {"side": side}
    for name, overlap in (("blended", None), ("not_blended", 0)):
        whole, values, tiling = _map(model, files, overlap=overlap)
        fractions = []
        for row, col in SHIFTS:
            part, _, _ = _map(model, files, overlap=overlap, window=(row, col, side - row, side - col))
            fractions.append(round(differing(whole[row:, col:], part), 5))
        found[name] = {"differing": fractions, "seam_ratio": round(max(seam_ratio(layer, tiling) for layer in values), 3)}
    return found


def _map(
    model: Path, files: dict[str, Path], *, overlap: int | None, window: Window | None = None
) -> tuple[np.ndarray, np.ndarray, Tiling]:
    with tempfile.TemporaryDirectory() as folder:
        request = replace(request_of(model, files, out=Path(folder), window=window), overlap=overlap, formats=())
        summary = make_maps(request).summary
        with rasterio.open(Path(folder) / CLASSES) as classes, rasterio.open(Path(folder) / VALUES) as values:
            return classes.read(1), values.read(), Tiling(**summary["tiling"])


@dataclass(frozen=True)
class TimedWork:
    """Work that says in each result which process did it, and how long that computed for each item of the call."""

    work: Work

    def __call__(self, items: Sequence[Item]) -> list[Result]:
        """As the work's, and PROCESS and CPU_S."""
        before = time.process_time()
        found = self.work(items)
        cpu_s = (time.process_time() - before) / len(items)
        return [{**result, PROCESS: os.getpid(), CPU_S: cpu_s} for result in found]


def engine(model: Path, files: dict[str, Path], num_workers: int) -> dict[str, Any]:  # noqa: PLR0917  (as the others)
    """Windows a second of worker processes, by the clock from the first result to the last, and CPU time of a window in them.

    What a process does first, which loads the model, does not count.
    """
    times: list[float] = []
    cpu_s: dict[int, list[float]] = {}

    class Watched(WorkerProcesses):
        def run(self, work: Work, chunks: Sequence[Chunk]) -> Iterator[tuple[int, list[Outcome]]]:
            for index, outcomes in super().run(TimedWork(work), chunks):
                times.append(time.perf_counter())
                for result in [outcome.result for outcome in outcomes[:1] if outcome.result]:
                    cpu_s.setdefault(int(result[PROCESS]), []).append(float(result[CPU_S]))
                yield index, outcomes

    with tempfile.TemporaryDirectory() as folder:
        make_maps(replace(request_of(model, files, out=Path(folder)), formats=(), executor=Watched(num_workers)))
    counted = [value for values in cpu_s.values() for value in values[1:]]
    steady = times[num_workers - 1 :]
    return {
        "workers": num_workers,
        "chunks": len(times),
        "chunks_per_s": round((len(steady) - 1) / (steady[-1] - steady[0]), 4),
        "cpu_ms_of_window": round(1000 * float(np.mean(counted)), 2),
    }


def main() -> None:
    """Measures and prints a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder of a converted model, e.g. of configs/earthmind/earthmind_tiny_tiles.py")
    parser.add_argument("--tiles", type=Path, default=Path("../shared/tiles"), help="what scenes are made of (default: %(default)s)")
    parser.add_argument("--scenes", type=Path, default=Path("work_dirs/whole_scene"), help="where they go (default: %(default)s)")
    parser.add_argument("--sides", type=int, nargs="*", default=[1120, 2240], metavar="PX", help="of the scenes (default: %(default)s)")
    parser.add_argument("--seams", type=int, metavar="PX", help="also measure seams, on a scene of this side")
    parser.add_argument("--workers", type=int, metavar="PX", help="also compare one and two processes, on a scene of this side")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the lines")
    arguments = parser.parse_args()
    lines: list[dict[str, Any]] = []

    def add(line: dict[str, Any]) -> None:
        lines.append(line)
        print(json.dumps(line), flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(lines, indent=1) + "\n")

    context = multiprocessing.get_context("spawn")
    tasks: list[tuple[Measurement, int, int]] = [(measure, side, side) for side in arguments.sides]
    tasks += [(seams, arguments.seams, arguments.seams)] if arguments.seams else []
    tasks += [(engine, arguments.workers, number) for number in (1, 2)] if arguments.workers else []
    for work, side, detail in tasks:
        files = make_scene(arguments.tiles, arguments.scenes, side=side)
        if work is engine:  # has processes of its own
            add(engine(arguments.model, files, detail))
            continue
        with context.Pool(1) as pool:
            add(pool.apply(work, (arguments.model, files, detail)))


if __name__ == "__main__":
    main()
