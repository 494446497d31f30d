"""One logger for all packages; what data files put into it cannot fake lines or steer a terminal."""

import logging
import os

from mmengine.logging import MMLogger


class PlainLines(logging.Filter):
    """Writes control characters, line ends and text-direction marks inside a record's arguments as Python escapes them."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always True."""
        if isinstance(record.args, tuple):
            record.args = tuple(value if isinstance(value, int | float) else plain_line(str(value)) for value in record.args)
        return True


def plain_line(text: str) -> str:
    """`text` with every character that is not printable as an escape."""
    return text if text.isprintable() else "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def get_logger() -> logging.Logger:
    """The run's mmengine logger if a runner made one, else a plain logger of the same name."""
    if MMLogger.check_instance_created("eocore"):
        logger = MMLogger.get_instance("eocore")
    else:
        logger = MMLogger.get_instance("eocore", log_level=os.environ.get("EOCORE_LOG_LEVEL", "INFO"))
    if not any(isinstance(present, PlainLines) for present in logger.filters):
        logger.addFilter(PlainLines())
    return logger
