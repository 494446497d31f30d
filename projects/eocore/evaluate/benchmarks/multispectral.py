"""Land cover of Sentinel-2 and Sentinel-1 patches: BigEarthNet (several classes a patch) and So2Sat LCZ42 (one)."""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from eocore.data.formats.entries import Entry, read_entries, shorten
from eocore.data.records import Record
from eocore.errors import AnnotationError
from eocore.evaluate.benchmarks.catalogue import Benchmark, register
from eocore.evaluate.benchmarks.questions import Question, QuestionDataset, picture_dataset
from eocore.registry import DATASETS

BIGEARTHNET_19 = (
    "Urban fabric",
    "Industrial or commercial units",
    "Arable land",
    "Permanent crops",
    "Pastures",
    "Complex cultivation patterns",
    "Land principally occupied by agriculture, with significant areas of natural vegetation",
    "Agro-forestry areas",
    "Broad-leaved forest",
    "Coniferous forest",
    "Mixed forest",
    "Natural grassland and sparsely vegetated areas",
    "Moors, heathland and sclerophyllous vegetation",
    "Transitional woodland, shrub",
    "Beaches, dunes, sands",
    "Inland wetlands",
    "Coastal wetlands",
    "Inland waters",
    "Marine waters",
)
"""The 19 classes. Source: Sumbul et al. 2021, BigEarthNet-MM, arXiv 2105.07921, table 2."""

LCZ_17 = (
    "compact high-rise",
    "compact mid-rise",
    "compact low-rise",
    "open high-rise",
    "open mid-rise",
    "open low-rise",
    "lightweight low-rise",
    "large low-rise",
    "sparsely built",
    "heavy industry",
    "dense trees",
    "scattered trees",
    "bush, scrub",
    "low plants",
    "bare rock or paved",
    "bare soil or sand",
    "water",
)
"""Local climate zones 1 to 10 and A to G. Source: Zhu et al. 2020, So2Sat LCZ42, arXiv 1912.12171."""

SO2SAT_BANDS = ["B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"]
"""Order of `sen2`. Source: So2Sat LCZ42 documentation (mediaTUM 1454690)."""

ALL_THAT_APPLY = "Which of these land-cover classes does the image show?\n{classes}\nAnswer with the letters of all that apply."
ONE = "Which of these local climate zones does the image show?\n{classes}\nAnswer with its name."


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class LabelledPatchDataset(QuestionDataset):
    """JSON lines of {image, labels: [class names]}, as tools/prepare/{bigearthnet,so2sat}.py write them.

    Args:
        annotations: the JSON lines.
        images: modality -> image source; `{name}` is the image field.
        classes: all classes.
        task: "multilabel", or "classification" where each image has one label.
        prompt: `{classes}` stands for the classes, one a line with its letter.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the annotation file's stem.

    Raises:
        AnnotationError: an entry breaks the form, or names another class.
    """

    classes: Sequence[str]
    task: Literal["multilabel", "classification"] = "multilabel"
    prompt: str = ALL_THAT_APPLY

    def __post_init__(self) -> None:
        self.classes = list(self.classes)
        self.prompt = self.prompt.replace("{classes}", lettered(self.classes))
        super().__post_init__()

    def parse(self, path: Path) -> list[Record]:
        return [self._record(entry) for entry in read_entries(path)]

    def _record(self, entry: Entry) -> Record:
        labels = entry.items("labels")
        wrong = [label for label in labels if label not in self.classes]
        if wrong or (self.task == "classification" and len(labels) != 1):
            raise AnnotationError(
                f"{entry.source}: labels {shorten(labels)}; expected {'one' if self.task == 'classification' else 'some'} of "
                f"{', '.join(self.classes)}. Correct the entry, or prepare the data again."
            )
        image = entry.text("image")
        meta = {"candidates": self.classes, "labels": labels}
        if self.task == "classification":
            meta["type"] = labels[0]
        question = Question(sample_id=image, image=image, source=entry.source, answer="; ".join(labels), meta=meta)
        return self.ask(question, task=self.task)


def lettered(classes: Sequence[str]) -> str:
    """ "A. Urban fabric" and so on, one a line."""
    return "\n".join(f"{letter}. {label}" for letter, label in zip(string.ascii_uppercase, classes, strict=False))


def _patches(folder: str, *, optical: Mapping[str, Any], sar: str) -> dict[str, dict[str, Any]]:
    """Image sources of a prepared set: pictures, optical and radar bands in folders of their own."""
    return {
        "rgb": {"root": f"$root/{folder}/rgb", "pattern": "{name}.png", "sensor": "rgb_uint8", "optional": True},
        "multispectral": {"root": f"$root/{folder}/s2", "pattern": "{name}.tif", **optical},
        "sar": {"root": f"$root/{folder}/s1", "pattern": "{name}.tif", "sensor": sar, "optional": True},
    }


SENTINEL = {"optical": ["rgb"], "multispectral": ["multispectral"], "sar": ["sar"], "fused": ["multispectral", "sar"]}

register(
    Benchmark(
        name="bigearthnet",
        title="BigEarthNet (19 classes)",
        suite="multispectral",
        task="multilabel",
        prompt=ALL_THAT_APPLY,
        settings=SENTINEL,
        max_new_tokens=64,
        source="bigearth.net: BigEarthNet-S2 (and -S1) and test.csv, then tools/prepare/bigearthnet.py --out DATA/bigearthnet.",
        dataset=picture_dataset(
            "LabelledPatchDataset",
            "bigearthnet/test.jsonl",
            images=_patches("bigearthnet", optical={"sensor": "sentinel2_l2a"}, sar="sentinel1_grd"),
            classes=list(BIGEARTHNET_19),
            task="multilabel",
        ),
    ),
    Benchmark(
        name="so2sat",
        title="So2Sat LCZ42",
        suite="multispectral",
        task="classification",
        prompt=ONE,
        settings=SENTINEL,
        max_new_tokens=24,
        source="mediaTUM 1454690: testing.h5, then tools/prepare/so2sat.py --out DATA/so2sat.",
        dataset=picture_dataset(
            "LabelledPatchDataset",
            "so2sat/test.jsonl",
            images=_patches("so2sat", optical={"sensor": "sentinel2_l1c_reflectance", "bands": SO2SAT_BANDS}, sar="sentinel1_grd_linear"),
            classes=list(LCZ_17),
            task="classification",
        ),
    ),
)
