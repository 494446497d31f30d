"""Versions of the installed libraries, and those below which a known hole is open; checked before a system is imported."""

import importlib.util
import os
import platform
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from packaging.version import Version

from eocore.errors import ConfigError

OVERRIDE = "EOCORE_ALLOW_VULNERABLE"

FLOORS = {
    "torch": ("2.10.0", "CVE-2025-32434, CVE-2026-24747: weights_only loading can run code or corrupt memory"),
    "transformers": ("5.3.0", "CVE-2026-4372: a config.json can fetch and run code; CVE-2026-1839: rng_state pickles"),
    "jinja2": ("3.1.6", "CVE-2025-27516: chat templates can leave the sandbox"),
    "pyyaml": ("5.4", "CVE-2020-14343: YAML tags can run code"),
    "pillow": ("10.3.0", "CVE-2023-4863, CVE-2024-28219: pictures can overflow buffers"),
    "deepspeed": ("0.15.1", "CVE-2024-43497: crafted files can run code"),
    "gradio": ("6.7.0", "CVE-2023-51449, CVE-2024-1727, CVE-2024-47868, CVE-2025-23042, CVE-2026-28416, CVE-2026-28414: files leak"),
}
"""Distribution -> first version without the hole, and which hole. Source: the advisories named."""


LIBRARIES = ("torch", "transformers", "deepspeed", "mmengine", "numpy", "safetensors")
"""What a result depends on."""


def library_versions() -> dict[str, str]:
    """Of Python and the LIBRARIES that are installed."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def vulnerable(names: Iterable[str] = FLOORS) -> list[str]:
    """One line for each installed library of `names` that is older than its floor."""
    found = []
    for name in names:
        floor, hole = FLOORS[name]
        try:
            installed = version(name)
        except PackageNotFoundError:
            continue
        if Version(installed).release < Version(floor).release:
            found.append(
                f"{name} {installed} is installed; below {floor}: {hole}. Upgrade it: pip install -c constraints.txt '{name}>={floor}'"
            )
    return found


@cache
def check_dependencies() -> None:
    """Nothing, the first time it is called; warns where the check is overridden.

    Raises:
        ConfigError: a library is older than its floor, and the environment does not set EOCORE_ALLOW_VULNERABLE=1.
    """
    found = vulnerable()
    if not found:
        return
    if os.environ.get(OVERRIDE) != "1":
        raise ConfigError("; ".join(found) + f". To run all the same, with input you trust, set {OVERRIDE}=1.")
    from eocore.log import get_logger  # seldom needed here, and mmengine's logger takes its time

    for line in found:
        get_logger().warning("%s", line)


def require_bitsandbytes(what: str) -> None:
    """Raise ConfigError if bitsandbytes, which `what` needs, is not installed."""
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ConfigError(
            f"{what} needs bitsandbytes, which is not installed. Install it without its dependencies, which are here already: "
            "pip install --no-deps bitsandbytes (the extra `quantized`), or choose without it."
        )
