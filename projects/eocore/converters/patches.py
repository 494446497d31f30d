"""BigEarthNet folders and So2Sat's HDF5 file -> test.jsonl with s2/, s1/ and rgb/, one GeoTIFF a patch and sensor."""

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from PIL import Image

from eocore.data.io.readers import read_scene
from eocore.data.records import ImageRef
from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.evaluate.benchmarks.multispectral import BIGEARTHNET_19, LCZ_17, SO2SAT_BANDS
from eocore.sensors.bands import SENTINEL2_QUANTIFICATION
from eocore.sensors.scene import Scene
from eocore.synthetic.test_sets.images import save_lines

TRUE_COLOUR_MOST = 0.3
"""Reflectance shown as full brightness in rgb/ [1]. Source: Sentinel-2 L2A algorithm document, true-colour image."""

SAME_NAME = (
    "Industrial or commercial units", "Pastures", "Complex cultivation patterns", "Agro-forestry areas", "Broad-leaved forest",
    "Coniferous forest", "Mixed forest", "Beaches, dunes, sands",
    "Land principally occupied by agriculture, with significant areas of natural vegetation",
)  # fmt: skip
MERGED = {
    "Urban fabric": ("Continuous urban fabric", "Discontinuous urban fabric"),
    "Arable land": ("Non-irrigated arable land", "Permanently irrigated land", "Rice fields"),
    "Permanent crops": ("Vineyards", "Fruit trees and berry plantations", "Olive groves", "Annual crops associated with permanent crops"),
    "Natural grassland and sparsely vegetated areas": ("Natural grassland", "Sparsely vegetated areas"),
    "Moors, heathland and sclerophyllous vegetation": ("Moors and heathland", "Sclerophyllous vegetation"),
    "Transitional woodland, shrub": ("Transitional woodland/shrub",),
    "Inland wetlands": ("Inland marshes", "Peatbogs"),
    "Coastal wetlands": ("Salt marshes", "Salines"),
    "Inland waters": ("Water courses", "Water bodies"),
    "Marine waters": ("Coastal lagoons", "Estuaries", "Sea and ocean"),
}
DROPPED = (
    "Road and rail networks and associated land", "Port areas", "Airports", "Mineral extraction sites", "Dump sites", "Construction sites",
    "Green urban areas", "Sport and leisure facilities", "Bare rock", "Burnt areas", "Intertidal flats",
)  # fmt: skip
"""43 CORINE labels of the released files -> 19 classes. Source: Sumbul et al. 2021, BigEarthNet-MM, arXiv 2105.07921, table 2."""

TO_19: Mapping[str, str] = {name: name for name in SAME_NAME} | {old: new for new, names in MERGED.items() for old in names}

SEN1_INTENSITY = {"VV": 5, "VH": 4}
"""Channels of `sen1`, intensity after the refined Lee filter. Source: So2Sat LCZ42 documentation (mediaTUM 1454690)."""


def labels_of_19(labels: list[str], source: str) -> list[str]:
    """The classes of the 19 among the labels of a patch, in the order of the 19; none where all its labels were dropped.

    Raises:
        AnnotationError: a label is none of the 43 (nor of the 19).
    """
    strange = [label for label in labels if label not in TO_19 and label not in DROPPED and label not in BIGEARTHNET_19]
    if strange:
        raise AnnotationError(f"{source}: label '{strange[0]}' is none of BigEarthNet's 43 nor of its 19. Correct the file.")
    found = {TO_19.get(label, label) for label in labels if label not in DROPPED}
    return [label for label in BIGEARTHNET_19 if label in found]


def read_split(path: Path) -> list[str]:
    """Names of the patches of a split file (csv or txt; the first column).

    Raises:
        DataError: the file is missing or empty.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such split file. Give the csv of the split (one patch a line).")
    with path.open(encoding="utf-8", newline="") as lines:
        names = [row[0].strip() for row in csv.reader(lines) if row and row[0].strip()]
    if not names:
        raise DataError(f"{path}: no patch. Give the csv of the split (one patch a line).")
    return names


def prepare_bigearthnet(
    s2: Path, split: Path, *, out: Path, s1: Path | None = None, on_patch: Callable[[], None] = lambda: None
) -> dict[str, int]:
    """Writes test.jsonl and the patches of a split; returns the number of patches written and of those without any of the 19 classes.

    Args:
        s2: folder of BigEarthNet-S2: <patch>/<patch>_B01.tif ... and <patch>_labels_metadata.json.
        split: csv of the patches' names.
        out: folder to write to.
        s1: folder of BigEarthNet-S1, whose patches the S2 files name; None = without.
        on_patch: called after each patch.

    Raises:
        DataError: a patch or band is missing or broken.
        AnnotationError: a label is unknown.
    """
    lines = []
    names = read_split(split)
    for name in names:
        metadata = _metadata(s2 / name / f"{name}_labels_metadata.json")
        labels = labels_of_19(metadata["labels"], f"{s2 / name}")
        on_patch()
        if not labels:
            continue
        optical = read_scene(ImageRef("multispectral", "sentinel2_l2a", tuple(map(str, _band_files(s2 / name)))))
        digital = np.nan_to_num(optical.pixels * SENTINEL2_QUANTIFICATION).round().clip(0, np.iinfo(np.uint16).max).astype(np.uint16)
        _write(out / "s2" / f"{name}.tif", digital, scene=optical)
        _write_rgb(out / "rgb" / f"{name}.png", optical)
        if s1 is not None:
            partner = metadata["corresponding_s1_patch"]
            sar = read_scene(ImageRef("sar", "sentinel1_grd", tuple(str(s1 / partner / f"{partner}_{band}.tif") for band in ("VV", "VH"))))
            _write(out / "s1" / f"{name}.tif", sar.pixels, scene=sar)
        lines.append({"image": name, "labels": labels})
    save_lines(out / "test.jsonl", lines)
    return {"patches": len(lines), "without a class": len(names) - len(lines)}


def _metadata(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise DataError(f"{path}: no such file. Every patch has one; name the folder BigEarthNet-S2 was unpacked to.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise AnnotationError(f"{path}: not JSON ({error}). Unpack the patch again.") from error
    if not isinstance(content, Mapping) or not isinstance(content.get("labels"), list):
        raise AnnotationError(f"{path}: expected an object with a list 'labels'. Unpack the patch again.")
    return content


def _band_files(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*_B*.tif"))
    if len(files) != 12:
        raise DataError(f"{folder}: {len(files)} bands, expected the 12 of level 2A (B01 .. B12 without B10). Unpack the patch again.")
    return files


def _write(path: Path, layers: np.ndarray, *, scene: Scene) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    georeference = {}
    if scene.georeference is not None:
        georeference = {"crs": scene.georeference.crs, "transform": Affine(*scene.georeference.transform)}
    count, height, width = layers.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": layers.dtype.name, "compress": "deflate"}
    with rasterio.open(path, "w", **profile, **georeference) as file:
        file.write(layers)
        file.descriptions = scene.bands


def _write_rgb(path: Path, scene: Scene) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    chosen = scene.pixels[[scene.bands.index(band) for band in ("B04", "B03", "B02")]]
    picture = np.rint(255 * (np.nan_to_num(chosen) / TRUE_COLOUR_MOST).clip(0, 1)).astype(np.uint8)
    Image.fromarray(np.moveaxis(picture, 0, -1)).save(path)


def prepare_so2sat(source: Path, out: Path, *, limit: int | None = None, on_patch: Callable[[], None] = lambda: None) -> dict[str, int]:
    """Writes test.jsonl and the patches of an HDF5 file of So2Sat LCZ42; returns their number.

    Args:
        source: testing.h5 or validation.h5, with `sen1` (N, 32, 32, 8), `sen2` (N, 32, 32, 10) and `label` (N, 17).
        out: folder to write to.
        limit: only the first so many; None = all.
        on_patch: called after each patch.

    Raises:
        ConfigError: h5py is not installed.
        DataError: the file is missing, or has not these arrays.
    """
    try:
        import h5py
    except ImportError as error:
        raise ConfigError(
            "So2Sat's files need h5py, which is not installed. Install the extra: pip install 'eocore-earthmind[eval]'."
        ) from error
    if not source.is_file():
        raise DataError(f"{source}: no such file. Fetch testing.h5 of So2Sat LCZ42.")
    lines = []
    try:
        with h5py.File(source) as file:
            _check_shapes(source, {name: file[name].shape if name in file else () for name in ("sen1", "sen2", "label")})
            for number in range(min(len(file["label"]), limit or len(file["label"]))):
                name = f"{source.stem}_{number:06d}"
                _write_zone(out, name, optical=np.moveaxis(file["sen2"][number], -1, 0), radar=np.moveaxis(file["sen1"][number], -1, 0))
                lines.append({"image": name, "labels": [LCZ_17[int(file["label"][number].argmax())]]})
                on_patch()
    except OSError as error:
        raise DataError(f"{source}: cannot be read as HDF5 ({error}). Fetch it again.") from error
    save_lines(out / "test.jsonl", lines)
    return {"patches": len(lines)}


def _check_shapes(source: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    last = {"sen1": 8, "sen2": len(SO2SAT_BANDS), "label": len(LCZ_17)}
    counts = {shape[0] for shape in shapes.values() if shape}
    if len(counts) != 1 or any(not shape or shape[-1] != last[name] for name, shape in shapes.items()):
        raise DataError(f"{source}: arrays {dict(shapes)}; expected sen1 (N, H, W, 8), sen2 (N, H, W, 10), label (N, 17). Fetch it again.")


def _write_zone(out: Path, name: str, *, optical: np.ndarray, radar: np.ndarray) -> None:
    scene = Scene(optical.astype(np.float32), tuple(SO2SAT_BANDS), "sentinel2_l1c_reflectance", "reflectance")
    _write(out / "s2" / f"{name}.tif", scene.pixels, scene=scene)
    _write_rgb(out / "rgb" / f"{name}.png", scene)
    power = radar[list(SEN1_INTENSITY.values())].astype(np.float32)
    _write(out / "s1" / f"{name}.tif", power, scene=Scene(power, tuple(SEN1_INTENSITY), "sentinel1_grd_linear", "sigma0_db"))
