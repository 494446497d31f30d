"""The log shows what data files hold, but is not steered by it."""

import io
import logging
import sys
from pathlib import Path

import pytest

from eocore.log import LogFile, close_log_files, get_logger, leaving_out, plain_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("river_04.tif", "river_04.tif"),
        ("Überschwemmung 水", "Überschwemmung 水"),
        ("a\n11/21 12:00:00 - eocore - INFO - finished", r"a\n11/21 12:00:00 - eocore - INFO - finished"),
        ("\x1b[2Jgone\x07", r"\x1b[2Jgone\x07"),
        ("safe\u202etxt.exe", r"safe\u202etxt.exe"),
        ("\ud800", r"\ud800"),
    ],
)
def test_arguments_are_one_plain_line(text: str, shown: str) -> None:
    seen: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(record.getMessage())  # type: ignore[method-assign]
    get_logger().addHandler(handler)
    get_logger().error("%s: %d of %s", ValueError(text), 3, text)
    get_logger().removeHandler(handler)
    assert seen == [f"{shown}: 3 of {shown}"]
    assert plain_line(text) == shown


def test_the_filter_is_added_once() -> None:
    assert len(get_logger().filters) == len(get_logger().filters) == len({type(found) for found in get_logger().filters})


def test_lines_go_to_stderr_so_that_stdout_holds_results_alone(capsys: pytest.CaptureFixture[str]) -> None:
    get_logger().error("the disk is full")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.endswith(" - mmengine - ERROR - the disk is full\n") and __file__ not in shown.err


def test_warnings_that_differ_in_a_word_are_all_told_and_equal_ones_once(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("s1", "s2", "s1"):
        get_logger().warning("sample '%s' of this test is broken", name)
    told = [line for line in capsys.readouterr().err.splitlines() if "of this test is broken" in line]
    assert len(told) == 2 and "'s1'" in told[0] and "'s2'" in told[1]


def test_other_ranks_tell_errors_alone_also_where_the_logger_is_older_than_the_group(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = get_logger().handlers[0]
    before = screen.level
    try:
        for rank, told in (("0", ["training", "a rank is lost"]), ("1", ["a rank is lost"])):
            monkeypatch.setenv("RANK", rank)
            get_logger().info("training")
            get_logger().error("a rank is lost")
            assert [line.rsplit(" - ", 1)[1] for line in capsys.readouterr().err.splitlines()] == told
    finally:
        screen.setLevel(before)


def test_lines_follow_a_stderr_that_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    get_logger().info("before")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", io.StringIO())
        get_logger().info("above the bar")
        assert "above the bar" in sys.stderr.getvalue()  # type: ignore[attr-defined]


def test_a_log_file_on_a_full_disk_says_so_once(capsys: pytest.CaptureFixture[str]) -> None:
    handler = LogFile("/dev/full")
    logger = logging.Logger("full")
    logger.addHandler(handler)
    for number in range(3):
        logger.error("line %d", number)
    shown = capsys.readouterr().err
    assert shown.count("the log cannot be written any more ([Errno 28] No space left on device)") == 1 and "Traceback" not in shown


def test_the_log_file_of_an_earlier_run_is_closed(tmp_path: Path) -> None:
    earlier = LogFile(tmp_path / "train.log")
    get_logger().addHandler(earlier)
    get_logger().error("of the first run")
    close_log_files()
    get_logger().error("of the second run")
    assert earlier not in get_logger().handlers and (tmp_path / "train.log").read_text() == "of the first run\n"


def test_lines_of_a_library_are_left_out_for_a_while(capsys: pytest.CaptureFixture[str]) -> None:
    with leaving_out("Hooks will"):
        get_logger().info("Hooks will be executed in the following order:\nA, B")
        get_logger().warning("the hooks are three")
    get_logger().warning("Hooks will be told of now")
    shown = capsys.readouterr().err
    assert "in the following order" not in shown and "the hooks are three" in shown and "told of now" in shown
