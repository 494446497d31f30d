"""So2Sat's file, read back by its benchmark."""

from pathlib import Path

import numpy as np
import pytest

from eocore.converters.patches import prepare_so2sat
from eocore.data.dataset import SampleKey
from eocore.errors import DataError
from eocore.evaluate.benchmarks.loading import load_benchmarks
from eocore.evaluate.benchmarks.multispectral import LCZ_17
from eocore.sensors.scene import by_role


def test_so2sat(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    rng = np.random.default_rng(0)
    optical, radar = rng.uniform(0, 0.5, (3, 32, 32, 10)), rng.uniform(1e-3, 1, (3, 32, 32, 8))
    with h5py.File(tmp_path / "testing.h5", "w") as file:
        file["sen1"], file["sen2"], file["label"] = radar, optical, np.eye(17)[[0, 16, 4]]
    assert prepare_so2sat(tmp_path / "testing.h5", tmp_path / "so2sat") == {"patches": 3}
    source = load_benchmarks()["so2sat"](data_root=str(tmp_path))
    assert [record.meta["answer"] for record in source.records] == [LCZ_17[place] for place in (0, 16, 4)]
    _, loaded, _ = source.load(SampleKey(0, 1))
    shown = by_role(loaded, source="")
    assert np.allclose(shown["multispectral"].pixels[0], optical[1, :, :, 0], atol=1e-6)
    assert np.allclose(shown["sar"].pixels[shown["sar"].bands.index("VV")], 10 * np.log10(radar[1, :, :, 5]), atol=1e-4)


def test_a_file_of_other_arrays_is_refused(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["sen1"] = np.zeros((1, 2, 2, 8))
    with pytest.raises(DataError, match="expected sen1"):
        prepare_so2sat(tmp_path / "x.h5", tmp_path / "out")
    (tmp_path / "y.h5").write_text("no HDF5")
    with pytest.raises(DataError, match="cannot be read as HDF5"):
        prepare_so2sat(tmp_path / "y.h5", tmp_path / "out")
