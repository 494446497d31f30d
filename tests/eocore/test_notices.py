"""What libraries write that no user can act on does not reach the screen of a command; their errors do."""

import logging
from collections.abc import Iterator

import pytest

from eocore.command import command
from eocore.notices import UNUSABLE


@pytest.fixture(autouse=True)
def as_new() -> Iterator[None]:
    """The level of the library's logger as it is before a command has run, and afterwards as it was."""
    logger = logging.getLogger(UNUSABLE)
    before = logger.level
    logger.setLevel(logging.NOTSET)
    yield
    logger.setLevel(before)


def import_library() -> None:
    """As bitsandbytes/backends/cpu/ops.py does where its kernels are not installed."""
    logger = logging.getLogger("bitsandbytes.backends.cpu.ops")
    logger.warning("Failed to load CPU gemm_4bit_forward from kernels-community")
    logger.error("no backend for this device")


def test_a_command_shows_no_notice_of_missing_kernels_but_errors(caplog: pytest.LogCaptureFixture) -> None:
    import_library()
    assert len(caplog.records) == 2, "without a command"
    caplog.clear()
    assert command(import_library)() == 0
    assert [record.getMessage() for record in caplog.records] == ["no backend for this device"]
