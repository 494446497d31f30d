"""A server in a thread of the test's process; its models run in processes of their own."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from eocore.serve.app import Addition
from eocore.serve.options import ServeOptions
from eocore.serve.running import serving
from eocore.serve.service import Service

START_S = 300.0


@dataclass
class Server:
    """One that answers."""

    address: str
    service: Service


@contextmanager
def start_server(options: ServeOptions, *, additions: tuple[Addition, ...] = ()) -> Iterator[Server]:
    """The server, for as long as the context lasts."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    context = serving(options, additions=additions)
    try:
        found = asyncio.run_coroutine_threadsafe(context.__aenter__(), loop).result(START_S)
        try:
            yield Server(found.address, found.service)
        finally:
            asyncio.run_coroutine_threadsafe(context.__aexit__(None, None, None), loop).result(START_S)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
