"""BigEarthNet as unpacked, versions 1 and 2: classes of the 19, bands by the names of files, patches left out."""

from pathlib import Path

import pytest

from eocore.data.dataset import SampleKey
from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.synthetic.test_sets.images import make_scenes
from eocore.synthetic.test_sets.sensors import CLC_LABELS, write_bigearthnet_folders, write_bigearthnet_v2
from ms_clip.datasets.bigearthnet import BigEarthNetFolderDataset

BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    scenes = make_scenes(3, size=48, seed=0)
    write_bigearthnet_folders(tmp_path / "sentinel-2", tmp_path / "sentinel-1", split=tmp_path / "test.csv", scenes=scenes)
    return tmp_path


def build(root: Path, annotations: str = "test.csv", *, pattern: str = "{name}/*_B*.tif", other: str = "") -> BigEarthNetFolderDataset:
    return BigEarthNetFolderDataset(
        annotations=str(root / annotations),
        folder=str(root / "sentinel-2"),
        images={"multispectral": {"root": str(root / "sentinel-2"), "pattern": pattern, "sensor": "sentinel2_l2a"}},
        other=other,
    )


def test_patches_of_version_1_have_their_classes_and_bands(root: Path) -> None:
    data = build(root, other="Other features")
    assert data.records[0].labels == ("Arable land", "Inland waters")
    assert len(data.records) == 3 and data.records[0].meta["candidates"][-1] == "Other features"
    _, scenes, _ = data.load(SampleKey(0, 0))
    assert sorted(scenes[0].bands) == sorted(BANDS)
    _, scenes, _ = build(root, pattern="{name}/*_B0[234].tif").load(SampleKey(0, 0))
    assert scenes[0].bands == ("B02", "B03", "B04")


def test_patches_of_version_2_lie_below_their_tile(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    import pyarrow

    rows = write_bigearthnet_v2(tmp_path / "sentinel-2", tmp_path / "sentinel-1", scenes=make_scenes(3, size=48, seed=0))
    pq.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "metadata.parquet")
    data = build(tmp_path, "metadata.parquet")
    assert data.records and all("/" in str(record.meta["image"]) for record in data.records)
    _, scenes, _ = data.load(SampleKey(0, 0))
    assert len(scenes[0].bands) == 12


def test_patches_without_a_class_are_left_out_and_counted(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = next((root / "sentinel-2").glob("*/*_labels_metadata.json"))
    dropped = CLC_LABELS[-1]
    path.write_text(f'{{"labels": ["{dropped}"]}}')
    assert len(build(root).records) == 2
    assert "1 of 3 patches have none of the 19 classes" in capsys.readouterr().err


def test_faults_are_told(root: Path) -> None:
    with pytest.raises(ConfigError, match="is one of the 19 classes"):
        build(root, other="Pastures")
    path = next((root / "sentinel-2").glob("*/*_labels_metadata.json"))
    path.write_text('{"labels": ["Pasture"]}')
    with pytest.raises(AnnotationError, match="label 'Pasture' is none"):
        build(root)
    path.unlink()
    with pytest.raises(DataError, match=f"{path.name}: no such file"):
        build(root)
