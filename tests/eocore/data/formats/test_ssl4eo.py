"""SSL4EO-S12 v1.1 with captions, files of the published layout: both releases, joined with their captions, their offsets told apart."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from eocore.converters.ssl4eo import index_shards
from eocore.data import registered as _registered  # noqa: F401
from eocore.data.dataset import RecordDataset, SampleKey, random_stream
from eocore.errors import AnnotationError, DataError
from eocore.registry import DATASETS
from tests.ssl4eo_files import S2L2A, chunk_file, digital_numbers, shard_member, write_shard, zip_bytes

SAMPLES = ("0080717", "0060573", "0000012")
FILE = "ssl4eos12_train_seasonal_data_000001.zarr.zip"
HEADER = "caption,question_1,file,sample_id,time_id,classes,tags,names\n"


def rows(samples: Sequence[str] = SAMPLES) -> str:
    """A caption for each sample and time, as published, with Overture's columns partly empty."""
    return HEADER + "".join(f'"A view of {name}, time {time}",q,{FILE},{name},{time},,"{{}}",\n' for name in samples for time in range(4))


@pytest.fixture
def zarr_release(tmp_path: Path) -> Path:
    folder = tmp_path / "zarr" / "S2L2A"
    folder.mkdir(parents=True)
    (folder / FILE).write_bytes(zip_bytes(chunk_file(SAMPLES)))
    return folder


@pytest.fixture
def shard_release(tmp_path: Path) -> Path:
    folder = tmp_path / "shards" / "S2L2A"
    folder.mkdir(parents=True)
    members = {f"ssl4eos12_train_seasonal_data_{number:07d}.zarr.zip": shard_member(name) for number, name in enumerate(SAMPLES, 1)}
    write_shard(folder / "ssl4eos12_shard_000001.tar", dict(list(members.items())[:2]))
    write_shard(folder / "ssl4eos12_shard_000002.tar", dict(list(members.items())[2:]))
    return folder


def build(table: Path, folder: Path, sensor: str = "sentinel2_l2a_pb0400", **options: Any) -> RecordDataset:
    source = {"root": str(folder), "sensor": sensor, **({"index": str(options.pop("index"))} if "index" in options else {})}
    config = {"type": "Ssl4eoCaptionDataset", "annotations": str(table), "images": {"multispectral": source}, **options}
    made: RecordDataset = DATASETS.build(config)
    return made


def table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "captions.csv"
    path.write_text(text)
    return path


def scene_of(data: RecordDataset, index: int) -> np.ndarray:
    _, scenes = data.read(SampleKey(0, index), random_stream(0, "test"))
    return scenes[0].pixels


def test_captions_join_with_their_sample_and_time_in_both_releases(tmp_path: Path, zarr_release: Path, shard_release: Path) -> None:
    captions = table(tmp_path, rows())
    index = tmp_path / "index.json"
    assert index_shards(shard_release, index) == 3
    chunks = build(captions, zarr_release)
    shards = build(captions, shard_release, "sentinel2_l2a", index=index)
    assert len(chunks) == len(shards) == 12
    record = chunks.records[6]
    assert (record.sample_id, record.captions, record.source) == ("0060573_2", ("A view of 0060573, time 2",), f"{captions}:8")
    assert shards.records[8].images[0].paths[0].endswith("000002.tar")
    for number in (0, 6, 11):
        np.testing.assert_allclose(scene_of(chunks, number), scene_of(shards, number), atol=1e-6)
        expected = digital_numbers(SAMPLES, S2L2A, offset=0)[divmod(number, 4)] if number < 4 else None
        if expected is not None:
            np.testing.assert_allclose(scene_of(chunks, number), expected / 1e4, atol=1e-6)


def test_several_captions_of_a_sample_are_one_record(tmp_path: Path, zarr_release: Path) -> None:
    text = rows() + f"A second one,q,{FILE},0080717,0,,,\n"
    data = build(table(tmp_path, text), zarr_release)
    assert len(data) == 12 and data.records[0].captions == ("A view of 0080717, time 0", "A second one")
    both = build(table(tmp_path, rows()), zarr_release, caption_fields=["caption", "question_1"])
    assert both.records[3].captions == ("A view of 0080717, time 3", "q")


def test_parquet_and_folders_of_tables_are_read_as_csv_is(tmp_path: Path, zarr_release: Path) -> None:
    expected = [(record.sample_id, record.captions) for record in build(table(tmp_path, rows()), zarr_release).records]
    columns = {
        "caption": [caption for _, (caption,) in expected],
        "file": [FILE] * 12,
        "sample_id": [int(name[:7]) for name, _ in expected],
    }
    parquet.write_table(pyarrow.table({**columns, "time_id": [int(name[-1]) for name, _ in expected]}), tmp_path / "train.parquet")
    folder = tmp_path / "train"
    folder.mkdir()
    for number, name in enumerate(SAMPLES, 1):
        (folder / f"ssl4eos12_train_seasonal_data_{number:06d}.csv").write_text(rows([name]))
    for source in (tmp_path / "train.parquet", folder):
        data = build(source, zarr_release)
        assert [(record.sample_id, record.captions) for record in data.records] == expected
    assert [path.name[-5:] for path in data.annotation_files] == ["1.csv", "2.csv", "3.csv"]
    (folder / "all.parquet").write_bytes((tmp_path / "train.parquet").read_bytes())
    with pytest.raises(DataError, match=r"4 tables of 2 kinds \(\.csv, \.parquet\)"):
        build(folder, zarr_release)


@pytest.mark.parametrize(("sensor", "right"), [("sentinel2_l2a", "sentinel2_l2a_pb0400"), ("sentinel2_l2a_pb0400", "sentinel2_l2a")])
def test_the_other_release_s_offset_is_refused(tmp_path: Path, zarr_release: Path, shard_release: Path, sensor: str, right: str) -> None:
    index = tmp_path / "index.json"
    index_shards(shard_release, index)
    wrong = {"folder": zarr_release} if right.endswith("_pb0400") else {"folder": shard_release, "index": index}
    with pytest.raises(DataError, match=rf"wrong by 0\.1\. Name sensor='{right}'"):
        build(table(tmp_path, rows()), sensor=sensor, **wrong)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (f",q,{FILE},0080717,0,,,", r"captions\.csv:2: no field 'caption'"),
        (f"hi,q,{FILE},0080717,first,,,", r"captions\.csv:2: time_id must be a whole number from 0 on, found 'first'"),
        (f"hi,q,{FILE},,0,,,", r"captions\.csv:2: no field 'sample_id'"),
        ("hi,q,../other.zarr.zip,0080717,0,,,", r"captions\.csv:2: '\.\./other\.zarr\.zip' is no relative path"),
    ],
)
def test_faults_name_file_and_line(tmp_path: Path, zarr_release: Path, row: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        build(table(tmp_path, f"{HEADER}{row}\n"), zarr_release)


def test_images_that_are_not_there_are_told_when_they_are_read(tmp_path: Path, zarr_release: Path, shard_release: Path) -> None:
    data = build(table(tmp_path, rows().replace("000001.zarr", "000002.zarr")), zarr_release)
    with pytest.raises(DataError, match=r"000002\.zarr\.zip: no such file"):
        scene_of(data, 0)
    index = tmp_path / "index.json"
    index_shards(shard_release, index)
    with pytest.raises(DataError, match=r"captions\.csv:2: no image '0000099' in .*index\.json"):
        build(table(tmp_path, rows(["0000099"])), shard_release, "sentinel2_l2a", index=index)
