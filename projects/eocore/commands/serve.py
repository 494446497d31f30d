"""Serves models: the page for people, and an endpoint in the form of OpenAI's API for programs (docs/serving.md)."""

import argparse
from pathlib import Path

from eocore.command import Command
from eocore.commands.arguments import add_dtype, not_negative, positive

PORT = 8000
WORKERS, MAX_BATCH, MEGAPIXELS, UPLOAD_MIB, REQUEST_S, IDLE_S, WAITING, PER_MINUTE, TOKENS = 1, 16, 64, 512, 120, 3600, 256, 6000, 2048
MEMORY_MIB = 1024
"""Defaults, those of eocore/serve/options.py, which --help does not import."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("--model", type=Path, nargs="+", action="extend", default=[], metavar="DIR", help="folder of a converted model")
    parser.add_argument("--index", type=Path, nargs="+", action="extend", default=[], metavar="DIR", help="index of `eo search-index`")
    parser.add_argument("--reports", type=Path, metavar="DIR", help="folder below which reports of evaluations lie")
    basemap = "base map under the map of search: a folder of XYZ tiles (Z/X/Y.png), or a GeoTIFF (default: a grid of degrees alone)"
    parser.add_argument("--basemap", type=Path, metavar="PATH", help=basemap)
    address = parser.add_argument_group("address")
    address.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine alone)")
    address.add_argument("--port", type=int, default=PORT, metavar="N", help="port; 0 takes a free one (default: %(default)s)")
    names = "further names by which it is called, such as that of a proxy before it"
    address.add_argument("--allowed-host", nargs="+", action="extend", default=[], metavar="NAME", help=names)
    address.add_argument("--auth", type=Path, metavar="FILE", help="users and tokens, made by `eo serve-users` (default: anybody may ask)")
    _add_workers(parser.add_argument_group("workers"))
    _add_limits(parser.add_argument_group("limits"))


def _add_workers(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--workers", type=positive, default=WORKERS, metavar="N", help="processes of each model (default: %(default)s)")
    devices = "devices, given to the workers in turn, e.g. cuda:0 cuda:1 (default: the GPU if there is one)"
    group.add_argument("--device", nargs="+", action="extend", default=[], metavar="NAME", help=devices)
    add_dtype(group)
    group.add_argument("--threads", type=positive, metavar="N", help="of torch in each worker (default: torch's choice)")
    group.add_argument(
        "--max-batch", type=positive, default=MAX_BATCH, metavar="N", help="requests that a worker answers at once (default: %(default)s)"
    )
    static = "answer each batch to its end before other requests begin (default: they enter a running batch, where the model can)"
    memory = "kept in each worker of what was computed of images, for the next question about them; 0 = nothing (default: %(default)s)"
    group.add_argument("--image-memory", type=not_negative, default=MEMORY_MIB, metavar="MIB", help=memory)
    group.add_argument("--static-batches", action="store_true", help=static)


def _add_limits(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--max-upload", type=positive, default=UPLOAD_MIB, metavar="MIB", help="of a sent file (default: %(default)s)")
    pixels = "million pixels of a picture or window (default: %(default)s)"
    group.add_argument("--max-megapixels", type=positive, default=MEGAPIXELS, metavar="N", help=pixels)
    group.add_argument("--max-new-tokens", type=positive, default=TOKENS, metavar="N", help="longest answer (default: %(default)s)")
    group.add_argument("--request-seconds", type=positive, default=REQUEST_S, metavar="S", help="of a request (default: %(default)s)")
    group.add_argument(
        "--max-waiting", type=positive, default=WAITING, metavar="N", help="requests in a model's queue (default: %(default)s)"
    )
    rate = "of one client to the endpoint (default: %(default)s)"
    group.add_argument("--requests-per-minute", type=positive, default=PER_MINUTE, metavar="N", help=rate)
    idle = "after which an unused session's files are deleted (default: %(default)s)"
    group.add_argument("--session-seconds", type=positive, default=IDLE_S, metavar="S", help=idle)
    uploads = "folder of sent files, emptied at start and end (default: a new one for temporary files)"
    group.add_argument("--uploads", type=Path, metavar="DIR", help=uploads)


def run(arguments: argparse.Namespace) -> None:
    """Serves until it is told to end. Raises ConfigError where the extra `web` is missing, or what is to be served cannot be."""
    import importlib.util
    import tempfile

    from eocore.errors import ConfigError

    missing = [name for name in ("fastapi", "uvicorn", "python_multipart", "nicegui") if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"serving needs {', '.join(missing)}, which is not installed. Install the extra: pip install 'eocore-earthmind[web]'"
        )
    from eocore.serve.options import Limits, ServeOptions, WorkerOptions
    from eocore.serve.page.shell import PAGE
    from eocore.serve.running import serve

    limits = Limits(
        upload_mib=arguments.max_upload,
        megapixels=arguments.max_megapixels,
        new_tokens=arguments.max_new_tokens,
        request_s=arguments.request_seconds,
        waiting=arguments.max_waiting,
        requests_per_minute=arguments.requests_per_minute,
        session_idle_s=arguments.session_seconds,
    )
    workers = WorkerOptions(
        count=arguments.workers,
        devices=tuple(arguments.device),
        max_batch=arguments.max_batch,
        joins=not arguments.static_batches,
        image_memory_mib=arguments.image_memory,
        dtype=arguments.dtype,
        threads=arguments.threads,
    )
    with tempfile.TemporaryDirectory(prefix="eocore_uploads_") as temporary:
        options = ServeOptions(
            models=tuple(arguments.model),
            indexes=tuple(arguments.index),
            reports=arguments.reports,
            basemap=arguments.basemap,
            host=arguments.host,
            port=arguments.port,
            hosts=tuple(arguments.allowed_host),
            auth=arguments.auth,
            uploads=arguments.uploads or Path(temporary) / "files",
            limits=limits,
            workers=workers,
        )
        serve(options, additions=(PAGE,))


COMMAND = Command(name="serve", description=__doc__, add_arguments=add_arguments, run=run)
