"""The interface that ranks of several machines meet over; between machines: tests/invariants/test_hosts.py."""

import os

import pytest

from eocore.train.network import INTERFACE, choose_interface


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """One of two machines, as torchrun starts it."""
    for name in (INTERFACE, "SLURM_NNODES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500", "LOCAL_WORLD_SIZE": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_the_interface_that_reaches_the_first_machine_is_taken(machines: pytest.MonkeyPatch) -> None:
    choose_interface()
    assert os.environ[INTERFACE] == "lo"


def test_slurm_tells_of_several_machines(machines: pytest.MonkeyPatch) -> None:
    machines.delenv("LOCAL_WORLD_SIZE")
    choose_interface()
    assert INTERFACE not in os.environ
    machines.setenv("SLURM_NNODES", "2")
    choose_interface()
    assert os.environ[INTERFACE] == "lo"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"WORLD_SIZE": "1"}, None),
        ({INTERFACE: "eth7"}, "eth7"),
        ({"MASTER_ADDR": "no.such.machine.invalid"}, None),
    ],
    ids=["one machine", "chosen before", "no address"],
)
def test_otherwise_nothing_is_changed(machines: pytest.MonkeyPatch, changes: dict[str, str], expected: str | None) -> None:
    for name, value in changes.items():
        machines.setenv(name, value)
    choose_interface()
    assert os.environ.get(INTERFACE) == expected
