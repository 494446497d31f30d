"""What is wanted of a repository on the Hugging Face hub, or of a record on Zenodo; said without libraries that take long to import."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class HubFiles:
    """Files of one repository on the hub.

    Attributes:
        repository: owner/name.
        kind: of the repository.
        files: shell patterns of the files that are needed.
        extras: shell patterns of files that are fetched where there are any.
        folder: where they go, below the folder of pretrained weights or of data.
        licence: as its card states it.
        command: what makes use of them.
    """

    repository: str
    files: Sequence[str]
    folder: str
    licence: str
    command: str
    extras: Sequence[str] = ()
    kind: Literal["model", "dataset"] = "model"


@dataclass(frozen=True, kw_only=True)
class ZenodoFiles:
    """Files of one record on Zenodo; zip files are unpacked where they go.

    Attributes:
        record: number of the record.
        folder: where its files go, below the folder of data.
        licence: as the record states it.
        command: what makes use of them.
        md5_starts: first digits of the checksums that files are known by here, in any order: a record that lists others is another one.
    """

    record: str
    folder: str
    licence: str
    command: str
    md5_starts: Sequence[str] = ()

    @property
    def repository(self) -> str:
        """What it is called on screen."""
        return f"zenodo.org/records/{self.record}"
