"""The address of a server is its own from before models are loaded."""

import socket
from pathlib import Path

import pytest

from eocore.errors import ConfigError
from eocore.serve.options import ServeOptions
from eocore.serve.running import listen


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_nobody_takes_the_port_while_models_are_loaded(host: str) -> None:
    with listen(ServeOptions(indexes=(Path("index"),), host=host, port=0)) as held:
        port = held.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"cannot listen on {host}:{port} \(.*in use.*Name another --port or --host"):
            listen(ServeOptions(indexes=(Path("index"),), host=host, port=port))
        with socket.create_connection((host, port)):  # waits to be accepted
            pass
