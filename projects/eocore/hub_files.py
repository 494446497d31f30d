"""What is wanted of a repository on the Hugging Face hub; said without the hub's library, which takes long to import."""

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
