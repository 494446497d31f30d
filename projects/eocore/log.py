"""One logger for all packages, on stderr; what data files put into it cannot fake lines or steer a terminal."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from mmengine.logging import MMLogger
from mmengine.logging.logger import FilterDuplicateWarning, MMFormatter


class PlainLines(logging.Filter):
    """Writes control characters, line ends and text-direction marks inside a record's arguments as Python escapes them."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always True."""
        if isinstance(record.args, tuple):
            record.args = tuple(value if isinstance(value, int | float) else plain_line(str(value)) for value in record.args)
        return True


class RepeatedWarnings(FilterDuplicateWarning):
    """Lets each warning through once. mmengine's compares texts without their arguments, so that of all broken samples one was told."""

    def filter(self, record: logging.LogRecord) -> bool:
        """False for a warning of the same words as an earlier one."""
        if record.levelno != logging.WARNING:
            return True
        text = record.getMessage()
        is_new = text not in self.seen
        self.seen.add(text)
        return is_new


class ScreenFormat(MMFormatter):
    """mmengine's lines, coloured on a terminal; errors do not tell the line of the code either, which is not where their cause lies."""

    def __init__(self) -> None:
        super().__init__(color=sys.stderr.isatty(), datefmt="%m/%d %H:%M:%S")
        self.err_format: str = str(self.err_format).replace("%(pathname)s - %(funcName)s - %(lineno)d - ", "")


class ScreenHandler(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at the time of each line: a progress bar replaces it while it is shown, so that lines go above it.

    mmengine's handler writes to stdout, where programs put their results.
    """

    def __init__(self, like: logging.Handler) -> None:
        """
        Args:
            like: gives level and filters, but for that of repeated warnings.
        """
        super().__init__(sys.stderr)
        self.setLevel(like.level)
        others = [each for each in like.filters if not isinstance(each, FilterDuplicateWarning)]
        self.filters = [*others, RepeatedWarnings()]
        self.setFormatter(ScreenFormat())

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one record."""
        self.stream = sys.stderr
        super().emit(record)


class LogFile(logging.FileHandler):
    """A log file that says once that it cannot be written, where `logging` shows a trace for every line."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Closes the file after the first failed write."""
        error = sys.exc_info()[1]
        self.setLevel(logging.CRITICAL + 1)
        sys.stderr.write(f"{self.baseFilename}: the log cannot be written any more ({error}); its lines are shown here only.\n")


@contextmanager
def leaving_out(beginning: str) -> Iterator[None]:
    """Keeps the lines of a library that begin so out of the log, for as long as the context lasts."""

    def others(record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith(beginning)

    logger = get_logger()
    logger.addFilter(others)
    try:
        yield
    finally:
        logger.removeFilter(others)


def close_log_files() -> None:
    """Ends the log files of runs of this process, so that a later run does not write into them too; the screen stays."""
    logger = get_logger()
    for handler in [present for present in logger.handlers if isinstance(present, LogFile)]:
        logger.removeHandler(handler)
        handler.close()


def plain_line(text: str) -> str:
    """`text` with every character that is not printable as an escape."""
    return text if text.isprintable() else "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def get_logger() -> logging.Logger:
    """The run's mmengine logger if a runner made one, else a plain logger of the same name; of several ranks the first tells all, the
    others errors alone, also where the logger was made before they met, which is when mmengine looks."""
    if MMLogger.check_instance_created("eocore"):
        logger = MMLogger.get_instance("eocore")
    else:
        logger = MMLogger.get_instance("eocore", log_level=os.environ.get("EOCORE_LOG_LEVEL", "INFO"))
    if type(logger.handlers[0]) is logging.StreamHandler:
        logger.handlers[0] = ScreenHandler(logger.handlers[0])
    if int(os.environ.get("RANK", "0")):
        logger.handlers[0].setLevel(logging.ERROR)
    if not any(isinstance(present, PlainLines) for present in logger.filters):
        logger.addFilter(PlainLines())
    return logger
