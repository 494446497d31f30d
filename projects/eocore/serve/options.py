"""How a server runs: models, address, limits."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from eocore.errors import ConfigError
from eocore.search.index_folder import read_facts
from eocore.serve.views.base_maps import open_base_map

LOOPBACK = ("127.0.0.1", "::1", "localhost")
MIB = 1024**2


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one client may ask for.

    Attributes:
        upload_mib: of one file, and of one request [MiB].
        json_mib: of one request's JSON, images as data URLs in it [MiB].
        unpacked_mib: of the files of an archive together [MiB].
        archive_files: in one archive.
        archive_ratio: unpacked by packed size of a file in an archive.
        session_mib: of all files of a session [MiB].
        session_files: files of a session, unpacked ones of an archive counted as one.
        sessions: that hold files at once.
        session_idle_s: after which a session's files are deleted [s].
        megapixels: of one picture or of one read window, bands not counted [10^6 px].
        new_tokens: of an answer.
        text_chars: of all texts of a request.
        texts: in one request for vectors or classes.
        request_s: from a request's arrival to the end of its answer [s].
        waiting: requests of one model that wait for their turn.
        requests_per_minute: to the endpoint, of one token or address.
        logins_per_minute: attempts of one address.
    """

    upload_mib: int = 512
    json_mib: int = 64
    unpacked_mib: int = 4096
    archive_files: int = 500
    archive_ratio: int = 200
    session_mib: int = 8192
    session_files: int = 50
    sessions: int = 200
    session_idle_s: float = 3600.0
    megapixels: float = 64.0
    new_tokens: int = 2048
    text_chars: int = 200_000
    texts: int = 1024
    request_s: float = 120.0
    waiting: int = 256
    requests_per_minute: int = 6000
    logins_per_minute: int = 10


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """How models are run.

    Attributes:
        count: worker processes of each model.
        devices: as torch names them, given to the workers in turn; none = the GPU if there is one, else the CPU.
        max_batch: requests that a worker answers at once.
        joins: whether requests join others that are being answered, where the model can.
        dtype: of `eocore.system.DTYPES`; None = as saved, on a CPU float32.
        image_memory_mib: room in a worker for what was computed of images, for the next question about them [MiB]; 0 = none.
        batch_wait_s: how long a request that no other can join waits for those that are still being read [s].
        readers: threads of a worker that read images.
        threads: of torch in a worker; None = torch's own choice.
        start_s: after which a worker that has not loaded its model is given up [s].
    """

    count: int = 1
    devices: tuple[str, ...] = ()
    max_batch: int = 16
    joins: bool = True
    dtype: str | None = None
    image_memory_mib: int = 1024
    batch_wait_s: float = 0.01
    readers: int = 2
    threads: int | None = None
    start_s: float = 600.0


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """What is served, and where.

    Attributes:
        models: folders of converted models; a model is named after its folder.
        indexes: folders of `eo search-index`.
        reports: folder below which report.html files of evaluations lie.
        basemap: folder of XYZ tiles, or GeoTIFF, under the map of search; None = a grid of degrees alone.
        host, port: to listen on; port 0 = any that is free.
        hosts: further names by which the server is called, such as that of a proxy before it.
        auth: file of users and tokens (`eo serve-users`); None = everybody may ask.
        uploads: folder of the sessions' files; it is emptied at the start and at the end.
        limits: of clients.
        workers: of models.

    Raises:
        ConfigError: no model and no index, or two models of one name.
    """

    models: tuple[Path, ...] = ()
    indexes: tuple[Path, ...] = ()
    reports: Path | None = None
    basemap: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    hosts: tuple[str, ...] = ()
    auth: Path | None = None
    uploads: Path = field(default_factory=lambda: Path(tempfile.gettempdir()) / "eocore_uploads")
    limits: Limits = field(default_factory=Limits)
    workers: WorkerOptions = field(default_factory=WorkerOptions)

    def __post_init__(self) -> None:
        if not self.models and not self.indexes:
            raise ConfigError("nothing to serve: no model and no index. Name one with --model DIR or --index DIR.")
        names = [folder.resolve().name for folder in self.models]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError(
                f"two models are named {', '.join(twice)} after their folders; requests could not tell them apart. Rename one."
            )

    def check_folders(self) -> None:
        """Before models are loaded: indexes, reports and the base map are opened when they are first looked at.

        Raises:
            ConfigError: two indexes have one name, the folder of reports is not there, or the base map is none or under no map.
            DataError: a folder holds no index, or a broken one.
        """
        names = [folder.resolve().name for folder in self.indexes]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError(f"two indexes are named {', '.join(twice)} after their folders; one would never be asked. Rename one.")
        for folder in self.indexes:
            read_facts(folder)
        if self.reports is not None and not self.reports.is_dir():
            raise ConfigError(f"--reports {self.reports}: there is no such folder. Name the folder below which reports lie.")
        if self.basemap is not None:
            if not self.indexes:
                raise ConfigError(f"--basemap {self.basemap}: lies under the map of search, and no index is served. Name one with --index.")
            open_base_map(self.basemap)

    def check_devices(self) -> None:
        """Before models are loaded. Raises ConfigError where torch knows no such device, or this machine has none that it can use."""
        if self.workers.devices:
            from eocore.train.device import check_device  # imports torch, which the front process needs for nothing else

            for name in dict.fromkeys(self.workers.devices):
                check_device(name)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches the server."""
        return self.host in LOOPBACK
