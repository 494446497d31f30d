"""Masks as tables of one's own give them, in the form of the referring format: run lengths, rings or boxes in pixels of the image."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eocore.data.formats.entries import shorten
from eocore.data.io.masks import decode_scene_mask, encode_rle
from eocore.data.io.readers import SceneHeader, read_class_map
from eocore.data.records import MaskRef
from eocore.errors import AnnotationError, ConfigError
from eocore.onboarding.choices import BoxForm

NO_TARGET = ("null", "none")
"""Texts of a cell that say that a phrase has no target."""
NUMBERS_OF_A_BOX, NUMBERS_OF_A_RING = 4, 6
WELL_KNOWN_TEXT = ("POLYGON", "MULTIPOLYGON")


@dataclass(frozen=True)
class MaskReader:
    """How cells are read.

    Attributes:
        root: folder that paths of mask files are relative to and must not leave.
        boxes: what four numbers mean; None = the user has not said.
    """

    root: Path
    boxes: BoxForm | None = None

    def read(self, cell: Any, header: SceneHeader, *, source: str, value: int | None = None) -> dict[str, Any] | list[Any] | None:
        """What the referring format holds under `mask`; None for a phrase without a target.

        Args:
            cell: a path, rings, a box, run lengths, the JSON text of one of these, or nothing.
            header: of the image that the mask lies on.
            source: "file:line".
            value: number of the object in a class map; None = a mask file holds one object.

        Raises:
            AnnotationError: another form, or a shape outside the image.
            DataError: a mask file is missing, broken or of another size.
            ConfigError: the cell holds a box, and the user has not said what its numbers mean.
        """
        given = _parsed(cell, source)
        if given is None:
            return None
        if isinstance(given, str):
            return self._from_file(given, header, source=source, value=value)
        data = self._shape(given, source)
        decode_scene_mask(_mask_ref(data, source), header, source=source)
        return data

    def _shape(self, given: Any, source: str) -> Any:
        if isinstance(given, Mapping) and "counts" in given:
            return {"size": given.get("size"), "counts": given["counts"]}
        if isinstance(given, Mapping) and "box" in given:
            return {"box": given["box"]}
        if isinstance(given, list) and given and all(isinstance(number, int | float) for number in given):
            if len(given) == NUMBERS_OF_A_BOX:
                return {"box": self._corners(given, source)}
            if len(given) >= NUMBERS_OF_A_RING:
                return [given]
        if isinstance(given, list) and given and all(isinstance(ring, list) for ring in given):
            return given
        raise AnnotationError(
            f"{source}: a mask {shorten(given)}; expected the path of a file, rings [[x0, y0, x1, y1, ...]], a box of four numbers or run "
            "lengths {size, counts}, in pixels. Correct it."
        )

    def _corners(self, box: list[Any], source: str) -> list[Any]:
        if self.boxes is None:
            raise ConfigError(
                f"{source}: the box {box} may be [x0, y0, x1, y1] or [x, y, width, height]. Say which with --boxes xyxy or --boxes xywh."
            )
        left, top, *others = box
        return box if self.boxes == "xyxy" else [left, top, left + others[0], top + others[1]]

    def _from_file(self, path: str, header: SceneHeader, *, source: str, value: int | None) -> dict[str, Any]:
        values = np.unique(read_class_map(path, root=self.root))
        objects = [number for number in values.tolist() if number > 0]
        if value is None and len(objects) > 1:
            raise AnnotationError(
                f"{source}: mask {path} holds the numbers {shorten(objects)}: is it one object, or classes of which the phrase means one? "
                "Say which number is meant in a column mask_value, or save the object alone, as 0 and one other number."
            )
        if not objects:
            raise AnnotationError(f"{source}: mask {path} is empty. Correct it, or write null where the phrase has no target.")
        ref = MaskRef("file", {"path": str(self.root / path), "value": value}, source)
        return encode_rle(header.turn.undo(decode_scene_mask(ref, header, source=source)))


def _mask_ref(data: Any, source: str) -> MaskRef:
    """The mask of what the referring format holds."""
    if not isinstance(data, Mapping):
        return MaskRef("polygon", data, source)
    return MaskRef("box", data["box"], source) if "box" in data else MaskRef("rle", data, source)


def _parsed(cell: Any, source: str) -> Any:
    """The cell, of a JSON text what it says; a path stays a text."""
    if not isinstance(cell, str):
        return cell
    text = cell.strip()
    if text.lower() in NO_TARGET:
        return None
    if text.upper().startswith(WELL_KNOWN_TEXT):
        raise AnnotationError(
            f"{source}: a mask as WKT ({shorten(text)}) does not say whether it counts pixels or map units. Give rings in pixels as JSON, "
            "[[x0, y0, x1, y1, ...]], or a mask file."
        )
    if not text.startswith(("[", "{")):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise AnnotationError(f"{source}: a mask that is no JSON ({error}): {shorten(text)}. Correct it.") from error
