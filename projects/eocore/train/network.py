"""Which network interface the ranks of several machines meet over."""

import os
import socket

from eocore.log import get_logger

INTERFACE = "GLOO_SOCKET_IFNAME"


def choose_interface() -> None:
    """Sets GLOO_SOCKET_IFNAME, where it is not set, to the interface that reaches MASTER_ADDR; leaves ranks of one machine alone.

    gloo would take the address that this machine's name has. On many machines that is 127.0.0.1 or 127.0.1.1, where no other finds it.
    """
    if INTERFACE in os.environ or not _several_machines():
        return
    name = _interface_towards(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
    if name is not None:
        os.environ[INTERFACE] = name
        get_logger().info("%s=%s: the interface that reaches %s", INTERFACE, name, os.environ["MASTER_ADDR"])


def _several_machines() -> bool:
    """True where torchrun or srun says so."""
    here, everywhere = os.environ.get("LOCAL_WORLD_SIZE"), os.environ.get("WORLD_SIZE")
    return (here is not None and here != everywhere) or int(os.environ.get("SLURM_NNODES", "1")) > 1


def _interface_towards(address: str, port: int) -> str | None:
    """Name of the interface whose address this machine would send from; None where it is not known."""
    import psutil

    try:
        family, _, _, _, target = socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as connection:
            connection.connect(target)  # of a datagram socket: chooses the way, sends nothing
            own = connection.getsockname()[0]
    except OSError:
        return None
    owners = [name for name, entries in psutil.net_if_addrs().items() for entry in entries if entry.address.split("%")[0] == own]
    return owners[0] if owners else None
