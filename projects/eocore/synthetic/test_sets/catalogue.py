"""All test sets the registry reads, written in their upstream layouts under one data folder."""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from eocore.evaluate.benchmarks.multispectral import BIGEARTHNET_19, LCZ_17, SO2SAT_BANDS
from eocore.evaluate.benchmarks.scene import AID, EUROSAT, EUROSAT_BANDS, SIRI_WHU, UCM, WHU_RS19
from eocore.files import require_writable
from eocore.log import get_logger
from eocore.synthetic.spectra import OPTICAL_BANDS
from eocore.synthetic.test_sets import change, pictures, sensors, videos
from eocore.synthetic.test_sets import grounding as grounding_sets
from eocore.synthetic.test_sets.images import MadeScenes, make_scenes

RESISC_SOME = ("airplane", "airport", "bridge", "lake", "sea_ice")
"""Some of the 45 class folders of NWPU-RESISC45."""
FMOW_SOME = ("airport", "crop_field", "solar_farm")
"""Some of the 62 classes of fMoW."""
METERML = ("CAFOs", "Landfills", "Mines", "Negative", "ProcessingPlants", "RefineriesAndTerminals", "WWTreatment")
FORESTNET = ("Plantation", "Grassland shrubland", "Smallholder agriculture", "Other")
AID_JUNK = "\r "
"""Stands for the two characters after the class in the released aid.jsonl."""


class Writer(Protocol):
    """Writes one set."""

    def __call__(self, *, scenes: MadeScenes) -> None:
        """Writes the set, made of `scenes`."""


def write_published(root: Path, *, num_scenes: int = 4, size: int = 96, seed: int = 0, on_set: Callable[[str], None] | None = None) -> None:
    """Writes every set.

    Args:
        root: the data folder; files of the same names are replaced.
        num_scenes: scenes the sets are made of, in turn.
        size: side of a scene [px].
        seed: of the scenes.
        on_set: called with the name of each set once it is written.

    Raises:
        OutputError: `root` cannot be written to; this is found first.
    """
    require_writable(root, "the test sets")
    scenes = make_scenes(num_scenes, size=size, seed=seed)
    for name, write in _writers(root).items():
        write(scenes=scenes)
        if on_set is not None:
            on_set(name)


def _writers(root: Path) -> dict[str, Writer]:
    return {
        **_scene_sets(root),
        **_question_sets(root),
        **_caption_sets(root),
        **_place_sets(root),
        **_sensor_sets(root),
        **_class_sets(root),
        **_prefixed_sets(root),
        **_change_sets(root),
    }


def _change_sets(root: Path) -> dict[str, Writer]:
    return {
        "LEVIR-CD": partial(change.write_levir_cd, root / "LEVIR-CD"),
        "LEVIR-CC": partial(change.write_levir_cc, root / "LEVIR-CC"),
        "xBD": partial(change.write_xbd, root / "xBD"),
        "Landsat30-AU": partial(change.write_landsat30, root / "Landsat30-AU"),
        "LRS-VQA": partial(change.write_lrs_vqa, root / "LRS-VQA"),
        **_video_sets(root),
    }


def _video_sets(root: Path) -> dict[str, Writer]:
    if importlib.util.find_spec("av") is None:
        get_logger().warning("sets of videos are left out: PyAV (the extra `video`) is not installed.")
        return {}
    return {"VNBench": partial(videos.write_vnbench, root / "VNBench")}


def _scene_sets(root: Path) -> dict[str, Writer]:
    folders: Mapping[str, Any] = {"WHU-RS19": WHU_RS19, "EuroSAT": EUROSAT, "NWPU-RESISC45": RESISC_SOME}
    ask = partial(partial, pictures.write_scene_questions)
    bench, ucm = root / "GeoChat-Bench", root / "UCMerced_LandUse/Images"
    return {
        "AID": ask(bench / "aid.jsonl", root / "aid_test_image", classes=AID, suffix=".jpg", junk=AID_JUNK),
        "UC Merced": ask(bench / "UCmerced.jsonl", ucm, classes=UCM, suffix=".tif", junk=""),
        **{name: partial(pictures.write_class_folders, root / name, classes=classes) for name, classes in folders.items()},
    }


def _question_sets(root: Path) -> dict[str, Writer]:
    low, high, prefix = root / "RSVQA_LR", root / "HRBEN_questions", "USGS_split_test_phili"
    return {
        "RSVQA-LR": partial(pictures.write_rsvqa, low, low / "Images_LR", prefix="LR_split_test"),
        "RSVQA-HR": partial(pictures.write_rsvqa, high, root / "HRBEN", prefix=prefix),
        "RSVQA-HRBEN": lambda scenes: pictures.write_hrben(root / "GeoChat-Bench/hrben.jsonl", high / f"{prefix}_questions.json"),
        "VRSBench": partial(pictures.write_vrsbench, root / "VRSBench"),
    }


def _caption_sets(root: Path) -> dict[str, Writer]:
    karpathy = {
        "UCM-Captions": ("UCM_captions/dataset.json", "UCM_captions/imgs", ".tif"),
        "Sydney-Captions": ("Sydney_captions/dataset.json", "Sydney_captions/imgs", ".tif"),
        "RSICD": ("RSICD/dataset_rsicd.json", "RSICD/RSICD_images", ".jpg"),
        "RSITMD": ("RSITMD/dataset_RSITMD.json", "RSITMD/images", ".tif"),
    }
    write = pictures.write_karpathy
    return {
        "NWPU-Captions": partial(pictures.write_nwpu_captions, root / "NWPU-Captions/dataset_nwpu.json", root / "NWPU-RESISC45"),
        **{name: partial(write, root / file, root / images, suffix=suffix) for name, (file, images, suffix) in karpathy.items()},
    }


def _place_sets(root: Path) -> dict[str, Writer]:
    bench, images, refer = root / "GeoChat-Bench", root / "GeoChat_finetuning/final_images_llava", root / "Refer_Segm"
    regions = root / "region_caption"
    return {
        "GeoChat regions": partial(grounding_sets.write_geochat_regions, bench / "region_captioning.jsonl", images),
        "GeoChat referring": partial(grounding_sets.write_geochat_referring, bench / "referring.jsonl", images),
        "VRSBench referring": partial(grounding_sets.write_vrsbench_referring, root / "VRSBench"),
        "DIOR-RSVG": partial(grounding_sets.write_voc, root / "DIOR_RSVG", split_by="object"),
        "RSVG": partial(grounding_sets.write_voc, root / "RSVG", split_by="file"),
        "RSVG regions": partial(grounding_sets.write_coco_regions, regions / "rsvg_test.json", regions / "rsvg/images"),
        **{name: partial(grounding_sets.write_refer, refer / name) for name in ("rrsisd", "refsegrs", "risbench")},
        "SAR referring": partial(grounding_sets.write_refer, refer / "sarnew", images="rgb", sar=True),
        "SAR ships": partial(grounding_sets.write_ships, root / "sar_ship"),
    }


def _sensor_sets(root: Path) -> dict[str, Writer]:
    zones = partial(sensors.write_patches, classes=LCZ_17, num_labels=1, reflectance=SO2SAT_BANDS)
    return {
        "EuroSAT, 13 bands": partial(sensors.write_class_bands, root / "EuroSATallBands", classes=EUROSAT, bands=EUROSAT_BANDS),
        "BigEarthNet": partial(sensors.write_patches, root / "bigearthnet", classes=BIGEARTHNET_19, num_labels=2),
        "BigEarthNet composites": partial(sensors.write_composites, root / "multi-spectrum", classes=BIGEARTHNET_19),
        "So2Sat": partial(zones, root / "so2sat"),
        "EarthMind-Bench": partial(sensors.write_earthmind_bench, root / "EarthMind-Bench"),
    }


def _class_sets(root: Path) -> dict[str, Writer]:
    """The sets of MS-CLIP's evaluation, in folders of its names."""
    pictures_of = {"EuroSAT_RGB": EUROSAT, "METERML_NAIP": METERML, "RESISC45_RGB": RESISC_SOME, "AID_RGB": AID}
    bands_of = {"EuroSAT_MS": (EUROSAT, EUROSAT_BANDS), "METERML_MS": (METERML, OPTICAL_BANDS), "METERML_RGB": (METERML, OPTICAL_BANDS)}
    big = root / "BigEarthNet"
    unpacked = partial(sensors.write_bigearthnet_folders, big / "sentinel-2", big / "sentinel-1")
    return {
        **{name: partial(pictures.write_class_folders, root / name, classes=classes) for name, classes in pictures_of.items()},
        **{
            name: partial(sensors.write_class_bands, root / name, classes=classes, bands=bands)
            for name, (classes, bands) in bands_of.items()
        },
        "BigEarthNet, unpacked": partial(unpacked, split=big / "bigearthnet-test.csv"),
        "ForestNet_RGB": partial(pictures.write_forestnet, root / "ForestNet_RGB", classes=FORESTNET),
    }


def _prefixed_sets(root: Path) -> dict[str, Writer]:
    """The sets that Aerith's evaluation reads besides: all images of AID, SIRI-WHU, and fMoW as annotations.json."""
    folders: Mapping[str, Sequence[str]] = {"AID": AID, "SIRI-WHU": SIRI_WHU}
    return {
        **{f"{name}, folders": partial(pictures.write_class_folders, root / name, classes=classes) for name, classes in folders.items()},
        "fMoW": partial(pictures.write_annotated_classes, root / "fMoW", classes=FMOW_SOME),
    }
