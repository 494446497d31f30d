"""EarthMind-Bench as one set of several question files, and BigEarthNet asked for letters: what the benchmarks of EarthMind need."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from earthmind.datasets.mcq import EarthMindBenchDataset
from earthmind.datasets.multispectral import MultispectralFolderDataset
from eocore.data.records import Record
from eocore.errors import AnnotationError, DataError
from eocore.registry import DATASETS


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class EarthMindBenchFilesDataset(EarthMindBenchDataset):
    """Several files of EarthMind-Bench, one for each subtask, as one set; `type` of the meta is the subtask.

    Args:
        annotations: the folder of the files.
        files: subtask -> file name, or several names of which the first that is there counts (releases differ).
        images: role -> image source.
        task: "mcq", or "open" for questions without candidates.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages.
        suffix: put after the prompt.

    Raises:
        DataError: a file is missing.
        AnnotationError: an entry breaks the form, or is of the other kind than `task`.
    """

    files: Mapping[str, str | Sequence[str]]
    task: str = "mcq"

    def parse(self, path: Path) -> list[Record]:
        records = []
        for kind, given in self.files.items():
            names = (given,) if isinstance(given, str) else tuple(given)
            found = [path / name for name in names if (path / name).is_file()]
            if not found:
                raise DataError(f"{path}: no file {' or '.join(names)} of subtask '{kind}'. Fetch the release again (docs/evaluation.md).")
            records += [self._of_subtask(record, kind) for record in super().parse(found[0])]
        return records

    def _of_subtask(self, record: Record, kind: str) -> Record:
        if ("candidates" in record.meta) != (self.task == "mcq"):
            raise AnnotationError(
                f"{record.source}: subtask '{kind}' asks {'with' if self.task == 'mcq' else 'without'} candidates, but this entry does "
                f"{'not have' if self.task == 'mcq' else 'have'} them. Correct the entry, or the list of files."
            )
        return replace(record, task=self.task, meta={**record.meta, "type": kind})


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class LetteredClassesDataset(MultispectralFolderDataset):
    """ms_test.jsonl, answered with the letters of all classes that apply. Which letter is which class is read from each question.

    Args:
        annotations: the JSON lines.
        root: folder of the image folders.
        classes: the names to look for in the questions.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the annotation file's stem.

    Raises:
        AnnotationError: a question gives no letters to the classes.
    """

    classes: Sequence[str]
    layout: Literal["composites", "bands"] = field(init=False, default="composites")
    sensor: str = field(init=False, default="")
    bands: Sequence[str] = field(init=False, default=())
    task: str = field(init=False, default="vqa")
    id_field: str | None = field(init=False, default="id")
    remove_duplicates: bool = field(init=False, default=False)

    def parse(self, path: Path) -> list[Record]:
        return [self._lettered(record) for record in super().parse(path)]

    def _lettered(self, record: Record) -> Record:
        options = read_letters(record.turns[0].text, self.classes)
        letters = list(options)
        if not letters or letters != [chr(ord("A") + index) for index in range(len(letters))]:
            raise AnnotationError(
                f"{record.source}: the question gives the letters {', '.join(letters) or 'none'} to the classes; expected "
                "A, B, C and so on without a gap. The answer could not be read; correct the question, or the list of classes."
            )
        return replace(record, task="multilabel", meta={**record.meta, "candidates": list(options.values())})


def read_letters(question: str, classes: Sequence[str]) -> dict[str, str]:
    """Letter -> class, in the order of the letters, as a question lists them ("A. Urban fabric", "(A) Urban fabric", "A: ...")."""
    found = {}
    for label in sorted(classes, key=len, reverse=True):
        mark = re.search(rf"\(?\b([A-Z])\b\s*[).:\-]?\s*{re.escape(label)}", question, re.IGNORECASE)
        if mark:
            found[mark[1].upper()] = label
    return dict(sorted(found.items()))
