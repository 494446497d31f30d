"""Recall, time and memory of the index that is chosen, against the number of vectors; a table, and a plot on request.

    python -m profiling.search.index_sizes --sizes 10000 31623 100000 316228 1000000 --json index_sizes.json --plot docs/pictures/search.png

Each size is measured in a process of its own, so that its memory is its own. Vectors have a width of 384, lie around 5,000 centres, and two
of one centre have a cosine of 0.8; --independent draws each in any direction. Queries are further vectors of the same kind.
"""

import argparse
import json
import multiprocessing
import resource
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eocore.search.exact import exact_search
from eocore.search.index_kinds import FLAT, KINDS, Searcher, build, choose_kind
from eocore.search.recall import TOP, measure_recall

WIDTH, NUM_CENTRES, NOISE = 384, 5000, 0.5
NUM_QUERIES = 1000
BLOCK = 65_536
FITTED = {"build_s": "time to build", "memory_mb": "memory"}


def draw(count: int, *, seed: int, independent: bool) -> np.ndarray:
    """(N, 384) float32 of length 1."""
    centres = unit(np.random.default_rng(0).standard_normal((NUM_CENTRES, WIDTH), dtype=np.float32))
    random = np.random.default_rng(seed)
    vectors = np.empty((count, WIDTH), dtype=np.float32)
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        noise = random.standard_normal((size, WIDTH), dtype=np.float32)
        vectors[start : start + size] = (
            noise if independent else centres[random.integers(0, NUM_CENTRES, size)] + noise * (NOISE / WIDTH**0.5)
        )
        vectors[start : start + size] = unit(vectors[start : start + size])
    return vectors


def unit(vectors: np.ndarray) -> np.ndarray:
    """The vectors, each of length 1."""
    found: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return found


def measure(count: int, kind: str | None, independent: bool) -> dict[str, Any]:  # noqa: PLR0917  (called through a process pool)
    """One line of the table.

    Args:
        count: vectors.
        kind: of the index; None = the chosen one.
        independent: vectors without groups.
    """
    vectors = draw(count, seed=1, independent=independent)
    queries = draw(NUM_QUERIES, seed=2, independent=independent)
    chosen = kind or choose_kind(count, WIDTH)
    before, start = resident_mb(), time.perf_counter()
    index = build(chosen, vectors)
    built_s, memory_mb = time.perf_counter() - start, resident_mb() - before
    start = time.perf_counter()
    found = measure_recall(Searcher(chosen, vectors, index))
    tuned_s = time.perf_counter() - start
    searcher = Searcher(chosen, vectors, index, found.width)
    truth, _ = exact_search(vectors, queries, k=TOP)
    hits, times_ms = 0, []
    for query, exact in zip(queries, truth, strict=True):
        start = time.perf_counter()
        rows, _ = searcher.search(query, k=TOP)
        times_ms.append(1000 * (time.perf_counter() - start))
        hits += len(set(rows) & set(exact))
    return {
        "num_vectors": count,
        "kind": chosen,
        "width": found.width,
        "build_s": round(built_s, 2),
        "measure_s": round(tuned_s, 2),
        "memory_mb": round(vectors.nbytes / 1e6 if chosen == FLAT else memory_mb, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1),
        "stored_recall": round(found.value, 4),
        "recall": round(hits / truth.size, 4),
        "p50_ms": round(float(np.percentile(times_ms, 50)), 2),
        "p99_ms": round(float(np.percentile(times_ms, 99)), 2),
    }


def resident_mb() -> float:
    """Memory of this process [MB]. Source: proc(5), /proc/self/statm counts pages."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def slope(lines: Sequence[dict[str, Any]], name: str) -> float:
    """Exponent of a power law through the figures of the lines: the slope of the line of best fit in logarithms."""
    kept = [line for line in lines if line[name] > 0]
    return float(np.polyfit(np.log([line["num_vectors"] for line in kept]), np.log([line[name] for line in kept]), 1)[0])


def plot(lines: Sequence[dict[str, Any]], path: Path) -> None:
    """Draws time, memory and latency against the number of vectors, on logarithmic axes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(13, 4), layout="constrained")
    series = (("build_s", "build time [s]"), ("memory_mb", "memory of the index [MB]"), ("p50_ms", "time of a query [ms]"))
    for axis, (name, label) in zip(axes, series, strict=True):
        kept = [line for line in lines if line[name] > 0]
        fitted = f", slope {slope(lines, name):.2f}" if name in FITTED else " (median)"
        axis.loglog([line["num_vectors"] for line in kept], [line[name] for line in kept], "o-", label=f"{label.split(' [')[0]}{fitted}")
        if name == "p50_ms":
            axis.loglog([line["num_vectors"] for line in kept], [line["p99_ms"] for line in kept], "s--", label="99th percentile")
        for line in kept:
            axis.annotate(
                line["kind"], (line["num_vectors"], line[name]), textcoords="offset points", xytext=(0, 7), ha="center", fontsize=8
            )
        axis.set(xlabel="vectors of width 384", ylabel=label)
        axis.margins(0.1, 0.15)
        axis.grid(visible=True, which="major", alpha=0.3)
        axis.legend(loc="upper left", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measures every size and prints a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sizes",
        type=int,
        nargs="*",
        default=[10_000, 50_000],
        help="numbers of vectors (default: %(default)s); none = draw the lines of --json",
    )
    parser.add_argument("--kind", choices=KINDS, help="of the index (default: the one that is chosen by size)")
    parser.add_argument("--independent", action="store_true", help="vectors without groups")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the lines; lines of other sizes that it holds are kept")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="also draw them")
    arguments = parser.parse_args()
    known = json.loads(arguments.json.read_text()) if arguments.json and arguments.json.is_file() else []
    lines = {line["num_vectors"]: line for line in known}
    for count in sorted(arguments.sizes):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            lines[count] = pool.apply(measure, (count, arguments.kind, arguments.independent))
        print(json.dumps(lines[count]), flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps([lines[size] for size in sorted(lines)], indent=1) + "\n")
    table = [lines[size] for size in sorted(lines)]
    for name, label in FITTED.items():
        if sum(line[name] > 0 for line in table) > 1:  # an exact index takes no time to build
            print(f"{label} ~ N^{slope(table, name):.2f}")
    if arguments.plot:
        plot(table, arguments.plot)


if __name__ == "__main__":
    main()
