"""Ports for process groups of tests that run beside others."""

import random
import socket
from pathlib import Path

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""First and last port that the kernel gives to connections. Source: ip(7)."""


def free_port() -> int:
    """A port at which nobody listens, below those given to connections: those could be taken before it is used."""
    first = int(RANGE.read_text().split()[0]) if RANGE.exists() else 32_768
    draws = random.SystemRandom()  # not the seeded one, which gives every test the same
    for _ in range(1000):
        port = draws.randrange(max(first // 2, 1024), first)
        with socket.socket() as connection:
            try:
                connection.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port found in 1000 draws")
