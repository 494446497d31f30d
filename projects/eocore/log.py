"""One logger for all packages; progress for long work."""

import logging
import os

from mmengine.logging import MMLogger


def get_logger() -> logging.Logger:
    """The run's mmengine logger if a runner made one, else a plain logger of the same name."""
    if MMLogger.check_instance_created("eocore"):
        return MMLogger.get_instance("eocore")
    return MMLogger.get_instance("eocore", log_level=os.environ.get("EOCORE_LOG_LEVEL", "INFO"))
