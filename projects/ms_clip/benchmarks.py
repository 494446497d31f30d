"""What MS-CLIP adds to evaluation: its benchmarks in upstream's layouts and under upstream's names, scored without training.

Every set may be given to any model that finds its bands; those named RGB hold the colours alone. Source of names, layouts and classes:
IBM/MS-CLIP at 9dbeb33, DATASETS.md and msclip/inference.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from eocore.data import registered as _registered  # noqa: F401  (registers the core's datasets)
from eocore.evaluate.benchmarks.catalogue import Benchmark, register
from eocore.evaluate.benchmarks.scene import EUROSAT_BANDS, METERML_CLASSES
from eocore.evaluate.suites import SUITES
from ms_clip.datasets import bigearthnet as _bigearthnet  # noqa: F401  (registers the dataset)

SUITE = "zero-shot"
SUITES.register(SUITE, "classes of whole images by prompts, without training")

OTHER_FEATURES = "Other features"
"""Upstream's class for everything else, with --other-features."""
FORESTNET_CLASSES = ("Plantation", "Grassland shrubland", "Smallholder agriculture", "Other")
L2A_BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
"""Of the layers of METER-ML's Sentinel-2 files."""
COLOURS = ("B02", "B03", "B04")
OF_BANDS = ("EuroSAT_MS", "METERML_MS", "BigEarthNet_MS")
"""Sets that a model of bands can read; the others hold colours alone."""
MULTISPECTRAL = {"multispectral": ["multispectral"]}
OPTICAL = {"optical": ["rgb"]}
_OWN_FOLDERS = "Folders of classes, see data/README.md (MS-CLIP)."
_BIGEARTHNET = "bigearth.net: BigEarthNet-S2 into BigEarthNet/sentinel-2/ and bigearthnet-test.csv into BigEarthNet/."


def _bands(root: str, sensor: str, *, bands: Sequence[str], only: Sequence[str] = ()) -> dict[str, Mapping[str, Any]]:
    """One file with all bands in this order; those that are not wanted are left out."""
    kept = [band if not only or band in only else "-" for band in bands]
    return {"multispectral": {"root": root, "pattern": "{name}", "sensor": sensor, "bands": kept}}


def _folders(name: str, images: Mapping[str, Mapping[str, Any]], *, title: str, names: Sequence[str] = ()) -> Benchmark:
    """A set of one folder a class; without images of its own, of pictures."""
    return Benchmark(
        name=name,
        title=title,
        suite=SUITE,
        task="classification",
        settings=MULTISPECTRAL if images else OPTICAL,
        source=_OWN_FOLDERS,
        dataset={"type": "ClassFolderDataset", "annotations": f"$root/{name}", "images": dict(images), "ordered_names": list(names)},
    )


def _big_earth_net(name: str, title: str, *, files: str) -> Benchmark:
    folder = "$root/BigEarthNet/sentinel-2"
    return Benchmark(
        name=name,
        title=title,
        suite=SUITE,
        task="multilabel",
        settings=MULTISPECTRAL,
        source=_BIGEARTHNET,
        dataset={
            "type": "BigEarthNetFolderDataset",
            "annotations": "$root/BigEarthNet/bigearthnet-test.csv",
            "folder": folder,
            "images": {"multispectral": {"root": folder, "pattern": f"{{name}}/{files}", "sensor": "sentinel2_l2a"}},
        },
    )


register(
    _folders("EuroSAT_MS", _bands("$root/EuroSAT_MS", "sentinel2_l1c", bands=EUROSAT_BANDS), title="EuroSAT (13 bands)"),
    _folders("EuroSAT_RGB", {}, title="EuroSAT (RGB)"),
    _folders(
        "METERML_MS", _bands("$root/METERML_MS", "sentinel2_l2a", bands=L2A_BANDS), title="METER-ML (12 bands)", names=METERML_CLASSES
    ),
    _folders(
        "METERML_RGB",
        _bands("$root/METERML_RGB", "sentinel2_l2a", bands=L2A_BANDS, only=COLOURS),
        title="METER-ML (colours of Sentinel-2)",
        names=METERML_CLASSES,
    ),
    _folders("METERML_NAIP", {}, title="METER-ML (NAIP)", names=METERML_CLASSES),
    _folders("RESISC45_RGB", {}, title="NWPU-RESISC45"),
    _folders("AID_RGB", {}, title="AID"),
    _big_earth_net("BigEarthNet_MS", "BigEarthNet (12 bands)", files="*_B*.tif"),
    _big_earth_net("BigEarthNet_RGB", "BigEarthNet (colours of Sentinel-2)", files="*_B0[234].tif"),
    Benchmark(
        name="ForestNet_RGB",
        title="ForestNet",
        suite=SUITE,
        task="classification",
        settings=OPTICAL,
        source="ForestNet (Irvin et al. 2020) into ForestNet_RGB/: examples/ and test.csv.",
        dataset={
            "type": "ClassTableDataset",
            "annotations": "$root/ForestNet_RGB/test.csv",
            "image_field": "example_path",
            "label_field": "merged_label",
            "classes": list(FORESTNET_CLASSES),
            "images": {"rgb": {"root": "$root/ForestNet_RGB", "pattern": "{name}/images/visible/composite.png", "sensor": "rgb_uint8"}},
        },
    ),
)
