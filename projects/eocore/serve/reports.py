"""Reports of evaluations below one folder: listed, read, compared by the scores beside them."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eocore.errors import AccessError, DataError
from eocore.evaluate.engine.inputs import SCORES

REPORT = "report.html"
MOST_REPORTS = 500
MOST_BYTES = 64 * 1024**2
"""Of one report: a browser draws larger ones no more."""


@dataclass(frozen=True)
class Report:
    """One report.

    Attributes:
        name: its folder, relative to that of all reports.
        changed_at: seconds since 1970.
        num_bytes: of the page.
    """

    name: str
    changed_at: float
    num_bytes: int


def list_reports(root: Path) -> list[Report]:
    """All reports below a folder, the newest first; links are not followed.

    Raises:
        DataError: the folder is not there.
    """
    if not root.is_dir():
        raise DataError("the folder of reports is not there any more.")
    found = []
    for folder, _, files in os.walk(root):
        path = Path(folder, REPORT)
        if REPORT in files and not path.is_symlink():
            status = path.stat()
            found.append(Report(path.parent.relative_to(root).as_posix(), status.st_mtime, status.st_size))
    return sorted(found, key=lambda report: (-report.changed_at, report.name))[:MOST_REPORTS]


def read_report(root: Path, name: str) -> str:
    """The page of a report.

    Args:
        root: folder of all reports.
        name: of one of them.

    Raises:
        AccessError: it lies elsewhere, or is none.
        DataError: it is too large, or no UTF-8.
    """
    path = _inside(root, name) / REPORT
    if path.is_symlink() or not path.is_file():
        raise AccessError(f"there is no report '{name[:100]}' here.")
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise DataError(f"report '{name}' has {size / 1e6:.0f} MB; up to {MOST_BYTES / 1e6:.0f} MB are shown here. Open the file itself.")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"report '{name}' is no page in UTF-8. Write it anew.") from error


def _inside(root: Path, name: str) -> Path:
    folder = (root / name).resolve()
    if not folder.is_relative_to(root.resolve()):
        raise AccessError("a report lies below the folder of reports.")
    return folder


@dataclass(frozen=True)
class Difference:
    """One figure of two evaluations.

    Attributes:
        benchmark, setting, metric: of it.
        first, second: values; None = not there.
    """

    benchmark: str
    setting: str
    metric: str
    first: float | None
    second: float | None


def compare_reports(root: Path, names: tuple[str, str]) -> list[Difference]:
    """The headline figures beside two reports, those of both before those of one alone; empty where no scores lie beside them.

    Args:
        root: folder of all reports.
        names: of two reports.

    Raises:
        AccessError: one lies elsewhere.
    """
    tables = [dict(_figures(_inside(root, name))) for name in names]
    keys = dict.fromkeys([*(key for key in tables[0] if key in tables[1]), *tables[0], *tables[1]])
    return [Difference(*key, first=tables[0].get(key), second=tables[1].get(key)) for key in keys]


def _figures(folder: Path) -> Iterator[tuple[tuple[str, str, str], float]]:
    """(benchmark, setting, metric), value of the scores in a folder and in those directly below it."""
    for path in (folder / SCORES, *sorted(folder.glob(f"*/{SCORES}"))):
        if not path.is_file() or path.is_symlink():
            continue
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
            yield from _headlines(result)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"the scores beside report '{folder.name}' cannot be read ({type(error).__name__}). Score it again.") from error


def _headlines(result: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str, str], float]]:
    for setting, by_task in result["settings"].items():
        scored = by_task[result["task"]]
        metric = scored["headline"]
        value = scored["overall"]["metrics"].get(metric)
        if value is not None:
            yield (str(result["title"]), str(setting), str(metric)), float(value["value"] if isinstance(value, dict) else value)
