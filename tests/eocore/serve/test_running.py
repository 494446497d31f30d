"""The address of a server is its own from before models are loaded."""

import io
import logging
import socket
from pathlib import Path

import pytest

from eocore.errors import ConfigError
from eocore.serve.options import ServeOptions
from eocore.serve.running import listen, server_config


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_nobody_takes_the_port_while_models_are_loaded(host: str) -> None:
    with listen(ServeOptions(indexes=(Path("index"),), host=host, port=0)) as held:
        port = held.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"cannot listen on {host}:{port} \(.*in use.*Name another --port or --host"):
            listen(ServeOptions(indexes=(Path("index"),), host=host, port=port))
        with socket.create_connection((host, port)):  # waits to be accepted
            pass


def test_handlers_of_other_code_stay_open() -> None:
    """absl closes the stream of its handler when logging is set up anew, and with it the stderr of the process."""

    class ClosesItsStream(logging.StreamHandler[io.StringIO]):
        def close(self) -> None:
            self.stream.close()
            super().close()

    stream = io.StringIO()
    handler = ClosesItsStream(stream)
    server_config(lambda *_: None, ServeOptions(indexes=(Path("index"),)))
    assert not stream.closed
    handler.close()


def test_what_uvicorn_warns_of_is_told(caplog: pytest.LogCaptureFixture) -> None:
    server_config(lambda *_: None, ServeOptions(indexes=(Path("index"),)))
    logging.getLogger("uvicorn.error").warning("a broken request")
    logging.getLogger("uvicorn.error").info("started")
    assert [each.getMessage() for each in caplog.records] == ["a broken request"]
