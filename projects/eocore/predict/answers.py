"""Answers about image files, written as text, masks and pictures."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from PIL import Image

from eocore.errors import DataError
from eocore.evaluate.reporting.plots import PREDICTION_COLOUR, draw_overlay
from eocore.files import write_file, writing
from eocore.log import get_logger
from eocore.predict.mask_files import write_mask_png, write_mask_tif, write_png
from eocore.sensors.display import display_image
from eocore.sensors.orientation import stored_transform
from eocore.sensors.scene import Georeference, Scene

ANSWER_TEXT, ANSWER_JSON, OVERLAY = "answer.txt", "answer.json", "overlay.png"
WRITTEN = (ANSWER_TEXT, ANSWER_JSON, OVERLAY, "overlay_*.png", "mask.png", "mask.tif", "mask_*.png", "mask_*.tif")
WRITING = ".writing"
"""Folder in the output folder that holds a prediction until all of it is written."""
BACKGROUNDS = ("rgb", "multispectral", "sar")
"""Which image the masks are shown on, first choice first."""


@dataclass(frozen=True)
class Prediction:
    """An answer on the grid of one of its images.

    Attributes:
        text: the answer.
        masks: (K, H, W) bool, one per [SEG], on the grid of `scenes[grid]`.
        grid: the modality the masks belong to.
        scenes: what was shown, by role.
        scores: class -> score, of a model that scores classes; higher = more likely.
        drawn_on: name of the image that each mask was drawn on; all lie on the pixels of `scenes[grid]`. Empty = on that image.
        seconds: when images that are frames of a video are shown [s].
    """

    text: str
    masks: np.ndarray
    grid: str
    scenes: Mapping[str, Scene]
    scores: Mapping[str, float] = field(default_factory=dict)
    drawn_on: Sequence[str] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)


def write_prediction(prediction: Prediction, out: Path, *, overwrite: bool = False) -> list[Path]:
    """Writes answer.txt and answer.json; where there are masks, each as PNG (and GeoTIFF, where its image is georeferenced), their union
    (`mask.png`, `mask.tif`), and overlay.png. Returns the files.

    Args:
        prediction: what to write.
        out: folder, made where absent.
        overwrite: replace the files of an earlier prediction.

    Raises:
        DataError: the folder holds an earlier prediction, whose masks could be taken for these.
        OutputError: the disk is full, or the folder may not be written to; an earlier prediction stands.
    """
    earlier = find_earlier(out, overwrite=overwrite)
    aside = out / WRITING
    with writing(out, "the prediction"):
        try:
            shutil.rmtree(aside, ignore_errors=True)  # of a killed command
            aside.mkdir(parents=True)
            made = _write_files(prediction, aside)
            for path in earlier:
                path.unlink()
            return [path.rename(out / path.name) for path in made]
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _write_files(prediction: Prediction, out: Path) -> list[Path]:
    files = [out / ANSWER_TEXT, out / ANSWER_JSON]
    write_file(files[0], prediction.text + "\n")
    masks = {f"mask_{number:02d}": mask for number, mask in enumerate(prediction.masks, start=1)}
    if masks and prediction.scenes:
        files += write_masks({**masks, "mask": np.any(prediction.masks, axis=0)}, prediction.scenes[prediction.grid], out=out)
        files += _write_overlays(prediction, out)
    write_file(files[1], json.dumps(_describe(prediction, masks, files=files), indent=1) + "\n")
    return files


def find_earlier(out: Path, *, overwrite: bool) -> list[Path]:
    """The files of an earlier prediction in `out`.

    Raises:
        DataError: there are some, and `overwrite` is not set.
    """
    earlier = sorted(path for pattern in WRITTEN for path in out.glob(pattern))
    if earlier and not overwrite:
        raise DataError(f"{out} holds an earlier prediction ({earlier[0].name}, ...). Name another folder, or allow it with --overwrite.")
    return earlier


def write_masks(masks: Mapping[str, np.ndarray], scene: Scene, *, out: Path) -> list[Path]:
    """Writes masks (H, W) bool as PNG, and as GeoTIFF where their image is georeferenced, on its pixels as they are stored.

    Args:
        masks: name without ending -> mask.
        scene: the image that they lie on.
        out: folder that exists.

    Returns:
        The files, of each mask the PNG first.
    """
    files = []
    is_placed = scene.georeference is not None and scene.georeference.is_exact
    if scene.georeference and not is_placed:
        get_logger().warning(
            "%s lies at tie points (GCPs) alone, up to %.1f px off any grid: masks are written as PNG, none as GeoTIFF. Warp it to a map "
            "grid (gdalwarp) for that.",
            scene.path,
            scene.georeference.misfit_px,
        )
    for name, mask in masks.items():
        files.append(out / f"{name}.png")
        stored = scene.turn.undo(mask)
        write_mask_png(files[-1], stored)
        if scene.georeference and is_placed:
            files.append(out / f"{name}.tif")
            write_mask_tif(files[-1], stored, georeference=_stored_georeference(scene, scene.georeference))
    return files


def _stored_georeference(scene: Scene, found: Georeference) -> Georeference:
    """Where the stored pixels lie, as the file says it."""
    if not scene.turn:
        return found
    a, b, c, d, e, f = stored_transform(Affine(*found.transform), scene.size, turn=scene.turn)[:6]
    return Georeference(found.crs, (a, b, c, d, e, f))


def _write_overlays(prediction: Prediction, out: Path) -> list[Path]:
    """A picture of all masks; of a series, one of each image that masks are drawn on."""
    if not any(scene.time for scene in prediction.scenes.values()):
        shown = next(name for name in BACKGROUNDS if name in prediction.scenes)
        return [_write_overlay(prediction, out / OVERLAY, shown=shown, masks=prediction.masks)]
    names = list(dict.fromkeys(prediction.drawn_on))
    masks = {name: prediction.masks[[other == name for other in prediction.drawn_on]] for name in names}
    files = [out / (OVERLAY if len(names) == 1 else f"overlay_{number:02d}.png") for number in range(1, len(names) + 1)]
    return [_write_overlay(prediction, file, shown=name, masks=masks[name]) for file, name in zip(files, names, strict=True)]


def _write_overlay(prediction: Prediction, path: Path, *, shown: str, masks: np.ndarray) -> Path:
    background, mask = prediction.scenes[shown], np.any(masks, axis=0)
    picture = Image.fromarray(display_image(background)).resize((mask.shape[1], mask.shape[0]), Image.Resampling.BILINEAR)
    drawn = draw_overlay(np.asarray(picture), mask, colour=PREDICTION_COLOUR)
    turn = prediction.scenes[prediction.grid].turn  # the overlay lies on the masks' files
    write_png(path, np.ascontiguousarray(np.moveaxis(turn.undo(np.moveaxis(drawn, -1, 0)), 0, -1)))
    return path


def _turned(scene: Scene) -> dict[str, str]:
    return {"turned": "north is up for the model; masks lie on the pixels of the file as they are stored"} if scene.turn else {}


def _describe(prediction: Prediction, masks: Mapping[str, np.ndarray], *, files: Sequence[Path]) -> dict[str, Any]:
    images = {
        name: {
            "path": scene.path,
            "sensor": scene.sensor,
            "bands": list(scene.bands),
            "size": list(scene.size),
            **({"time": scene.time} if scene.time else {}),
            **({"seconds": round(prediction.seconds[name], 3)} if name in prediction.seconds else {}),
            **_turned(scene),
        }
        for name, scene in prediction.scenes.items()
    }
    areas = {name: int(mask.sum()) for name, mask in masks.items()}
    return {
        "text": prediction.text,
        "images": images,
        "masks_on": prediction.grid,
        **({"drawn_on": list(prediction.drawn_on)} if any(scene.time for scene in prediction.scenes.values()) else {}),
        "mask_pixels": areas,
        **({"scores": dict(prediction.scores)} if prediction.scores else {}),
        "files": [file.name for file in files],
    }
