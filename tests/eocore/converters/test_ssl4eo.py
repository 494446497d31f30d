"""The index of shards."""

import json
from pathlib import Path

import pytest

from eocore.converters.ssl4eo import index_shards
from eocore.errors import DataError
from tests.ssl4eo_files import shard_member, write_shard


def test_samples_are_found_by_the_id_inside_their_member(tmp_path: Path) -> None:
    for number, sample in ((1, "0216839"), (2, "0000012")):
        write_shard(tmp_path / f"ssl4eos12_shard_{number:06d}.tar", {f"key_{number:07d}.zarr.zip": shard_member(sample), "note.txt": b"x"})
    moved: list[int] = []
    assert index_shards(tmp_path, tmp_path / "index.json", advance=lambda: moved.append(1)) == len(moved) == 2
    found = json.loads((tmp_path / "index.json").read_text())
    assert found == {
        "0216839": "ssl4eos12_shard_000001.tar/key_0000001.zarr.zip",
        "0000012": "ssl4eos12_shard_000002.tar/key_0000002.zarr.zip",
    }


def test_a_sample_of_two_members_and_a_folder_without_shards_are_refused(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", {"1.zarr.zip": shard_member("0216839"), "2.zarr.zip": shard_member("0216839")})
    with pytest.raises(DataError, match=r"a\.tar: 2\.zarr\.zip is of sample '0216839', as a\.tar/1\.zarr\.zip is"):
        index_shards(tmp_path, tmp_path / "index.json")
    with pytest.raises(DataError, match="no shards"):
        index_shards(tmp_path / "none", tmp_path / "index.json")
