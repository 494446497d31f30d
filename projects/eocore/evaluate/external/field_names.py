"""Which field of an external predictions file is what."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from eocore.errors import ConfigError

ALIASES: dict[str, tuple[str, ...]] = {
    "sample_id": ("sample_id", "question_id", "qid", "id"),
    "prediction": ("prediction", "pred", "response", "output", "model_answer", "answer"),
    "truth": ("ground_truth", "annotation", "gt", "label", "truth", "target", "gt_answer", "answer"),
    "references": ("references", "captions"),
    "type": ("type", "vqa_type", "task_type", "question_type", "category"),
    "image": ("image_ids", "image_id", "image", "img_id", "file_name", "filename"),
    "prompt": ("prompt", "question", "text"),
    "candidates": ("candidates", "candidate", "options", "choices"),
    "prediction_masks": ("prediction_masks", "pred_masks", "prediction_mask", "pred_mask"),
    "truth_masks": ("ground_truth_masks", "gt_masks", "ground_truth_mask", "gt_mask", "segmentation"),
    "size": ("size", "image_size"),
    "height": ("height",),
    "width": ("width",),
}
"""Our name -> names it goes by in upstream files, the first one found counts. `answer` is the prediction where no other field is, as in
the files of EarthDial, GeoChat and VRSBench; beside a `pred` it is the truth, as in the multispectral files of EarthMind."""

_NUMBERED_REFERENCE = re.compile(r"(?:caption|reference|ref)_?(\d+)")
"""caption0 ... caption4 of EarthDial."""

NONE = "-"
"""Written for a field that is not to be read at all."""


@dataclass(frozen=True)
class FieldNames:
    """Our name -> the file's; `references` may be several."""

    names: Mapping[str, str]
    references: tuple[str, ...] = ()

    def known(self) -> tuple[str, ...]:
        """All fields of the file that are read."""
        return (*self.names.values(), *self.references)

    def describe(self) -> str:
        """ "prediction=answer truth=annotation", for the result and for `--map`."""
        pairs = [f"{ours}={theirs}" for ours, theirs in self.names.items()]
        return " ".join([*pairs, *([f"references={','.join(self.references)}"] if self.references else [])])


def parse_map(words: Sequence[str]) -> dict[str, str]:
    """ "prediction=answer" words as a mapping.

    Raises:
        ConfigError: a word is no pair, or names a field that is not one of ours.
    """
    given = {}
    for word in words:
        ours, mark, theirs = word.partition("=")
        if not mark or ours not in ALIASES or not theirs:
            raise ConfigError(
                f"--map {word!r}: expected NAME=FIELD, NAME one of {', '.join(ALIASES)}; FIELD '{NONE}' means that it is not to be read."
            )
        given[ours] = theirs
    return given


def find_fields(fields: Iterable[str], given: Mapping[str, str], *, source: str, optional: Sequence[str] = ()) -> FieldNames:
    """Which of the file's fields is which of ours.

    Args:
        fields: all that occur in the file.
        given: what the user says; it wins over the aliases.
        source: the file, for messages.
        optional: of "prediction" and "truth", those the file may lack.

    Raises:
        ConfigError: a given field is not in the file, or prediction or truth cannot be told.
    """
    there = list(dict.fromkeys(fields))
    absent = [field for value in given.values() for field in value.split(",") if field not in (*there, NONE)]
    if absent:
        raise ConfigError(f"{source}: --map names the field '{absent[0]}', which is not there; the file has {', '.join(there)}.")
    taken = {field for value in given.values() for field in value.split(",")}
    names = {ours: theirs for ours, theirs in given.items() if theirs != NONE and ours != "references"}
    for ours, aliases in ALIASES.items():
        if ours in given or ours == "references":
            continue
        found = next((alias for alias in aliases if alias in there and alias not in taken), None)
        if ours == "prediction" and found == "answer" and "prediction" in optional:
            continue
        if found:
            names[ours] = found
            taken.add(found)
    references = _references(there, taken, given=given)
    _check(names, references, there=there, source=source, optional=optional)
    return FieldNames(names, references)


def _references(there: Sequence[str], taken: set[str], *, given: Mapping[str, str]) -> tuple[str, ...]:
    if "references" in given:
        return () if given["references"] == NONE else tuple(given["references"].split(","))
    listed = [alias for alias in ALIASES["references"] if alias in there and alias not in taken]
    numbered = {field: found for field in there if field not in taken and (found := _NUMBERED_REFERENCE.fullmatch(field))}
    return tuple(listed[:1]) or tuple(sorted(numbered, key=lambda field: int(numbered[field][1])))


def _check(names: Mapping[str, str], references: Sequence[str], *, there: Sequence[str], source: str, optional: Sequence[str]) -> None:
    has_prediction = "prediction" in names or "prediction_masks" in names or "prediction" in optional
    has_truth = "truth" in names or "truth_masks" in names or bool(references) or "truth" in optional
    lost = [word for word, there_is in (("prediction", has_prediction), ("truth", has_truth)) if not there_is]
    if lost:
        raise ConfigError(
            f"{source}: which field is the {' and the '.join(lost)} cannot be told; the file has {', '.join(there)}. Say it: --map "
            + " ".join(f"{word}=FIELD" for word in lost)
        )
