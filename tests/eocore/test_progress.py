"""Progress: a bar on a terminal, now and then a line elsewhere, nothing on ranks that should be silent."""

import io
import logging
from collections.abc import Iterator

import pytest

from eocore import progress
from eocore.log import get_logger
from eocore.progress import LINE_INTERVAL_S, Progress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What is logged."""
    seen: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(record.getMessage())  # type: ignore[method-assign]
    get_logger().addHandler(handler)
    yield seen
    get_logger().removeHandler(handler)


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    return stream


def test_a_line_every_few_seconds_and_one_at_the_end(clock: Clock, lines: list[str], pipe: io.StringIO) -> None:
    with Progress("predicting", 100, unit="samples") as bar:
        for _ in range(25):
            clock.now += 1.0
            bar.advance(4)
    assert [line.split()[1] for line in lines] == ["44/100", "88/100", "100/100"]
    assert lines[0] == "predicting 44/100  4.0 samples/s  14 s left"
    assert lines[-1] == "predicting 100/100  4.0 samples/s  0 s left"
    assert LINE_INTERVAL_S == 10.0


def test_nothing_is_said_before_it_is_due(clock: Clock, lines: list[str], pipe: io.StringIO) -> None:
    with Progress("predicting", 100) as bar:
        clock.now += LINE_INTERVAL_S
        bar.advance(50)
        assert not lines
        clock.now += 0.1
        bar.advance(1)
    assert len(lines) == 1


def test_work_done_at_once_has_a_rate(clock: Clock, lines: list[str], pipe: io.StringIO) -> None:
    with Progress("predicting", 2) as bar:
        bar.advance(2)
    assert len(lines) == 1 and lines[0].endswith("0 s left")


def test_silent_ranks_say_nothing(clock: Clock, lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with Progress("predicting", 2, visible=False) as bar:
        clock.now += 60.0
        bar.advance(2)
    assert not lines and not terminal.getvalue() and bar.done == 2


def test_a_terminal_shows_a_bar_with_the_rate_and_no_lines(clock: Clock, lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with Progress("predicting", 4, unit="samples") as bar:
        clock.now += 2.0
        bar.advance(3)
    assert "predicting" in terminal.getvalue() and "3/4" in terminal.getvalue() and "1.5 samples/s" in terminal.getvalue()
    assert not lines


def test_a_failure_gives_the_terminal_back(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with pytest.raises(RuntimeError), Progress("predicting", 4) as bar:
        raise RuntimeError
    assert bar._bar is not None and not bar._bar.live.is_started
    assert terminal.getvalue().count("\x1b[?25l") == terminal.getvalue().count("\x1b[?25h") == 1, "the cursor is shown again"
