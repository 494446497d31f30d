"""Questions about image files: read, answer with a converted model, write text, masks and pictures."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from earthmind.generation import check_with_model, generation_settings
from earthmind.model.modeling_earthmind import EarthMindForConditionalGeneration
from earthmind.model.processing_earthmind import MODALITIES
from eocore.data.io.image_files import open_layers, resolve_path
from eocore.data.io.readers import read_scene
from eocore.data.records import ImageRef
from eocore.errors import BandError, ConfigError, DataError
from eocore.evaluate.reporting.plots import PREDICTION_COLOUR, draw_overlay
from eocore.export.mask_files import write_mask_png, write_mask_tif, write_png
from eocore.files import write_file, writing
from eocore.models import folders
from eocore.sensors.bands import get_sensor
from eocore.sensors.display import display_image
from eocore.sensors.place import check_same_place
from eocore.sensors.scene import Scene

OPTICAL = "optical"
INPUTS = (OPTICAL, *MODALITIES)
ANSWER_TEXT, ANSWER_JSON, OVERLAY = "answer.txt", "answer.json", "overlay.png"
WRITTEN = (ANSWER_TEXT, ANSWER_JSON, OVERLAY, "mask.png", "mask.tif", "mask_*.png", "mask_*.tif")
WRITING = ".writing"
"""Folder in the output folder that holds a prediction until all of it is written."""
BACKGROUNDS = ("rgb", "multispectral", "sar")
"""Which image the masks are shown on, first choice first."""

DISPLAY_SENSORS = {1: "grey_uint8", 3: "rgb_uint8"}
OPTICAL_SENSORS = {12: "sentinel2_l2a", 13: "sentinel2_l1c"}
"""Number of layers -> sensor, where nothing is said: only counts that one sensor alone has."""
SAR_SENSOR = "sentinel1_grd"


@dataclass(frozen=True)
class ImageFile:
    """An image to ask about.

    Attributes:
        paths: one file, or one a band.
        sensor: name in the sensor registry; None = told from the file.
        bands: names of the layers in order, where they deviate from the sensor's own.
    """

    paths: tuple[str, ...]
    sensor: str | None = None
    bands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prediction:
    """An answer on the grid of one of its images.

    Attributes:
        text: the answer.
        masks: (K, H, W) bool, one per [SEG], on the grid of `scenes[grid]`.
        grid: the modality the masks belong to.
        scenes: what was shown.
    """

    text: str
    masks: np.ndarray
    grid: str
    scenes: Mapping[str, Scene]


def load_model(folder: Path, *, device: str | None = None) -> Any:
    """The model of a converted folder, ready to answer; float32 on a CPU, as saved on a GPU.

    The folder's own Python files are not run: the model is of this repository's classes.

    Args:
        folder: written by tools/convert_to_hf.py.
        device: as torch names it; None = the GPU if there is one.

    Raises:
        CheckpointError: the folder is not a converted model, or damaged.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.float32 if device == "cpu" else "auto"
    return folders.load_model(EarthMindForConditionalGeneration, folder, dtype=dtype).to(device)


def read_images(files: Mapping[str, ImageFile]) -> dict[str, Scene]:
    """The scenes of one place, by modality.

    Args:
        files: input -> file; an input is a modality, or "optical", which becomes rgb or multispectral as its sensor tells.

    Raises:
        DataError: a file cannot be read, or the images show different places.
        BandError: a sensor cannot be told from a file, or does not fit it.
        ConfigError: two files are given for one modality.
    """
    scenes: dict[str, Scene] = {}
    for name, file in files.items():
        sensor = file.sensor or tell_sensor(name, file.paths)
        modality = name if name != OPTICAL else ("rgb" if get_sensor(sensor).unit == "uint8" else "multispectral")
        if modality in scenes:
            raise ConfigError(f"--{name} is a {modality} image, and another one is given. Give one image of each kind.")
        scenes[modality] = read_scene(ImageRef(modality, sensor, file.paths, bands=file.bands))
    check_same_place(list(scenes.values()))
    return scenes


def tell_sensor(name: str, paths: Sequence[str]) -> str:
    """The sensor of a file of which only number and type of its layers are known.

    Args:
        name: the input.
        paths: its files.

    Raises:
        BandError: it is not certain.
    """
    layers = [open_layers(resolve_path(path)) for path in paths]
    count, dtype = sum(len(file.names) for file in layers), layers[0].dtype
    for file in layers:
        file.close()
    if dtype.itemsize == 1:
        sensor = DISPLAY_SENSORS.get(count)
    elif name == "sar":
        sensor = SAR_SENSOR if count == 2 else None
    else:
        sensor = OPTICAL_SENSORS.get(count) if dtype.kind in "iu" else None
    if sensor is None:
        raise BandError(
            f"{paths[0]}: {count} layers of {dtype} do not tell the sensor, and without it bands would be mistaken for others. Name it: "
            f"--sensor {name}=NAME (see eocore/sensors/bands.py), with --bands {name}=B02,B03,... where the file holds only some."
        )
    return sensor


def predict(
    model: Any, scenes: Mapping[str, Scene], text: str, *, max_new_tokens: int = 256, generation: Mapping[str, Any] | None = None
) -> Prediction:
    """The model's answer.

    Args:
        model: from `load_model`.
        scenes: from `read_images`; none for a question about no image.
        text: the question.
        max_new_tokens: longest answer.
        generation: options of `earthmind.generation.generation_settings`.

    Raises:
        ConfigError: a generation option, here or in the model's generation config, is unknown or does not fit the others.
        DataError: the model cannot take these images or this text.
    """
    settings = generation_settings(generation or {})
    check_with_model(settings, model, max_new_tokens=max_new_tokens)
    try:
        answer = model.predict(dict(scenes), text, max_new_tokens=max_new_tokens, generation=settings)
    except ValueError as error:  # what the model's own code raises for samples it cannot take
        raise DataError(f"the model cannot answer this: {error}") from error
    grid = next(iter(model.processor.drawn_on(scenes)), "")
    return Prediction(answer.text, answer.masks, grid, scenes)


def write_prediction(prediction: Prediction, out: Path, *, overwrite: bool = False) -> list[Path]:
    """Writes answer.txt, answer.json, and, where there are masks, each as PNG (and GeoTIFF, where its image has a place), all of them in
    one (`mask.png`, `mask.tif`), and overlay.png; gives the files.

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
        files += _write_masks({**masks, "mask": np.any(prediction.masks, axis=0)}, prediction.scenes[prediction.grid], out)
        files.append(_write_overlay(prediction, out))
    write_file(files[1], json.dumps(_describe(prediction, masks, files), indent=1) + "\n")
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


def _write_masks(masks: Mapping[str, np.ndarray], scene: Scene, out: Path) -> list[Path]:
    files = []
    for name, mask in masks.items():
        files.append(out / f"{name}.png")
        write_mask_png(files[-1], mask)
        if scene.georeference:
            files.append(out / f"{name}.tif")
            write_mask_tif(files[-1], mask, scene.georeference)
    return files


def _write_overlay(prediction: Prediction, out: Path) -> Path:
    background = next(prediction.scenes[name] for name in BACKGROUNDS if name in prediction.scenes)
    mask: np.ndarray = np.any(prediction.masks, axis=0)
    picture = Image.fromarray(display_image(background)).resize((mask.shape[1], mask.shape[0]), Image.Resampling.BILINEAR)
    path = out / OVERLAY
    write_png(path, draw_overlay(np.asarray(picture), mask, colour=PREDICTION_COLOUR))
    return path


def _describe(prediction: Prediction, masks: Mapping[str, np.ndarray], files: Sequence[Path]) -> dict[str, Any]:
    images = {
        name: {"path": scene.path, "sensor": scene.sensor, "bands": list(scene.bands), "size": list(scene.size)}
        for name, scene in prediction.scenes.items()
    }
    areas = {name: int(mask.sum()) for name, mask in masks.items()}
    return {
        "text": prediction.text,
        "images": images,
        "masks_on": prediction.grid,
        "mask_pixels": areas,
        "files": [file.name for file in files],
    }
