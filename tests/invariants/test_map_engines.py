"""A map is the same, to the byte, whichever engine worked on its windows: one process, several, those of torchrun, actors of Ray."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ms_clip_models import LONG_TEXTS, clip_fields, save_clip, write_chips
from ports import free_port
from scene_files import lake, write_scene

ROOT = Path(__file__).resolve().parents[2]
FILES = ("classes.tif", "values.tif", "polygons.geojson")
TORCHRUN = ["-m", "eocore.train.torchrun", "--nnodes", "1", "--nproc-per-node", "2", "--master-addr", "127.0.0.1", "--master-port"]


def mapped(folder: Path, engine: str, *words: str) -> list[bytes]:
    """What the command wrote."""
    launcher = [*TORCHRUN, str(free_port())] if engine == "torchrun" else []
    command = [sys.executable, *launcher, str(ROOT / "tools" / "map_scene.py"), str(folder / "model"), "--optical", str(folder / "s2.tif")]
    command += ["--prompt", "water", "forest", "--side", "48", "--overlap", "16", "--format", "geojson", "--device", "cpu"]
    out = folder / f"{engine}{len(words)}"
    done = subprocess.run(
        [*command, "--out", str(out), "--engine", engine, *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "RAY_worker_niceness": "0"},  # Ray gives its workers nearly the lowest priority
    )
    assert done.returncode == 0, done.stderr
    return [(out / name).read_bytes() for name in FILES]


@pytest.mark.slow
def test_every_engine_writes_the_same_files(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="ray (extra ray) is not installed")
    pytest.importorskip("geopandas", reason="geopandas (extra scenes) is not installed")
    write_chips(tmp_path / "chips", {"train": 20, "test": 10})
    save_clip(tmp_path / "model", clip_fields(tmp_path / "chips", tmp_path / "words", processor={"preset": 10, **LONG_TEXTS}))
    wedge = np.add.outer(np.arange(300), np.arange(400)) < 130
    write_scene(tmp_path / "s2.tif", lake(300, 400), empty=wedge)
    own = mapped(tmp_path, "processes")
    assert mapped(tmp_path, "processes", "--workers", "2") == own
    assert mapped(tmp_path, "torchrun") == own
    assert mapped(tmp_path, "ray", "--workers", "2") == own
