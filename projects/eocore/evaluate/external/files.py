"""Predictions files of others: JSON lines or a JSON list with fields of any name -> our predictions."""

import json
import re
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

from eocore.data.formats.entries import Entry, as_entries, read_entries, read_json, shorten
from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.evaluate.external.field_names import FieldNames, find_fields
from eocore.evaluate.external.masks import read_masks, stated_size
from eocore.evaluate.metrics import classification
from eocore.evaluate.predictions import REQUIRED_FIELDS, Prediction, some_ids
from eocore.evaluate.scoring.parsing.letters import is_letters
from eocore.evaluate.tasks import BOX_TASKS, CLASS_TASKS

MASK_TASKS = ("referring",)
REFERENCE_TASKS = ("caption", "region", "open")
SET_TASKS = ("multilabel", "mcq")


@dataclass(frozen=True, kw_only=True)
class ExternalOptions:
    """How an external file is read.

    Attributes:
        task: one of `predictions.TASKS`.
        sensor: which setting the predictions are of; an external file does not say.
        fields: our field name -> the file's, where the aliases do not find it.
        labels: the classes, or options, where the file does not list them; empty = those annotated in the file.
        annotations: file with the truths, where they are not in the predictions file; samples it has more count as missing.
    """

    task: str
    sensor: str = "optical"
    fields: Mapping[str, str] = field(default_factory=dict)
    labels: Sequence[str] = ()
    annotations: Path | None = None


def is_native(path: Path) -> bool:
    """Whether the first line has all fields `PredictionWriter` writes; a file that cannot be read is not."""
    try:
        with path.open(encoding="utf-8-sig") as lines:
            entry = json.loads(next(lines))
    except (OSError, ValueError, StopIteration, RecursionError):
        return False
    return isinstance(entry, dict) and set(entry) >= REQUIRED_FIELDS


def read_external(path: Path, options: ExternalOptions) -> tuple[list[Prediction], FieldNames]:
    """The samples of an external file, and which of its fields were read as what.

    Raises:
        DataError: the file is missing, empty or broken, a sample stands in it twice, or it holds samples that are not annotated; with
            file and line.
        ConfigError: its fields cannot be told.
    """
    entries = _entries(path)
    apart = options.annotations is not None
    names = find_fields(_all_fields(entries), options.fields, source=str(path), optional=("truth",) if apart else ())
    if apart:
        entries, names = _join(entries, names, options=options, path=path)
    samples = [_Reader(names, options).read(entry, number) for number, entry in enumerate(entries, start=1)]
    _refuse_twins(samples, entries, names=names)
    return _with_candidates(samples, options, source=str(path)), names


def _entries(path: Path) -> list[Entry]:
    if not path.is_file():
        found = "a folder, expected a file of predictions" if path.is_dir() else "no such file"
        raise DataError(f"{path}: {found}. Predict first, or correct the path.")
    if path.suffix == ".jsonl":
        entries = read_entries(path)
    else:
        content = read_json(path)
        lists = [value for value in content.values() if isinstance(value, list)] if isinstance(content, dict) else []
        entries = as_entries(lists[0] if len(lists) == 1 else content, str(path))
    entries = [entry for entry in entries if entry.values.get("active") is not False]
    if not entries:
        raise DataError(f"{path}: no samples. Nothing can be scored; predict first, or correct the path.")
    return entries


def _all_fields(entries: Iterable[Entry]) -> list[str]:
    return list(dict.fromkeys(name for entry in entries for name in entry.values))


def _join(entries: Sequence[Entry], names: FieldNames, *, options: ExternalOptions, path: Path) -> tuple[list[Entry], FieldNames]:
    """The annotated entries with the predictions laid into them by sample id; those without one get None."""
    assert options.annotations is not None
    truths = _entries(options.annotations)
    theirs = find_fields(_all_fields(truths), {}, source=str(options.annotations), optional=("prediction",))
    for which, found in ((path, names), (options.annotations, theirs)):
        if "sample_id" not in found.names:
            raise ConfigError(
                f"{which}: no field with the sample id, by which predictions and annotations are matched. Say it: --map sample_id=FIELD"
            )
    said = _by_id(entries, names.names["sample_id"])
    asked = _by_id(truths, theirs.names["sample_id"])
    strange = [key for key in said if key not in asked]
    if strange:
        raise DataError(
            f"{path}: {len(strange)} samples are not annotated in {options.annotations} ({some_ids(strange)}). The files do not belong "
            "together; give those of one test set."
        )
    value = names.names["prediction"]
    joined = []
    for key, truth in asked.items():
        given = said.get(key)
        values = {name: item for name, item in truth.values.items() if name != _PREDICTED}
        values[_PREDICTED] = given.values.get(value) if given else None
        joined.append(Entry(values, given.source if given else truth.source))
    return joined, FieldNames({**theirs.names, "prediction": _PREDICTED}, theirs.references)


_PREDICTED = "\u2190prediction"
"""Field of a joined entry; no file has one of this name."""


def _by_id(entries: Iterable[Entry], name: str) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for entry in entries:
        key = entry.identifier(name)
        first = found.setdefault(key, entry)
        if first is not entry:
            raise DataError(f"{entry.source}: sample '{key}' stands already at {first.source}; it would count twice. Keep one of the two.")
    return found


def _refuse_twins(samples: Sequence[Prediction], entries: Sequence[Entry], *, names: FieldNames) -> None:
    first: dict[str, str] = {}
    for sample, entry in zip(samples, entries, strict=True):
        at = first.setdefault(sample.sample_id, entry.source)
        if at != entry.source:
            raise DataError(
                f"{entry.source}: sample '{sample.sample_id}' (field '{names.names.get('sample_id')}') stands already at {at}; it would "
                "count twice. Keep one of the two; or, where this field does not name samples, number them by line: --map sample_id=-"
            )


class _Reader:
    """One entry -> one prediction."""

    def __init__(self, names: FieldNames, options: ExternalOptions) -> None:
        self._names, self._task, self._sensor = names, options.task, options.sensor

    def read(self, entry: Entry, number: int) -> Prediction:
        name = self._names.names.get("sample_id")
        images = self._images(entry)
        meta = entry.extras(*self._names.known())
        meta.update(self._meta(entry))
        masks = ((), ()) if self._task not in MASK_TASKS else (self._masks(entry, "prediction_masks"), self._masks(entry, "truth_masks"))
        return Prediction(
            sample_id=entry.identifier(name) if name else f"{number:06d}",
            task=self._task,
            image_ids=images,
            sensor=self._sensor,
            prompt=str(self._value(entry, "prompt") or ""),
            prediction=self._prediction(entry),
            ground_truth=self._truth(entry),
            meta=meta,
            prediction_masks=masks[0],
            ground_truth_masks=masks[1],
        )

    def _value(self, entry: Entry, ours: str) -> Any:
        name = self._names.names.get(ours)
        if name is None:
            return None
        if ours in ("prediction", "truth") and name not in entry.values:
            raise AnnotationError(
                f"{entry.source}: no field '{name}', which other entries have as {ours}; found {', '.join(map(str, entry.values))}. A "
                "sample that was not predicted is written with null."
            )
        return entry.values.get(name)

    def _prediction(self, entry: Entry) -> str | None:
        if "prediction" not in self._names.names:
            return None if self._value(entry, "prediction_masks") is None else ""
        value = self._value(entry, "prediction")
        return None if value is None else self._text(value, entry, ours="prediction")

    def _truth(self, entry: Entry) -> str:
        if "truth" in self._names.names:
            value = self._value(entry, "truth")
            if isinstance(value, list) and self._task in REFERENCE_TASKS and value:
                value = value[0]
            return "" if value is None and self._task in MASK_TASKS else self._text(value, entry, ours="truth")
        return self._references(entry)[0] if self._names.references else ""

    def _text(self, value: Any, entry: Entry, *, ours: str) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, int | float):
            return str(value)
        if isinstance(value, list | dict) and self._task in BOX_TASKS:
            return json.dumps(value)
        if isinstance(value, list) and self._task in SET_TASKS and value and all(isinstance(item, str | int) for item in value):
            return "; ".join(map(str, value))
        raise AnnotationError(
            f"{entry.source}: the {ours} '{self._names.names.get(ours)}' must be a text or a number, found {shorten(value)}. "
            "Correct the line."
        )

    def _references(self, entry: Entry) -> list[str]:
        values = [entry.values.get(name) for name in self._names.references]
        flat = [text for value in values for text in (value if isinstance(value, list) else [value]) if text is not None]
        if not flat or not all(isinstance(text, str) for text in flat):
            raise AnnotationError(
                f"{entry.source}: expected reference texts in {', '.join(self._names.references)}, found {shorten(values)}. "
                "Correct the line."
            )
        return flat

    def _images(self, entry: Entry) -> tuple[str, ...]:
        value = self._value(entry, "image")
        values = value if isinstance(value, list) else [value]
        return tuple(str(item) for item in values if isinstance(item, str | int) and item != "")

    def _meta(self, entry: Entry) -> dict[str, Any]:
        meta: dict[str, Any] = {}
        if (kind := self._value(entry, "type")) is not None:
            meta["type"] = str(kind)
        if (candidates := self._candidates(entry)) is not None:
            meta["candidates"] = candidates
        if self._task == "mcq" and isinstance(listed := self._value(entry, "truth"), list):
            meta["answers"] = [str(item) for item in listed]
        if self._task in REFERENCE_TASKS:
            truth = entry.values.get(self._names.names.get("truth", ""))
            meta["references"] = (
                self._references(entry) if self._names.references else truth if isinstance(truth, list) else [self._truth(entry)]
            )
        height, width = (self._value(entry, name) for name in ("height", "width"))
        if isinstance(height, int) and isinstance(width, int):
            meta["image_size"] = [height, width]
        elif isinstance(size := self._value(entry, "size"), list):
            meta["image_size"] = size
        return meta

    def _candidates(self, entry: Entry) -> Any:
        """The options or classes as a list of texts: of a list, of {"A": text, ...}, of lines, or of fields named A, B, ..."""
        value = self._value(entry, "candidates")
        if value is None and self._task == "mcq" and {"A", "B"} <= set(entry.values):
            letters = takewhile(lambda name: entry.values.get(name) not in (None, ""), string.ascii_uppercase)
            value = {name: entry.values[name] for name in letters}
        if isinstance(value, Mapping):
            value = [f"{name}. {text}" for name, text in value.items()]
        if isinstance(value, str):
            value = [line.strip() for line in value.splitlines() if line.strip()]
        if isinstance(value, list):
            return [f"{item:g}" if isinstance(item, float) else str(item) if type(item) is int else item for item in value]
        return value

    def _masks(self, entry: Entry, ours: str) -> tuple[Mapping[str, Any], ...]:
        value = self._value(entry, ours)
        if not value:
            return ()
        others = [self._value(entry, name) for name in ("truth_masks", "prediction_masks")]
        size = self._meta(entry).get("image_size") or stated_size(others)
        return read_masks(value, size=size, source=f"{entry.source}, {self._names.names[ours]}")


def _with_candidates(samples: list[Prediction], options: ExternalOptions, *, source: str) -> list[Prediction]:
    """The samples with the options or classes their task is read by, where the file does not give them."""
    if options.task not in (*CLASS_TASKS, "mcq") or all("candidates" in sample.meta for sample in samples):
        return samples
    labels = list(options.labels) or _annotated_labels(samples, options.task, source=source)
    return [
        sample if "candidates" in sample.meta else Prediction(**{**sample.__dict__, "meta": {**sample.meta, "candidates": labels}})
        for sample in samples
    ]


_LETTERED = re.compile(r"^[(\[]?([A-Za-z])[)\].:]\s+\S.*$", re.DOTALL)
"""An annotated answer "B. forest" without options: what is known of the options are the letters."""


def _annotated_labels(samples: Sequence[Prediction], task: str, *, source: str) -> list[str]:
    truths = list(dict.fromkeys(sample.ground_truth.strip() for sample in samples))
    texts = [text for sample in samples for text in sample.meta.get("answers", [sample.ground_truth])]
    letters = [letter.upper() for text in texts for letter in re.findall(r"\b[A-Za-z]\b", _LETTERED.sub(r"\1", text.strip(), count=1))]
    if task == "classification":
        forms = {classification.normalise_label(truth): truth for truth in truths}
        return sorted(forms.values())
    if task == "multilabel" and all(is_letters(truth) for truth in truths):
        return list(string.ascii_uppercase)
    if task == "mcq" and letters and all(is_letters(_LETTERED.sub(r"\1", text.strip(), count=1)) for text in texts):
        return list(string.ascii_uppercase[: string.ascii_uppercase.index(max(letters)) + 1])
    raise ConfigError(
        f"{source}: the file does not list the {'options' if task == 'mcq' else 'classes'}, and they cannot be told from the annotated "
        "answers. Give them: --labels FILE or --labels 'a;b;c', or --map candidates=FIELD."
    )
