"""Aerith; `AerithVLM` is imported when it is asked for, so that the system is known without its libraries."""

from typing import Any


def __getattr__(name: str) -> Any:
    if name != "AerithVLM":
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from aerith.upstream.calls import AerithVLM

    return AerithVLM
