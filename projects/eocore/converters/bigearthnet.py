"""BigEarthNet folders of version 1 or 2 -> test.jsonl with s2/, s1/ and rgb/, one GeoTIFF a patch and sensor."""

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eocore.converters.patches import write_layers, write_rgb
from eocore.data.io.readers import read_scene
from eocore.data.records import ImageRef
from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.evaluate.benchmarks.multispectral import BIGEARTHNET_19
from eocore.files import require_writable, write_file
from eocore.log import get_logger
from eocore.sensors.bands import SENTINEL2_QUANTIFICATION
from eocore.synthetic.test_sets.images import save_lines

METADATA = "_labels_metadata.json"
WITHOUT_PARTNER = "without_sentinel1.txt"
NUM_NAMED = 5
"""Patches without a partner that the log names; the file holds all."""

_S2_NAME = re.compile(r"S2[A-D]_MSIL2A_\w+")
_S1_NAME = re.compile(r"S1[A-D]_[A-Z]{2}_GRD\w+")

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


@dataclass(frozen=True)
class Patch:
    """A patch as the split names it.

    Attributes:
        name: of its Sentinel-2 folder.
        partner: name of its Sentinel-1 folder; "" = the split is silent.
        labels: its classes; None = they stand in the JSON file of the patch (version 1).
    """

    name: str
    partner: str = ""
    labels: tuple[str, ...] | None = None


def read_split(path: Path, part: str = "test") -> list[Patch]:
    """The patches of a split.

    Args:
        path: version 1: csv or txt, one patch a line, in BigEarthNet-MM with its Sentinel-1 partner beside it. Version 2:
            metadata.parquet, which holds all parts.
        part: of metadata.parquet: train, validation or test.

    Raises:
        DataError: the file is missing, broken or empty.
        ConfigError: a parquet file, and pyarrow is not installed.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such split file. Give the csv of the split (one patch a line), or metadata.parquet of version 2.")
    patches = _from_parquet(path, part) if path.suffix == ".parquet" else _from_csv(path)
    if not patches:
        raise DataError(f"{path}: no patch. Give the csv of the split (one patch a line), or metadata.parquet of version 2.")
    return patches


def _from_csv(path: Path) -> list[Patch]:
    patches = []
    with path.open(encoding="utf-8-sig", newline="") as lines:
        for row in csv.reader(lines):
            cells = [cell.strip() for cell in row]
            partners = [cell for cell in cells if _S1_NAME.fullmatch(cell)]
            names = [cell for cell in cells if _S2_NAME.fullmatch(cell)] or [cell for cell in cells[:1] if cell and cell != "patch_id"]
            if names:
                patches.append(Patch(names[0], partners[0] if partners else ""))
    return patches


def _from_parquet(path: Path, part: str) -> list[Patch]:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError(
            f"{path}: parquet files need pyarrow, which is not installed. Install the extra: pip install 'eocore-earthmind[eval]'."
        ) from error
    try:
        rows = pyarrow.parquet.read_table(path, columns=["patch_id", "labels", "split", "s1_name"]).to_pylist()
    except (OSError, ValueError, KeyError) as error:  # pyarrow's own errors are of these kinds
        raise DataError(
            f"{path}: cannot be read as metadata.parquet of BigEarthNet version 2 ({error}); expected the columns patch_id, labels, "
            "split and s1_name. Fetch it again."
        ) from error
    return [Patch(row["patch_id"], row["s1_name"] or "", tuple(row["labels"])) for row in rows if row["split"] == part]


def prepare_bigearthnet(
    s2: Path, split: Path, *, out: Path, s1: Path | None = None, part: str = "test", on_patch: Callable[[], None] = lambda: None
) -> dict[str, int]:
    """Writes test.jsonl and the patches of a split; returns how many were written and how many left out, by reason.

    Left out are patches without any of the 19 classes and, where Sentinel-1 is asked for, those whose partner is named nowhere or is not
    there; the latter are listed in without_sentinel1.txt.

    Args:
        s2: folder of BigEarthNet-S2: <patch>/<patch>_B01.tif ... and <patch>_labels_metadata.json (version 1), or
            <tile>/<patch>/<patch>_B01.tif ... (version 2).
        split: see `read_split`.
        out: folder to write to.
        s1: folder of BigEarthNet-S1, laid out likewise; None = without.
        part: see `read_split`.
        on_patch: called after each patch.

    Raises:
        DataError: a patch or band is missing or broken, or no patch has a partner.
        AnnotationError: a label is unknown.
        ConfigError: as `read_split`.
        OutputError: `out` cannot be written to; this is found first.
    """
    require_writable(out, "the data set")
    lines, lonely, unlabelled = [], [], 0
    patches = read_split(split, part)
    partners = _Partners(s1) if s1 is not None else None
    for patch in patches:
        on_patch()
        folder = find_folder(s2, patch.name, tile=patch.name.rsplit("_", 2)[0])
        labels = labels_of_19(list(patch.labels) if patch.labels is not None else _labels(folder), str(folder))
        radar = partners.folder(patch) if partners and labels else None
        if not labels:
            unlabelled += 1
        elif partners and radar is None:
            lonely.append(patch.name)
        else:
            _write_patch(out, patch.name, optical=folder, radar=radar)
            lines.append({"image": patch.name, "labels": labels})
    _tell_lonely(out, lonely, num_patches=len(patches) - unlabelled)
    save_lines(out / "test.jsonl", lines)
    counts = {"patches": len(lines), "without a class": unlabelled}
    return counts | ({"without a Sentinel-1 partner": len(lonely)} if partners else {})


def _tell_lonely(out: Path, names: list[str], *, num_patches: int) -> None:
    if not names:
        return
    shown = ", ".join(names[:NUM_NAMED]) + (" ..." if len(names) > NUM_NAMED else "")
    if len(names) == num_patches:
        raise DataError(
            f"none of {num_patches} patches has a Sentinel-1 partner in --s1: {shown}. Name the folder BigEarthNet-S1 was unpacked to, or "
            "leave --s1 out."
        )
    write_file(out / WITHOUT_PARTNER, "".join(f"{name}\n" for name in names))
    get_logger().warning("%d patches have no Sentinel-1 partner and were left out (%s): %s", len(names), out / WITHOUT_PARTNER, shown)


def _write_patch(out: Path, name: str, *, optical: Path, radar: Path | None) -> None:
    scene = read_scene(ImageRef("multispectral", "sentinel2_l2a", tuple(map(str, _band_files(optical)))))
    digital = np.nan_to_num(scene.pixels * SENTINEL2_QUANTIFICATION).round().clip(0, np.iinfo(np.uint16).max).astype(np.uint16)
    write_layers(out / "s2" / f"{name}.tif", digital, scene=scene)
    write_rgb(out / "rgb" / f"{name}.png", scene)
    if radar is not None:
        sar = read_scene(ImageRef("sar", "sentinel1_grd", tuple(str(radar / f"{radar.name}_{band}.tif") for band in ("VV", "VH"))))
        write_layers(out / "s1" / f"{name}.tif", sar.pixels, scene=sar)


def find_folder(root: Path, name: str, *, tile: str) -> Path:
    """The folder of a patch: below the root in version 1, below its tile in version 2. Where neither is there, that of version 1."""
    return next((folder for folder in (root / name, root / tile / name) if folder.is_dir()), root / name)


class _Partners:
    """Finds the Sentinel-1 folder of a patch: by the split, or by the JSON files of Sentinel-1, which name the Sentinel-2 patch."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._by_patch: dict[str, Path] | None = None

    def folder(self, patch: Patch) -> Path | None:
        """The folder; None where nothing names it or it is not there."""
        if patch.partner:
            found = find_folder(self._root, patch.partner, tile=patch.partner.rsplit("_", 3)[0])
            return found if found.is_dir() else None
        if self._by_patch is None:
            self._by_patch = dict(self._listed())
        return self._by_patch.get(patch.name)

    def _listed(self) -> Iterator[tuple[str, Path]]:
        for path in sorted(self._root.glob(f"*/*{METADATA}")):
            yield str(read_metadata(path).get("corresponding_s2_patch")), path.parent


def read_metadata(path: Path) -> Mapping[str, Any]:
    """The JSON file of a patch.

    Raises:
        DataError: it is missing.
        AnnotationError: it is no JSON object with labels.
    """
    if not path.is_file():
        raise DataError(
            f"{path}: no such file. In version 1 every patch has one: name the folder BigEarthNet-S2 was unpacked to. In version 2 "
            "metadata.parquet holds the labels: give it as the split."
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise AnnotationError(f"{path}: not JSON ({error}). Unpack the patch again.") from error
    if not isinstance(content, Mapping) or not isinstance(content.get("labels"), list):
        raise AnnotationError(f"{path}: expected an object with a list 'labels'. Unpack the patch again.")
    return content


def _labels(folder: Path) -> list[str]:
    return list(read_metadata(folder / f"{folder.name}{METADATA}")["labels"])


def _band_files(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*_B*.tif"))
    if len(files) != 12:
        raise DataError(f"{folder}: {len(files)} bands, expected the 12 of level 2A (B01 .. B12 without B10). Unpack the patch again.")
    return files
