"""The figures of an index by size: a line for each, kept beside earlier ones, and drawn."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("faiss", reason="faiss-cpu is not installed (extra: search)")
from profiling.search.index_sizes import draw, slope


def test_two_vectors_of_one_centre_have_the_cosine_that_is_stated() -> None:
    vectors = draw(20_000, seed=1, independent=False)
    cosines = np.sort(vectors[:200] @ vectors.T, axis=1)[:, -2]
    assert np.median(cosines) == pytest.approx(0.8, abs=0.05)
    assert np.abs(draw(100, seed=1, independent=True) @ draw(100, seed=2, independent=True).T).max() < 0.4


def test_the_slope_is_the_exponent() -> None:
    lines = [{"num_vectors": count, "build_s": 3.0 * count**1.5} for count in (10, 100, 1000)]
    assert slope([*lines, {"num_vectors": 1, "build_s": 0.0}], "build_s") == pytest.approx(1.5)


def test_lines_are_written_and_drawn(repo_root: Path, tmp_path: Path) -> None:
    known = {"num_vectors": 5, "kind": "flat", "build_s": 0.1, "memory_mb": 0.1, "p50_ms": 0.1, "p99_ms": 0.1}
    (tmp_path / "lines.json").write_text(json.dumps([known]))
    words = ["--sizes", "2000", "--kind", "ivf", "--json", str(tmp_path / "lines.json"), "--plot", str(tmp_path / "lines.png")]
    done = subprocess.run(
        [sys.executable, "-m", "profiling.search.index_sizes", *words], cwd=repo_root, capture_output=True, text=True, check=True
    )
    lines = json.loads((tmp_path / "lines.json").read_text())
    assert [line["num_vectors"] for line in lines] == [5, 2000]
    assert lines[1]["kind"] == "ivf" and 0 < lines[1]["recall"] <= 1 and lines[1]["p50_ms"] <= lines[1]["p99_ms"]
    assert (tmp_path / "lines.png").stat().st_size > 10_000
    assert "time to build ~ N^" in done.stdout
