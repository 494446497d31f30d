"""Small files of the layout in which SSL4EO-S12 v1.1 is published (README of DLR-MF-DAS/SSL4EO-S12-v1.1): Zarr of format 2 in zip files."""

import io
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr

S2L2A = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
SIDE = 12


def digital_numbers(samples: Sequence[str], bands: Sequence[str], *, offset: int) -> np.ndarray:
    """(S, 4, C, H, W) int16; each band of each image has a level of its own, and a dark corner."""
    shape = (len(samples), 4, len(bands))
    of_sample = np.array([int(name) % 50 for name in samples])[:, None, None]
    level = 600 + 17 * of_sample + 100 * np.arange(4)[None, :, None] + 20 * np.arange(len(bands))
    pixels = np.broadcast_to(level[..., None, None], (*shape, SIDE, SIDE)).copy()
    pixels[..., :3, :3] = 120 + 5 * np.arange(len(bands))[:, None, None]
    pixels += (7 * np.arange(SIDE * SIDE) % 31).reshape(SIDE, SIDE)
    return (pixels + offset).astype(np.int16)


def zarr_members(arrays: Mapping[str, tuple[np.ndarray, tuple[str, ...], tuple[int, ...]]]) -> dict[str, bytes]:
    """Members of a Zarr group of format 2 as xarray writes one: arrays with the names of their dimensions, consolidated metadata."""
    store = zarr.storage.MemoryStore()
    group = zarr.create_group(store, zarr_format=2)
    for name, (values, dimensions, chunks) in arrays.items():
        options: Any = {"shape": values.shape, "dtype": values.dtype, "chunks": chunks}
        made = group.create_array(name, attributes={"_ARRAY_DIMENSIONS": list(dimensions)}, **options)
        made[...] = values
    zarr.consolidate_metadata(store, zarr_format=2)
    return {key: value.to_bytes() for key, value in store._store_dict.items()}


def zip_bytes(members: Mapping[str, bytes]) -> bytes:
    """A zip file, uncompressed, as Zarr's are."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, value in members.items():
            archive.writestr(name, value)
    return content.getvalue()


def chunk_file(samples: Sequence[str], bands: Sequence[str] = S2L2A, *, pixels: np.ndarray | None = None) -> dict[str, bytes]:
    """Members of a file of several samples; its numbers carry the offset."""
    values = digital_numbers(samples, bands, offset=1000) if pixels is None else pixels
    count = len(samples)
    across = 700_000.0 + 10 * np.arange(SIDE) + 5000 * np.arange(count)[:, None]
    arrays: dict[str, Any] = {
        "bands": (values, ("sample", "time", "band", "y", "x"), (count, 1, len(bands), SIDE, SIDE)),
        "band": (np.array(bands), ("band",), (len(bands),)),
        "sample": (np.array(samples), ("sample",), (count,)),
        "crs": (np.full(count, 32651), ("sample",), (count,)),
        "x_": (across, ("sample", "x"), (count, SIDE)),
        "y_": (np.broadcast_to(4_700_000.0 - 10 * np.arange(SIDE), (count, SIDE)).copy(), ("sample", "y"), (count, SIDE)),
    }
    return zarr_members(arrays)


def shard_member(sample: str, bands: Sequence[str] = S2L2A, *, pixels: np.ndarray | None = None) -> bytes:
    """A Zarr zip file of one sample; its numbers carry no offset."""
    values = digital_numbers([sample], bands, offset=0)[0] if pixels is None else pixels
    arrays: dict[str, Any] = {
        "bands": (values, ("time", "band", "y", "x"), (1, len(bands), SIDE, SIDE)),
        "band": (np.array(bands), ("band",), (len(bands),)),
        "sample": (np.array(sample), (), ()),
    }
    return zip_bytes(zarr_members(arrays))


def write_shard(path: Path, members: Mapping[str, bytes]) -> Path:
    """A tar file, as WebDataset reads."""
    with tarfile.open(path, "w") as shard:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            shard.addfile(info, io.BytesIO(content))
    return path
