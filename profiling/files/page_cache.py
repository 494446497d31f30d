"""Files in the kernel's page cache or out of it, as any user may ask for."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from eocore.data.dataset import SampleSource

COLD, WARM = "cold", "warm"
STATES = (WARM, COLD)
CHUNK = 2**20
"""Bytes read at once."""
COUNTERS = Path("/proc/self/io")
FROM_STORAGE = "read_bytes: "
"""Line of what this process had fetched from storage. Source: proc_pid_io(5)."""


def image_paths(source: SampleSource) -> list[Path]:
    """The files of all images of a dataset, each once; of a folder, the files in it."""
    named = (
        leaf.image_root(ref) / path for leaf in source.leaves() for record in leaf.records for ref in record.images for path in ref.paths
    )
    return [file for path in dict.fromkeys(named) for file in (sorted(path.rglob("*")) if path.is_dir() else [path]) if file.is_file()]


def put(paths: Iterable[Path], state: str) -> None:
    """Brings the content of files into the page cache (`WARM`), or out of it (`COLD`).

    A file that is open stays as it is where it is mapped; storage and the machine behind a virtual one may have caches of their own.
    """
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            if state == COLD:
                os.fsync(descriptor)  # what is not written yet cannot leave
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            else:
                while os.read(descriptor, CHUNK):
                    pass
        finally:
            os.close(descriptor)


def bytes_from_storage() -> int:
    """What this process had fetched from storage [bytes]; reading from the page cache adds nothing. 0 where the system does not tell."""
    if not COUNTERS.exists():
        return 0
    return int(COUNTERS.read_text().split(FROM_STORAGE)[1].split()[0])


def possible_states(paths: Sequence[Path]) -> tuple[str, ...]:
    """The states that files can be put in: not `COLD` where the file system keeps them in memory, or the system does not tell."""
    if not paths:
        return STATES[:1]
    put(paths[:1], COLD)
    before = bytes_from_storage()
    put(paths[:1], WARM)
    return STATES if bytes_from_storage() > before else STATES[:1]
