"""The answers to many items on disk: a line each as it comes, so that a run that was stopped goes on; masks as files beside.

A folder holds `run.json` (model, question and options), `answers.jsonl`, `masks/` and, at the end, what else was asked for.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np

from eocore.errors import DataError, OutputError
from eocore.files import write_file, writing
from eocore.folder_lock import FolderLock
from eocore.log import get_logger
from eocore.predict.answers import write_masks
from eocore.predict.items import Item
from eocore.predict.many import Done
from eocore.text import some_of

RUN, ANSWERS, MASKS = "run.json", "answers.jsonl", "masks"
OTHERS = ("answers.csv", "answers.geojson")
WAIT_S = 2.0
MOST_TOLD = 20
Line = dict[str, Any]


@dataclass
class AnswerLog:
    """The folder of a run.

    Args:
        out: made where absent.
        choices: what answers depend on, besides the images: the same in every call that goes on.

    Attributes:
        lines: id -> line of each answer that holds, from earlier calls and this one.
    """

    out: Path
    choices: Mapping[str, Any]
    lines: dict[str, Line] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = FolderLock(self.out)

    def open(self, items: Sequence[Item], *, overwrite: bool) -> list[Item]:
        """Takes the folder; returns the items that have no answer yet, or whose images have changed since.

        Args:
            items: of this call.
            overwrite: throw away what an earlier run has written.

        Raises:
            DataError: the folder holds answers of another model, question or options.
            OutputError: another run is working in it, or it cannot be written.
        """
        with writing(self.out, "answers"):
            holder = self._lock.take(wait_s=WAIT_S)
        if holder is not None:
            raise OutputError(f"{self.out}: {holder} is writing answers to it. Wait for it, or name another folder.")
        if overwrite:
            self._remove()
        self._check_choices()
        write_file(self.out / RUN, json.dumps(self.choices, indent=1, sort_keys=True) + "\n")
        self.lines = _read_lines(self.out / ANSWERS)
        self._rewrite(self.lines.values())
        return [item for item in items if not self._holds(item)]

    def add(self, batch: Iterable[Done]) -> None:
        """Writes the masks of a batch, then its lines, and waits until these are on the disk."""
        lines = [self._line(done) for done in batch]
        path, follows = self.out / ANSWERS, "Those before stand, and the same command goes on after them."
        with writing(path, "answers", follows=follows), path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
        self.lines.update((line["id"], line) for line in lines)

    def close(self, items: Sequence[Item]) -> list[Line]:
        """Lets go of the folder; returns the lines of `items` in their order, and leaves the file so."""
        found = [self.lines[item.item_id] for item in items if item.item_id in self.lines]
        named = {item.item_id for item in items}
        self._rewrite([*found, *(line for name, line in self.lines.items() if name not in named)])
        self._lock.release()
        return found

    def _rewrite(self, lines: Iterable[Line]) -> None:
        """The file with one line for each item: of one that was stopped in the midst of a line, or that repeats an item, nothing stays."""
        write_file(self.out / ANSWERS, "".join(json.dumps(line) + "\n" for line in lines))

    def _remove(self) -> None:
        rmtree(self.out / MASKS, ignore_errors=True)
        for name in (RUN, ANSWERS, *OTHERS):
            (self.out / name).unlink(missing_ok=True)

    def _check_choices(self) -> None:
        path = self.out / RUN
        if not path.is_file():
            if (self.out / ANSWERS).exists():
                raise DataError(f"{self.out}: holds {ANSWERS} of unknown origin. Name another folder, or start anew with --overwrite.")
            return
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"{path}: cannot be read ({error}). Name another folder, or start anew with --overwrite.") from error
        differing = sorted(name for name in {*before, *self.choices} if before.get(name) != self.choices.get(name))
        if differing:
            raise DataError(
                f"{self.out} holds answers for another {', '.join(differing)}, which would be mixed with these. Name another folder, or "
                "throw them away with --overwrite."
            )

    def _holds(self, item: Item) -> bool:
        line = self.lines.get(item.item_id)
        if line is None or "error" in line:
            return False
        same = line["files"] == _stamps(item) and line["asked"] == item.text
        if not same:
            get_logger().info("%s: its images or question have changed since it was answered; it is asked again", item.item_id)
        return same

    def _line(self, done: Done) -> Line:
        item = done.item
        line: Line = {"id": item.item_id, "asked": item.text, "files": _stamps(item)}
        if done.prediction is None:
            return {**line, "error": done.error}
        found = done.prediction
        sensors = {role: scene.sensor for role, scene in found.scenes.items()}
        line |= {"answer": found.text, "sensors": sensors, "masks": self._write_masks(done), "footprint": footprint_of(found.scenes)}
        return {**line, "scores": dict(found.scores)} if found.scores else line

    def _write_masks(self, done: Done) -> list[dict[str, Any]]:
        """Each mask's files and pixels."""
        found, written = done.prediction, []
        if found is None or not len(found.masks) or not found.scenes:
            return []
        stem = self.out / MASKS / done.item.item_id
        stem.parent.mkdir(parents=True, exist_ok=True)
        for number, mask in enumerate(found.masks, start=1):
            files = write_masks({f"{stem.name}_{number:02d}": mask}, found.scenes[found.grid], out=stem.parent)
            written.append({"files": [file.relative_to(self.out).as_posix() for file in files], "pixels": int(np.sum(mask))})
        return written


def footprint_of(scenes: Mapping[str, Any]) -> list[list[float]] | None:
    """Corners [longitude, latitude] of the first image that says where it lies, closed; None where none does."""
    from affine import Affine
    from rasterio.crs import CRS
    from rasterio.warp import transform

    for scene in scenes.values():
        if scene.georeference is not None and scene.georeference.crs:
            height, width = scene.size
            grid = Affine(*scene.georeference.transform)
            corners = [grid * corner for corner in ((0, 0), (0, height), (width, height), (width, 0), (0, 0))]
            columns, rows = transform(CRS.from_wkt(scene.georeference.crs), "EPSG:4326", *zip(*corners, strict=True))
            return [[float(column), float(row)] for column, row in zip(columns, rows, strict=True)]
    return None


def _stamps(item: Item) -> dict[str, list[Any]]:
    """Input -> path, size and time of change of each of its files."""
    return {name: [[path, *_stamp(path)] for path in file.paths] for name, file in item.files.items()}


def _stamp(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns


def _read_lines(path: Path) -> dict[str, Line]:
    """id -> its last whole line."""
    found: dict[str, Line] = {}
    if not path.is_file():
        return found
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except ValueError:  # the last line of a run that was killed as it wrote it
            continue
        if isinstance(line, dict) and "id" in line:
            found[line["id"]] = line
    return found


def describe_sensors(lines: Sequence[Line]) -> str:
    """Which sensors the images were read as, with counts."""
    counts = Counter(f"{role} {sensor}" for line in lines for role, sensor in line.get("sensors", {}).items())
    return ", ".join(f"{count:,} {name}" for name, count in counts.most_common())


def describe_failed(lines: Sequence[Line]) -> list[str]:
    """A line for each of the first items without an answer, and how many there are."""
    failed = [line for line in lines if "error" in line]
    if not failed:
        return []
    names = some_of([line["id"] for line in failed], 5)
    told = [f"  no answer: {line['id']}: {line['error']}" for line in failed[:MOST_TOLD]]
    return [*told, f"{len(failed)} of {len(lines)} items have no answer ({names}); the same command tries them again"]
