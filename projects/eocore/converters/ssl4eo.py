"""The shards of SSL4EO-S12 v1.1 -> an index of where each sample lies, which image sources read."""

import json
from collections.abc import Callable
from pathlib import Path

from eocore.data.io.zarr_files import SHARD_SUFFIX, sample_of_member, shard_members
from eocore.errors import DataError
from eocore.files import write_file

MEMBER_SUFFIX = ".zarr.zip"


def index_shards(folder: Path, out: Path, *, advance: Callable[..., None] = lambda *_: None) -> int:
    """Writes a JSON object, sample id -> "SHARD.tar/MEMBER", and returns the number of samples.

    Args:
        folder: of the shards of one modality, such as train/S2L2A.
        out: the file.
        advance: called after each shard.

    Raises:
        DataError: there is no shard, one is damaged, or two members are of one sample.
    """
    shards = sorted(folder.glob(f"*{SHARD_SUFFIX}")) if folder.is_dir() else []
    if not shards:
        raise DataError(f"{folder}: no shards (*{SHARD_SUFFIX}). Name the folder of one modality, such as train/S2L2A.")
    found: dict[str, str] = {}
    for shard in shards:
        for member in (name for name in shard_members(shard) if name.endswith(MEMBER_SUFFIX)):
            sample = sample_of_member(shard, member)
            if sample in found:
                raise DataError(f"{shard}: {member} is of sample '{sample}', as {found[sample]} is. Fetch the shards again.")
            found[sample] = f"{shard.name}/{member}"
        advance()
    write_file(out, json.dumps(found, indent=0) + "\n")
    return len(found)
