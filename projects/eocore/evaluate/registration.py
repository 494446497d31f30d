"""What systems add to evaluation: benchmarks, suites, settings, tasks and scorers, registered before a file or a config names them."""

import json
from collections.abc import Iterable
from pathlib import Path

from eocore.errors import DataError
from eocore.evaluate.engine.inputs import RUN_FILE
from eocore.log import get_logger
from eocore.system import find_system, installed_systems


def register_systems(names: Iterable[str]) -> None:
    """Registers what systems add.

    Raises:
        ConfigError: one is not installed, or registers a name that has another meaning already.
    """
    for name in names:
        register_own = find_system(name).benchmarks
        if register_own is not None:
            register_own()


def register_systems_of(*results: Path) -> None:
    """Registers what the systems add that made some results, as the run.json beside them names; of all installed systems where one names
    none. A system that is not installed is told of, and what it adds is unknown.

    Args:
        results: folders of results, or files in one.

    Raises:
        ConfigError: as `register_systems`.
        DataError: a run.json cannot be read.
    """
    installed = list(installed_systems())
    wanted = {result: _system_of(result) for result in results}
    for result, name in wanted.items():
        if name and name not in installed:
            get_logger().warning(
                "%s was made by system '%s', which is not installed: sensor settings, tasks and scorers of its own are unknown here.",
                result,
                name,
            )
    everything = installed if not all(wanted.values()) else []
    register_systems(dict.fromkeys([*(name for name in wanted.values() if name in installed), *everything]))


def _system_of(result: Path) -> str:
    """The system that run.json names; "" where there is none, or one of a version that recorded none."""
    path = (result if result.is_dir() else result.parent) / RUN_FILE
    if not path.is_file():
        return ""
    try:
        return str(json.loads(path.read_text(encoding="utf-8")).get("system", ""))
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"{path} is broken ({error}). Run again with --overwrite, or move the predictions away from it.") from error
