"""A server from its options to its end."""

import asyncio
import contextlib
import signal
import socket
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

import uvicorn
from starlette.types import ASGIApp

from eocore.command import say
from eocore.errors import ConfigError
from eocore.log import get_logger
from eocore.serve.app import Addition, make_app
from eocore.serve.options import ServeOptions
from eocore.serve.service import Service

IDLE_CHECK_S, START_CHECK_S = 60.0, 0.01
KEEP_ALIVE_S = 15
CLOSE_S = 10
"""Open answers are waited for when the server is told to end [s]."""
MAX_HEADER_BYTES = 32 * 1024
MAX_CONNECTIONS = 2000
BACKLOG = 2048
"""Connections that wait to be accepted, as uvicorn has it."""


class _Server(uvicorn.Server):
    """uvicorn's server without its handlers of signals: it would end the process before sessions are deleted."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing; see `serve`."""
        yield


@dataclass(frozen=True)
class Serving:
    """A server that answers.

    Attributes:
        address: of it.
        service: behind it.
    """

    address: str
    service: Service
    _server: uvicorn.Server = field(repr=False)
    _task: asyncio.Task[None] = field(repr=False)

    def end(self) -> None:
        """Lets it end; answers under way are waited for."""
        self._server.should_exit = True

    async def ended(self) -> None:
        """Comes back when it has ended."""
        await asyncio.shield(self._task)


def serve(options: ServeOptions, *, additions: tuple[Addition, ...] = ()) -> None:
    """Serves until SIGINT or SIGTERM.

    Raises:
        ConfigError, CheckpointError: a model cannot be served, or the address cannot be listened on.
        DataError: a folder holds no index.
    """
    options.check_folders()
    options.check_devices()
    with warnings.catch_warnings():  # NiceGUI looks at every object there is when it is attached and starts, among them what torch warns of
        warnings.filterwarnings("ignore", ".*torch.distributed.reduce_op", FutureWarning)
        asyncio.run(_serve(options, additions))


async def _serve(options: ServeOptions, additions: tuple[Addition, ...]) -> None:
    loop, own = asyncio.get_running_loop(), asyncio.current_task()
    is_told_to_end = False

    def end_start() -> None:
        nonlocal is_told_to_end
        is_told_to_end = True
        assert own is not None
        own.cancel()

    loop.add_signal_handler(signal.SIGTERM, end_start)  # until it answers; Ctrl-C does the like by itself
    try:
        async with serving(options, additions=additions, tell=say) as found:
            for name in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(name, found.end)
            say(f"serving on {found.address}; Ctrl-C ends it")
            await found.ended()
    except asyncio.CancelledError:
        if not is_told_to_end:
            raise  # Ctrl-C, which the command tells


@contextlib.asynccontextmanager
async def serving(
    options: ServeOptions, *, additions: tuple[Addition, ...] = (), tell: Callable[[str], None] = lambda _: None
) -> AsyncIterator[Serving]:
    """A server that answers requests for as long as the context lasts. Its address is taken before models are loaded; requests wait.

    Args:
        options: what is served.
        additions: what is put onto it besides the endpoint.
        tell: is called with lines about the models while they are loaded.

    Raises:
        ConfigError, CheckpointError: as `serve`.
    """
    if not options.is_loopback and options.auth is None:
        get_logger().warning("%s: others reach this server, and it asks nobody who they are; --auth FILE does", options.host)
    service = Service(options, tell=tell)
    server = _Server(server_config(make_app(service, additions=additions), options))
    with contextlib.closing(listen(options)) as listening:
        async with service:
            watch = asyncio.create_task(_drop_idle(service))
            task = asyncio.create_task(server.serve(sockets=[listening]))
            host = f"[{options.host}]" if ":" in options.host else options.host
            try:
                while not server.started and not task.done():
                    await asyncio.sleep(START_CHECK_S)
                yield Serving(f"http://{host}:{listening.getsockname()[1]}", service, server, task)
            finally:
                watch.cancel()
                server.should_exit = True
                await task


def server_config(app: ASGIApp, options: ServeOptions) -> uvicorn.Config:
    """What uvicorn is told. Its own set-up of logging would close every handler that other code of this process has; without it, warnings
    go on to the root logger, and so to stderr."""
    return uvicorn.Config(
        app,
        host=options.host,
        port=options.port,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=CLOSE_S,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        limit_concurrency=MAX_CONNECTIONS,
    )


def listen(options: ServeOptions) -> socket.socket:
    """The server's address, taken: connections wait to be accepted. Raises ConfigError where it cannot be listened on."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((options.host, options.port))
        listening.listen(BACKLOG)  # until then another process could take the port while models are loaded
    except (OSError, OverflowError) as error:
        listening.close()
        raise ConfigError(f"cannot listen on {options.host}:{options.port} ({error}). Name another --port or --host.") from error
    return listening


async def _drop_idle(service: Service) -> None:
    while True:
        await asyncio.sleep(IDLE_CHECK_S)
        service.sessions.drop_idle()
