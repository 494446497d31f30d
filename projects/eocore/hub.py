"""Fetching of published weights from the Hugging Face hub: resumable, of a fixed kind of files, compared with the hub's checksums."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

from eocore.errors import CheckpointError
from eocore.progress import Progress

CHUNK = 2**22
CLIENT_ERROR: type[Exception] = HfHubHTTPError.__bases__[0]
"""What the hub's HTTP client raises, whichever library it is: httpx's base error, or requests'."""


@dataclass(frozen=True, kw_only=True)
class HubFiles:
    """Files of one repository on the hub.

    Attributes:
        repository: owner/name.
        files: shell patterns of the files that are needed.
        extras: shell patterns of files that are fetched where there are any.
        folder: where they go, below the folder of pretrained weights.
        licence: as its card states it.
        command: what makes a model of them.
    """

    repository: str
    files: Sequence[str]
    folder: str
    licence: str
    command: str
    extras: Sequence[str] = ()


def download(wanted: HubFiles, root: Path, *, revision: str = "main", endpoint: str | None = None) -> Path:
    """The folder with the files; what is there already is kept, what was cut short goes on.

    Args:
        wanted: what to fetch.
        root: folder of pretrained weights.
        revision: branch, tag or commit; it is resolved once, so that all files are of the same state.
        endpoint: address of the hub; None = the HF_ENDPOINT of the environment or the public one.

    Raises:
        CheckpointError: the hub cannot be reached or has no such files, access is not granted, or a file is not what the hub says.
    """
    target = root / wanted.folder
    try:
        api = HfApi(endpoint=endpoint)
        known = api.model_info(wanted.repository, revision=revision, files_metadata=True)
        patterns = [*wanted.files, *wanted.extras]
        snapshot_download(wanted.repository, revision=known.sha, local_dir=target, allow_patterns=patterns, endpoint=endpoint)
    except GatedRepoError as error:
        raise CheckpointError(
            f"{wanted.repository} is given to those alone who accept its terms ({wanted.licence}). Accept them on its page, then run "
            "`hf auth login`."
        ) from error
    except RepositoryNotFoundError as error:
        raise CheckpointError(f"the hub has no repository {wanted.repository}, or it is private. See pretrained/README.md.") from error
    except (CLIENT_ERROR, OSError) as error:
        raise CheckpointError(_unreachable(wanted, target, error, endpoint)) from error
    sums = {entry.rfilename: (entry.size, entry.lfs.sha256) for entry in known.siblings or [] if entry.lfs is not None}
    _check(target, {name: facts for name, facts in sums.items() if (target / name).is_file()})
    _require(wanted, target)
    return target


def _unreachable(wanted: HubFiles, target: Path, error: Exception, endpoint: str | None) -> str:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return (
        f"{endpoint or constants.ENDPOINT} could not give {wanted.repository} ({type(error).__name__}: {reason}). What has come stays, and "
        f"the next call goes on from there. Without a network, fetch {', '.join(wanted.files)} of {wanted.repository} elsewhere and put "
        f"them into {target}; for a mirror set HF_ENDPOINT."
    )


def _check(target: Path, sums: dict[str, tuple[int | None, str]]) -> None:
    with Progress("checking", total=len(sums), unit="files") as progress:
        for name, (size, expected) in sorted(sums.items()):
            found = _digest(target / name)
            if found != expected:
                raise CheckpointError(
                    f"{target / name} has the checksum {found[:12]}..., the hub says {expected[:12]}... ({size} bytes expected, "
                    f"{(target / name).stat().st_size} found): it is damaged or changed. Remove it and fetch it again."
                )
            progress.advance()


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        digest = hashlib.sha256()
        while chunk := opened.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _require(wanted: HubFiles, target: Path) -> None:
    missing = [pattern for pattern in wanted.files if not any(target.glob(pattern))]
    if missing:
        raise CheckpointError(
            f"{wanted.repository} has no file {', '.join(missing)}, without which the import cannot be made. Its owners may have changed "
            "it: name an older revision with --revision."
        )
