"""How a program ends."""

import pytest

from eocore.command import command
from eocore.errors import DataError


def fail() -> None:
    raise DataError("a.tif is missing. Fetch it.")


def test_an_error_of_the_users_is_one_line_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(fail)() == 1
    assert capsys.readouterr().err == "DataError: a.tif is missing. Fetch it.\n"


def test_what_the_work_gives_is_the_status() -> None:
    assert command(lambda: 75)() == 75
    assert command(lambda: None)() == 0


def test_other_errors_are_defects_and_pass() -> None:
    with pytest.raises(ZeroDivisionError):
        command(lambda: 1 // 0)()
