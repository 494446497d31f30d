"""Notices of libraries that no user can act on; kept from the screen before the libraries are imported."""

import logging

UNUSABLE = "bitsandbytes.backends"
"""Warns of a CPU kernel that it would download. mmengine and peft import bitsandbytes wherever it is installed."""


def silence_notices() -> None:
    """Lets only errors of these libraries through."""
    logging.getLogger(UNUSABLE).setLevel(logging.ERROR)
