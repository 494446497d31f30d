"""Fetching of upstream weights and data sets from the Hugging Face hub: resumable, without code, compared with the hub's checksums."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.utils import filter_repo_objects

from eocore.errors import CheckpointError, DataError
from eocore.hub_files import HubFiles
from eocore.progress import Progress

CHUNK = 2**22
CODE = ("*.py", "*.pyc", "*.ipynb", "*.sh", "*.so", "*.dll", "*.exe")
"""Shell patterns of files that could be executed; they are never fetched."""
CLIENT_ERROR: type[Exception] = HfHubHTTPError.__bases__[0]
"""What the hub's HTTP client raises, whichever library it is: httpx's base error, or requests'."""


@dataclass(frozen=True)
class HubFile:
    """One file on the hub.

    Attributes:
        name: path in the repository.
        size: [bytes]; None where the hub does not state it.
        digest: SHA-256 of a large file; None for small ones, which the hub stores with the repository's history.
    """

    name: str
    size: int | None
    digest: str | None


@dataclass(frozen=True)
class Listing:
    """The wanted files of a repository at one commit."""

    commit: str
    files: tuple[HubFile, ...]

    @property
    def size(self) -> int:
        """Sum of the stated sizes [bytes]."""
        return sum(file.size or 0 for file in self.files)


def list_files(wanted: HubFiles, *, revision: str = "main", endpoint: str | None = None) -> Listing:
    """What `download` would fetch, without fetching it.

    Args:
        wanted: what to fetch.
        revision: branch, tag or commit.
        endpoint: address of the hub; None = the HF_ENDPOINT of the environment or the public one.

    Raises:
        CheckpointError: see `download`; DataError for a data set.
    """
    with _explained(wanted, endpoint, advice="Nothing was fetched."):
        return _list(wanted, revision=revision, endpoint=endpoint)


def _list(wanted: HubFiles, *, revision: str, endpoint: str | None) -> Listing:
    api = HfApi(endpoint=endpoint)
    ask = api.model_info if wanted.kind == "model" else api.dataset_info
    known = ask(wanted.repository, revision=revision, files_metadata=True)
    found = [HubFile(entry.rfilename, entry.size, entry.lfs.sha256 if entry.lfs else None) for entry in known.siblings or []]
    kept = filter_repo_objects(
        found, allow_patterns=[*wanted.files, *wanted.extras], ignore_patterns=list(CODE), key=lambda file: file.name
    )
    return Listing(known.sha or revision, tuple(sorted(kept, key=lambda file: file.name)))


def download(wanted: HubFiles, root: Path, *, revision: str = "main", endpoint: str | None = None) -> Path:
    """The folder with the files; what is there already is kept, what was cut short is resumed.

    Args:
        wanted: what to fetch.
        root: folder of pretrained weights, or of data.
        revision: branch, tag or commit; it is resolved once, so that all files are of the same state.
        endpoint: address of the hub; None = the HF_ENDPOINT of the environment or the public one.

    Raises:
        CheckpointError: the hub cannot be reached or has no such files, access is not granted, or a file is not what the hub says.
        DataError: the same, of a data set.
    """
    target = root / wanted.folder
    advice = (
        f"What has come stays, and the next call resumes there. Without a network, fetch {', '.join(wanted.files)} of {wanted.repository} "
        f"elsewhere and put them into {target}; for a mirror set HF_ENDPOINT."
    )
    with _explained(wanted, endpoint, advice=advice):
        listing = _list(wanted, revision=revision, endpoint=endpoint)
        snapshot_download(
            wanted.repository,
            repo_type=wanted.kind,
            revision=listing.commit,
            local_dir=target,
            allow_patterns=[*wanted.files, *wanted.extras],
            ignore_patterns=list(CODE),
            endpoint=endpoint,
        )
    _check(wanted, target, files=[file for file in listing.files if file.digest and (target / file.name).is_file()])
    _require(wanted, target)
    return target


@contextmanager
def _explained(wanted: HubFiles, endpoint: str | None, *, advice: str) -> Iterator[None]:
    """Turns the hub client's errors into the project's."""
    try:
        yield
    except GatedRepoError as error:
        raise _error(wanted)(
            f"access to {wanted.repository} is granted to those alone who accept its terms ({wanted.licence}). Accept them on its page, "
            "then run `hf auth login`."
        ) from error
    except RepositoryNotFoundError as error:
        where = "pretrained/README.md" if wanted.kind == "model" else "data/README.md"
        raise _error(wanted)(f"the hub has no repository {wanted.repository}, or it is private. See {where}.") from error
    except (CLIENT_ERROR, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise _error(wanted)(
            f"{endpoint or constants.ENDPOINT} could not provide {wanted.repository} ({type(error).__name__}: {reason}). {advice}"
        ) from error


def _error(wanted: HubFiles) -> type[CheckpointError] | type[DataError]:
    return CheckpointError if wanted.kind == "model" else DataError


def _check(wanted: HubFiles, target: Path, *, files: Sequence[HubFile]) -> None:
    """Raise an error if a file differs from the hub's checksum."""
    with Progress("checking", total=len(files), unit="files") as progress:
        for file in files:
            path = target / file.name
            found = _digest(path)
            if found != file.digest:
                raise _error(wanted)(
                    f"{path} has the checksum {found[:12]}..., the hub says {str(file.digest)[:12]}... ({file.size} bytes expected, "
                    f"{path.stat().st_size} found): it is damaged or changed. Remove it and fetch it again."
                )
            progress.advance()


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        digest = hashlib.sha256()
        while chunk := opened.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _require(wanted: HubFiles, target: Path) -> None:
    """Raise an error if a needed pattern matches no file."""
    missing = [pattern for pattern in wanted.files if not any(target.glob(pattern))]
    if missing:
        use = "the import cannot be made" if wanted.kind == "model" else "the set cannot be used"
        raise _error(wanted)(
            f"{wanted.repository} has no file {', '.join(missing)}, without which {use}. Its owners may have changed "
            "it: name an older revision with --revision."
        )
