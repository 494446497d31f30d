"""BigEarthNet folders of both versions, read back by the benchmark."""

from pathlib import Path

import numpy as np
import pytest

from eocore.converters.bigearthnet import DROPPED, TO_19, labels_of_19, prepare_bigearthnet, read_split
from eocore.data.dataset import SampleKey
from eocore.errors import AnnotationError, DataError
from eocore.evaluate.benchmarks.loading import load_benchmarks
from eocore.evaluate.benchmarks.multispectral import BIGEARTHNET_19
from eocore.sensors.scene import by_role
from eocore.synthetic.test_sets.images import make_scenes
from eocore.synthetic.test_sets.sensors import write_bigearthnet_folders, write_bigearthnet_v2


def test_bigearthnet_folders_become_bands_on_one_grid(tmp_path: Path) -> None:
    scenes = make_scenes(2, size=60, seed=1)
    write_bigearthnet_folders(tmp_path / "s2", tmp_path / "s1", split=tmp_path / "test.csv", scenes=scenes)
    counts = prepare_bigearthnet(tmp_path / "s2", tmp_path / "test.csv", out=tmp_path / "data/bigearthnet", s1=tmp_path / "s1")
    assert counts == {"patches": 2, "without a class": 0, "without a Sentinel-1 partner": 0}
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
    metadata.write_text('{"labels": ["Airports"]}', encoding="utf-8-sig")
    assert prepare_bigearthnet(tmp_path / "s2", tmp_path / "test.csv", out=tmp_path / "out") == {"patches": 1, "without a class": 1}


def test_an_unknown_label_is_refused() -> None:
    with pytest.raises(AnnotationError, match="label 'Moon' is none of BigEarthNet's 43"):
        labels_of_19(["Pastures", "Moon"], "here")


def test_a_lacking_band_is_told(tmp_path: Path) -> None:
    write_bigearthnet_folders(tmp_path / "s2", tmp_path / "s1", split=tmp_path / "test.csv", scenes=make_scenes(1, size=60, seed=1))
    next(tmp_path.glob("s2/*/*_B09.tif")).unlink()
    with pytest.raises(DataError, match="11 bands, expected the 12 of level 2A"):
        prepare_bigearthnet(tmp_path / "s2", tmp_path / "test.csv", out=tmp_path / "out")


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """BigEarthNet-MM of two patches: s2/, s1/ and test.csv."""
    write_bigearthnet_folders(tmp_path / "s2", tmp_path / "s1", split=tmp_path / "test.csv", scenes=make_scenes(2, size=60, seed=1))
    return tmp_path


def test_partners_come_from_the_files_of_sentinel1_where_the_split_names_none(release: Path) -> None:
    names = [patch.name for patch in read_split(release / "test.csv")]
    (release / "names.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8-sig")
    counts = prepare_bigearthnet(release / "s2", release / "names.txt", out=release / "out", s1=release / "s1")
    assert counts["patches"] == 2
    assert {path.stem for path in (release / "out/s1").iterdir()} == set(names)


def test_a_missing_partner_is_counted_and_named(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    patches = read_split(release / "test.csv")
    (release / "s1" / patches[1].partner).rename(release / "elsewhere")
    counts = prepare_bigearthnet(release / "s2", release / "test.csv", out=release / "out", s1=release / "s1")
    assert counts == {"patches": 1, "without a class": 0, "without a Sentinel-1 partner": 1}
    assert (release / "out/without_sentinel1.txt").read_text() == f"{patches[1].name}\n"
    assert patches[1].name in capsys.readouterr().err
    with pytest.raises(DataError, match=r"none of 2 patches has a Sentinel-1 partner in --s1"):
        prepare_bigearthnet(release / "s2", release / "test.csv", out=release / "out2", s1=release / "nowhere")


def test_version_2_holds_labels_and_partners_in_its_parquet_file(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    rows = write_bigearthnet_v2(tmp_path / "s2", tmp_path / "s1", scenes=make_scenes(3, size=60, seed=1))
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "metadata.parquet")
    counts = prepare_bigearthnet(tmp_path / "s2", tmp_path / "metadata.parquet", out=tmp_path / "out", s1=tmp_path / "s1")
    assert counts == {"patches": 2, "without a class": 0, "without a Sentinel-1 partner": 0}
    assert {path.stem for path in (tmp_path / "out/s2").iterdir()} == {str(row["patch_id"]) for row in rows[1:]}
    assert prepare_bigearthnet(tmp_path / "s2", tmp_path / "metadata.parquet", out=tmp_path / "o", part="train")["patches"] == 1
    (tmp_path / "metadata.parquet").write_bytes(b"PAR1 no parquet")
    with pytest.raises(DataError, match=r"cannot be read as metadata\.parquet of BigEarthNet version 2"):
        read_split(tmp_path / "metadata.parquet")


def test_a_split_that_is_empty_or_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such split file"):
        read_split(tmp_path / "x.csv")
    (tmp_path / "x.csv").write_text("\n\n")
    with pytest.raises(DataError, match="no patch"):
        read_split(tmp_path / "x.csv")
