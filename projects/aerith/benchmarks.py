"""What Aerith is evaluated on: scene classes, questions, captions and boxes, asked with the prefixes it is trained with.

Source of the sets: AerithVLM's README; of the questions: `aerith.datasets.prompts`. UC Merced, RSVG, DIOR-RSVG, RSVQA-LR and the captions
of UC Merced's images belong to sets that it is trained on; the others are zero-shot.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from aerith.datasets.prompts import ASK, CHOOSE_CLASS, DESCRIBE, LOCATE
from eocore.data import registered as _registered  # noqa: F401  (registers the core's datasets)
from eocore.evaluate import datasets as _datasets  # noqa: F401  (registers the benchmarks that are asked here in other words)
from eocore.evaluate.benchmarks.catalogue import Benchmark, register
from eocore.evaluate.benchmarks.questions import RGB, picture_dataset, pictures
from eocore.evaluate.benchmarks.scene import AID, METERML_CLASSES, SIRI_WHU, UCM
from eocore.evaluate.suites import SUITES
from eocore.registry import BENCHMARKS

SUITE = "aerith"
SUITES.register(SUITE, "scene classes, boxes, questions and captions in Aerith's words")


_CLASSES = partial(Benchmark, suite=SUITE, task="classification", prompt=CHOOSE_CLASS, settings=RGB, max_new_tokens=20)
BOXES = {"type": "Grounding", "prediction_scale": 1.0}
"""Answers are fractions of the image's sides, whatever numbers they hold."""
LONG_CLASS_TOKENS = 30
"""Longest answer where the names of the classes are long, as METER-ML's. Source: LHRS-Bot, main_cls.py."""


def _in_our_words(name: str, prompt: str, **changes: Any) -> Benchmark:
    """A benchmark of the core asked with one of Aerith's prompts; its answers are numbers and words, not masks."""
    known: Benchmark = BENCHMARKS.get(name)
    return replace(known, name=f"aerith_{name}", suite=SUITE, prompt=prompt, mask_prompt="", **changes)


def _folders(name: str, folder: str, *, title: str, expected: int, source: str, classes: Sequence[str] = ()) -> Benchmark:
    dataset = picture_dataset("SceneFolderDataset", folder, images=folder, classes=list(classes))
    return _CLASSES(name=f"aerith_{name}", title=title, expected=expected, source=source, dataset=dataset)


def _annotated(name: str, folder: str, *, title: str, source: str) -> Benchmark:
    dataset: Mapping[str, Any] = {
        "type": "TaskAnnotationsDataset",
        "annotations": f"$root/{folder}/annotations.json",
        "images": pictures(f"$root/{folder}/images"),
        "tasks": ["classification"],
        "transforms": [{"type": "AerithClassification", "templates": ["$prompt"]}],
    }
    return _CLASSES(name=f"aerith_{name}", title=title, source=source, dataset=dataset, max_new_tokens=LONG_CLASS_TOKENS)


register(
    _folders("aid", "AID", title="AID", expected=10000, classes=AID, source="captain-whu.github.io/AID into AID/<Class>/."),
    _in_our_words("whu_rs19", CHOOSE_CLASS, max_new_tokens=20),
    _in_our_words("eurosat", CHOOSE_CLASS, max_new_tokens=20),
    _in_our_words("resisc45", CHOOSE_CLASS, max_new_tokens=20),
    _folders(
        "ucm",
        "UCMerced_LandUse/Images",
        title="UC Merced",
        expected=2100,
        classes=UCM,
        source="weegee.vision.ucmerced.edu/datasets/landuse.html into UCMerced_LandUse/Images/<class>/.",
    ),
    _folders(
        "siri_whu",
        "SIRI-WHU",
        title="SIRI-WHU",
        expected=2400,
        classes=SIRI_WHU,
        source=f"SIRI-WHU (Zhao et al. 2016), images into SIRI-WHU/<class>/, the folders called {', '.join(SIRI_WHU)}.",
    ),
    _CLASSES(
        name="aerith_meterml",
        title="METER-ML (NAIP)",
        source="METER-ML (Zhu et al. 2022): NAIP images of a split into METERML_NAIP/<class>/, seven folders.",
        max_new_tokens=LONG_CLASS_TOKENS,
        dataset={
            "type": "ClassFolderDataset",
            "annotations": "$root/METERML_NAIP",
            "images": {},
            "ordered_names": list(METERML_CLASSES),
            "transforms": [{"type": "AerithClassification", "templates": ["$prompt"]}],
        },
    ),
    _annotated(
        "fmow",
        "fMoW",
        title="fMoW (RGB)",
        source="fMoW (Christie et al. 2018): fMoW/images/ and fMoW/annotations.json, see data/README.md.",
    ),
    _in_our_words("rsvg", LOCATE, metric=BOXES),
    _in_our_words("dior_rsvg", LOCATE, metric=BOXES),
    _in_our_words("rsvqa_lr", ASK, max_new_tokens=50),
    _in_our_words("rsvqa_hr_phili", ASK, max_new_tokens=50),
    *(_in_our_words(name, DESCRIBE) for name in ("ucm_captions", "sydney_captions", "rsicd", "rsitmd", "nwpu_captions")),
)
