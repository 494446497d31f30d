"""What a user sees while training."""

import io
import logging
import re

import pytest
from rich.console import Console

from eocore.log import get_logger
from eocore.train import progress
from eocore.train.progress import ProgressBar, ProgressLines, describe, format_duration

RECORD = {
    "step": 3, "loss": 1.23456, "loss_mask": 0.5, "accuracy": 0.75, "lr": 4e-5, "step_s": 1.0, "samples_per_s": 8.0,
    "tokens_per_s": 1234.5, "data_share": 0.1, "eta_s": 3723.0, "peak_host_gib": 1.0,
}  # fmt: skip


def test_the_line_tells_losses_rate_speeds_and_time_left() -> None:
    line = describe(RECORD)
    assert line == "loss 1.235  loss_mask 0.5  accuracy 0.75  lr 4.00e-05  8 samples/s  1234 tokens/s  left 1:02:03"


def test_speeds_that_no_task_counts_are_left_out() -> None:
    assert "tokens" not in describe({name: value for name, value in RECORD.items() if name != "tokens_per_s"})


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (3600, "1:00:00")])
def test_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_lines_go_to_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    logger = logging.getLogger("test_progress")
    logger.setLevel("INFO")
    logger.addHandler(logging.StreamHandler(stream))
    monkeypatch.setattr(progress, "get_logger", lambda: logger)
    display = ProgressLines(start=0, total=6)
    display.show(RECORD)
    display.close()
    assert stream.getvalue().splitlines()[1].startswith("step 3/6  loss 1.235")


def test_the_bar_stands_at_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(progress, "Console", lambda stderr: Console(file=stream, force_terminal=True, width=160))
    bar = ProgressBar(start=2, total=6)
    bar.show(RECORD)
    bar.close()
    assert "3/6" in stream.getvalue() and "loss_mask 0.5" in stream.getvalue()


def test_the_bar_takes_one_line_and_shows_what_is_wanted_most(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(progress, "Console", lambda stderr: Console(file=stream, force_terminal=True, width=80))
    bar = ProgressBar(start=2, total=6)
    bar.show(RECORD | {f"loss_{name}": 0.1 for name in ("text", "dice", "attention", "alignment")})
    bar.close()
    plain = re.sub(r"\x1b\[[0-9?;]*[A-Za-z]", "", stream.getvalue())
    lines = [line.strip() for line in re.split(r"[\r\n]+", plain) if line.strip()]
    assert all("/6" in line and len(line) <= 80 for line in lines)
    assert "3/6" in lines[-1] and "loss 1.235  left 1:02:03" in lines[-1] and "\u2026" in lines[-1]


def test_log_lines_go_above_the_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(progress, "Console", lambda stderr: Console(file=stream, force_terminal=True, width=160))
    bar = ProgressBar(start=0, total=6)
    get_logger().info("saved something")
    bar.close()
    get_logger().info("after")
    assert "saved something\n" in stream.getvalue() and "after" not in stream.getvalue()
    shown = capsys.readouterr().err
    assert "after\n" in shown and "saved something" not in shown
