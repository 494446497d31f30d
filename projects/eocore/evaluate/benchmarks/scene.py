"""Scene classification: a folder a class, and the question files of GeoChat-Bench."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from eocore.data.formats.entries import Entry, read_entries
from eocore.data.image_sources import IMAGE_SUFFIXES
from eocore.data.records import Record
from eocore.errors import AnnotationError, DataError
from eocore.evaluate.benchmarks.catalogue import Benchmark, register
from eocore.evaluate.benchmarks.questions import RGB, Question, QuestionDataset, picture_dataset
from eocore.evaluate.metrics.classification import normalise_label
from eocore.registry import DATASETS
from eocore.text import display_name

CLASSIFY = "Classes: {classes}.\nClassify the image from the following classes. Answer in one word or a short phrase."
"""Source: the text of GeoChat-Bench's aid.jsonl."""

AID = (  # noqa: SIM905
    "Airport BareLand BaseballField Beach Bridge Center Church Commercial DenseResidential Desert Farmland Forest "
    "Industrial Meadow MediumResidential Mountain Park Parking Playground Pond Port RailwayStation Resort River School "
    "SparseResidential Square Stadium StorageTanks Viaduct"
).split()
UCM = (  # noqa: SIM905
    "agricultural airplane baseballdiamond beach buildings chaparral denseresidential forest freeway golfcourse harbor "
    "intersection mediumresidential mobilehomepark overpass parkinglot river runway sparseresidential storagetanks "
    "tenniscourt"
).split()
WHU_RS19 = (  # noqa: SIM905
    "Airport Beach Bridge Commercial Desert Farmland footballField Forest Industrial Meadow Mountain Park Parking Pond "
    "Port railwayStation Residential River Viaduct"
).split()
EUROSAT = "AnnualCrop Forest HerbaceousVegetation Highway Industrial Pasture PermanentCrop Residential River SeaLake".split()  # noqa: SIM905
EUROSAT_BANDS = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B09", "B10", "B11", "B12", "B8A"]
"""Order of the layers in EuroSAT's 13-band files, B8A last. Source: Helber et al. 2019, arXiv 1709.00029; torchgeo reads them so."""

SIRI_WHU = (  # noqa: SIM905
    "agriculture commercial harbor idle_land industrial meadow overpass park pond residential river water"
).split()
"""Twelve classes of 200 images. Source: Zhao et al. 2016; here in folders of these names."""
METERML_CLASSES = (
    "concentrated animal feeding operations",
    "landfills",
    "coal mines",
    "other features",
    "natural gas processing plants",
    "oil refineries and petroleum terminals",
    "wastewater treatment plants",
)
"""In the order of METER-ML's folders."""

_JUNK_LENGTH = 2
"""Characters after the class in the ground truth of the released aid.jsonl."""


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class SceneFolderDataset(QuestionDataset):
    """Pictures in one folder a class: AID, WHU-RS19, EuroSAT, NWPU-RESISC45 and UC Merced as released.

    Args:
        annotations: the folder of the class folders.
        images: modality -> image source; `{name}` is "<class>/<file>".
        classes: names of the class folders; () = all folders.
        prompt: `{classes}` stands for the classes.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages.

    Raises:
        DataError: a class has no folder, or there is none.
    """

    classes: Sequence[str] = ()
    prompt: str = CLASSIFY

    def __post_init__(self) -> None:
        self.classes = list(self.classes)
        super().__post_init__()

    def parse(self, path: Path) -> list[Record]:
        if not path.is_dir():
            raise DataError(f"{path}: no such folder of class folders. Fetch the data set, or correct the data root.")
        folders = {folder.name: folder for folder in path.iterdir() if folder.is_dir()}
        self.classes = self.classes or sorted(folders)
        absent = [label for label in self.classes if label not in folders]
        if absent:
            raise DataError(f"{path}: no folder for {', '.join(absent)}; found {', '.join(sorted(folders)) or 'none'}. Fetch them all.")
        self.prompt = self.prompt.replace("{classes}", ", ".join(map(display_name, self.classes)))
        records = []
        for label in self.classes:
            files = sorted(file.name for file in folders[label].iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
            records += [self._record(f"{label}/{file}", label, path=path) for file in files]
        return records

    def _record(self, image: str, label: str, *, path: Path) -> Record:
        meta = {"candidates": self.classes, "type": label}
        question = Question(sample_id=image, image=image, source=f"{path}/{image}", answer=label, meta=meta)
        return self.ask(question, task="classification")


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class SceneQuestionDataset(QuestionDataset):
    """GeoChat-Bench: JSON lines of {image: "<Class>/<file>", question_id, text, ground_truth}; the text names the classes.

    Args:
        annotations: aid.jsonl or UCmerced.jsonl.
        images: modality -> image source; `{name}` is the image field.
        classes: all classes of the set.
        prompt: `{question}` stands for the text.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the annotation file's stem.

    Raises:
        AnnotationError: the ground truth is no class, or another one than the image's folder says.
    """

    classes: Sequence[str]

    def __post_init__(self) -> None:
        self.classes = list(self.classes)
        self.forms = {normalise_label(label): label for label in self.classes}
        super().__post_init__()

    def parse(self, path: Path) -> list[Record]:
        return [self._record(entry) for entry in read_entries(path)]

    def _record(self, entry: Entry) -> Record:
        image, label = entry.text("image"), self._label(entry)
        meta = {"candidates": self.classes, "type": label, "question_id": entry.identifier("question_id")}
        question = Question(sample_id=image, image=image, source=entry.source, text=entry.text("text"), answer=label, meta=meta)
        return self.ask(question, task="classification")

    def _label(self, entry: Entry) -> str:
        folder = self.forms.get(normalise_label(Path(entry.text("image")).parent.name))
        truth = entry.text("ground_truth") if "ground_truth" in entry.values else ""
        label = self.forms.get(normalise_label(truth)) or self.forms.get(normalise_label(truth[:-_JUNK_LENGTH]))
        if truth and (label is None or folder not in (None, label)):
            raise AnnotationError(
                f"{entry.source}: ground_truth {truth!r} and image '{entry.text('image')}' name no one class of {', '.join(self.classes)}. "
                "Correct the entry, or fetch the file again."
            )
        if label is None and folder is None:
            raise AnnotationError(f"{entry.source}: neither a ground_truth nor a class folder in '{entry.text('image')}'. Correct it.")
        return label or str(folder)


_GEOCHAT = "Question files: GeoChat-Bench (github.com/mbzuai-oryx/GeoChat) into GeoChat-Bench/."
_EUROSAT_MS = {"multispectral": {"root": "$root/EuroSATallBands", "pattern": "{name}", "sensor": "sentinel2_l1c", "bands": EUROSAT_BANDS}}

_SCENES = partial(Benchmark, suite="image", task="classification", settings=RGB, max_new_tokens=16)


def _folder(folder: str, classes: Sequence[str] = ()) -> dict[str, Any]:
    return picture_dataset("SceneFolderDataset", folder, images=folder, classes=list(classes))


register(
    _SCENES(
        name="aid",
        title="AID (GeoChat-Bench)",
        expected=2000,
        source=f"{_GEOCHAT} Images: captain-whu.github.io/AID into aid_test_image/<Class>/.",
        dataset=picture_dataset("SceneQuestionDataset", "GeoChat-Bench/aid.jsonl", images="aid_test_image", classes=list(AID)),
    ),
    _SCENES(
        name="ucmerced",
        title="UC Merced (GeoChat-Bench)",
        expected=2100,
        source=f"{_GEOCHAT} Images: weegee.vision.ucmerced.edu/datasets/landuse.html into UCMerced_LandUse/Images/<class>/.",
        dataset=picture_dataset(
            "SceneQuestionDataset", "GeoChat-Bench/UCmerced.jsonl", images="UCMerced_LandUse/Images", classes=list(UCM)
        ),
    ),
    _SCENES(
        name="whu_rs19",
        title="WHU-RS19",
        prompt=CLASSIFY,
        expected=1005,
        source="Images: captain-whu.github.io/BED4RS (WHU-RS19) into WHU-RS19/<Class>/.",
        dataset=_folder("WHU-RS19", WHU_RS19),
    ),
    _SCENES(
        name="eurosat",
        title="EuroSAT (RGB)",
        prompt=CLASSIFY,
        expected=27000,
        source="Images: github.com/phelber/EuroSAT (RGB) into EuroSAT/<Class>/.",
        dataset=_folder("EuroSAT", EUROSAT),
    ),
    Benchmark(
        name="eurosat_ms",
        title="EuroSAT (13 bands)",
        suite="multispectral",
        task="classification",
        prompt=CLASSIFY,
        settings={"multispectral": ["multispectral"]},
        expected=27000,
        max_new_tokens=16,
        source="Images: github.com/phelber/EuroSAT (multispectral) into EuroSATallBands/<Class>/.",
        dataset=picture_dataset("SceneFolderDataset", "EuroSATallBands", images=_EUROSAT_MS, classes=list(EUROSAT)),
    ),
    _SCENES(
        name="resisc45",
        title="NWPU-RESISC45",
        prompt=CLASSIFY,
        expected=31500,
        source="Images: NWPU-RESISC45 (Cheng et al. 2017) into NWPU-RESISC45/<class>/.",
        dataset=_folder("NWPU-RESISC45"),
    ),
)
