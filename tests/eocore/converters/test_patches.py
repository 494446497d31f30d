"""BigEarthNet folders and So2Sat's file, read back by their benchmarks."""

from pathlib import Path

import numpy as np
import pytest

from eocore.converters.patches import DROPPED, TO_19, labels_of_19, prepare_bigearthnet, prepare_so2sat
from eocore.data.dataset import SampleKey
from eocore.errors import AnnotationError, DataError
from eocore.evaluate.benchmarks.loading import load_benchmarks
from eocore.evaluate.benchmarks.multispectral import BIGEARTHNET_19, LCZ_17
from eocore.sensors.scene import by_role
from eocore.synthetic.test_sets.images import make_scenes
from eocore.synthetic.test_sets.sensors import write_bigearthnet_folders


def test_bigearthnet_folders_become_bands_on_one_grid(tmp_path: Path) -> None:
    scenes = make_scenes(2, size=60, seed=1)
    write_bigearthnet_folders(tmp_path / "s2", tmp_path / "s1", split=tmp_path / "test.csv", scenes=scenes)
    counts = prepare_bigearthnet(tmp_path / "s2", tmp_path / "test.csv", out=tmp_path / "data/bigearthnet", s1=tmp_path / "s1")
    assert counts == {"patches": 2, "without a class": 0}
    source = load_benchmarks()["bigearthnet"](data_root=str(tmp_path / "data"))
    record, read, _ = source.load(SampleKey(0, 0))
    shown = by_role(read, source="")
    assert record.meta["labels"] == ["Arable land", "Inland waters"]  # and an airport, which is none of the 19
    assert {name: scene.size for name, scene in shown.items()} == dict.fromkeys(("rgb", "multispectral", "sar"), (60, 60))
    optical = shown["multispectral"]
    red = optical.pixels[optical.bands.index("B04")]
    assert np.allclose(red, scenes[0].optical[3].clip(1e-4), atol=1e-3)
    assert np.allclose(shown["sar"].pixels, scenes[0].sar, atol=1e-3)


def test_every_one_of_the_43_labels_is_known_once() -> None:
    assert len(TO_19) + len(DROPPED) == 43
    assert not set(TO_19) & set(DROPPED)
    assert set(TO_19.values()) == set(BIGEARTHNET_19)


def test_a_patch_without_any_class_is_left_out_and_counted(tmp_path: Path) -> None:
    write_bigearthnet_folders(tmp_path / "s2", tmp_path / "s1", split=tmp_path / "test.csv", scenes=make_scenes(2, size=60, seed=1))
    metadata = next(tmp_path.glob("s2/*_1_1/*_labels_metadata.json"))
    metadata.write_text('{"labels": ["Airports"], "corresponding_s1_patch": "x"}')
    assert prepare_bigearthnet(tmp_path / "s2", tmp_path / "test.csv", out=tmp_path / "out") == {"patches": 1, "without a class": 1}


def test_an_unknown_label_is_refused() -> None:
    with pytest.raises(AnnotationError, match="label 'Moon' is none of BigEarthNet's 43"):
        labels_of_19(["Pastures", "Moon"], "here")


def test_a_lacking_band_is_told(tmp_path: Path) -> None:
    write_bigearthnet_folders(tmp_path / "s2", tmp_path / "s1", split=tmp_path / "test.csv", scenes=make_scenes(1, size=60, seed=1))
    next(tmp_path.glob("s2/*/*_B09.tif")).unlink()
    with pytest.raises(DataError, match="11 bands, expected the 12 of level 2A"):
        prepare_bigearthnet(tmp_path / "s2", tmp_path / "test.csv", out=tmp_path / "out")


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
