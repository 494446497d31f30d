"""Image captions: the Karpathy form (UCM, Sydney, RSICD, RSITMD), NWPU-Captions, and VRSBench."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from eocore.data.formats.captions import CAPTION, RETRIEVAL, check_task
from eocore.data.formats.entries import Entry, as_entries, read_object
from eocore.data.records import Record
from eocore.errors import DataError
from eocore.evaluate.benchmarks.catalogue import Benchmark, register
from eocore.evaluate.benchmarks.questions import RGB, Question, QuestionDataset, picture_dataset
from eocore.registry import DATASETS

DESCRIBE = "Provide a one-sentence caption for this image."
RAW_FIELDS = ("raw", "raw_1", "raw_2", "raw_3", "raw_4")
"""The five captions of an entry of NWPU-Captions."""


@dataclass(kw_only=True, eq=False, repr=False)
class CaptionDataset(QuestionDataset):
    """Captions of one split, for evaluation and for training; the subclasses tell the form of the file.

    Args:
        annotations: the JSON file.
        images: modality -> image source; `{name}` is the image file that `entries` names.
        split: the split to take.
        prompt: what is asked.
        task: "caption", or "retrieval": texts seek images, and images texts, in the gallery of all.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the annotation file's stem.

    Raises:
        ConfigError: another task.
        DataError: no image of the split.
        AnnotationError: an entry breaks the form.
    """

    split: str = "test"
    prompt: str = DESCRIBE
    task: str = CAPTION

    def __post_init__(self) -> None:
        check_task(self.task, type(self).__name__)
        super().__post_init__()

    def parse(self, path: Path) -> list[Record]:
        entries = self.entries(path)
        chosen = [item for item in entries if item[0].text("split") == self.split]
        if entries and not chosen:
            found = sorted({entry.text("split") for entry, _, _ in entries})
            raise DataError(f"{path}: no image of split '{self.split}'; it has {', '.join(found)}. Correct `split`.")
        return [self._record(entry, image, texts=texts) for entry, image, texts in chosen]

    def entries(self, path: Path) -> list[tuple[Entry, str, list[str]]]:
        """(entry, image file, captions) of every image of the file."""
        raise NotImplementedError

    def _record(self, entry: Entry, image: str, *, texts: list[str]) -> Record:
        question = Question(sample_id=image, image=image, source=entry.source, answer=texts[0], meta={"references": texts})
        return replace(self.ask(question, task=self.task), captions=tuple(texts))


@DATASETS.register_module()
class KarpathyCaptionDataset(CaptionDataset):
    """{images: [{filename, imgid, split, sentences: [{raw, tokens}]}]}, in dataset.json or dataset_rsicd.json; see `CaptionDataset`."""

    def entries(self, path: Path) -> list[tuple[Entry, str, list[str]]]:
        content = read_object(path, "with 'images'")
        listed = as_entries(content.get("images"), f"{path} images")
        return [(entry, entry.text("filename"), [part.text("raw") for part in entry.entries("sentences")]) for entry in listed]


@DATASETS.register_module()
class NwpuCaptionDataset(CaptionDataset):
    """{class: [{filename, imgid, split, raw, raw_1, raw_2, raw_3, raw_4}]}, dataset_nwpu.json; see `CaptionDataset`.

    The images lie in folders called after the classes: `{name}` is "<class>/<file name>".
    """

    def entries(self, path: Path) -> list[tuple[Entry, str, list[str]]]:
        content = read_object(path, "of lists by class")
        listed = [(label, entry) for label, entries in content.items() for entry in as_entries(entries, f"{path} {label}")]
        return [(entry, f"{label}/{entry.text('filename')}", _captions(entry)) for label, entry in listed]


def _captions(entry: Entry) -> list[str]:
    return [entry.text(key) for key in RAW_FIELDS if key == "raw" or entry.values.get(key)]


_CAPTIONS = partial(Benchmark, suite="image", task=CAPTION, prompt=DESCRIBE, settings=RGB)

KARPATHY = (
    _CAPTIONS(
        name="ucm_captions",
        title="UCM-Captions test",
        expected=210,
        source="github.com/201528014227051/RSICD_optimal: UCM_captions.zip, dataset.json and imgs/ into UCM_captions/.",
        dataset=picture_dataset("KarpathyCaptionDataset", "UCM_captions/dataset.json", images="UCM_captions/imgs"),
    ),
    _CAPTIONS(
        name="sydney_captions",
        title="Sydney-Captions test",
        expected=58,
        source="github.com/201528014227051/RSICD_optimal: Sydney_captions.zip, dataset.json and imgs/ into Sydney_captions/.",
        dataset=picture_dataset("KarpathyCaptionDataset", "Sydney_captions/dataset.json", images="Sydney_captions/imgs"),
    ),
    _CAPTIONS(
        name="rsicd",
        title="RSICD test",
        expected=1093,
        source="github.com/201528014227051/RSICD_optimal: dataset_rsicd.json and RSICD_images/ into RSICD/.",
        dataset=picture_dataset("KarpathyCaptionDataset", "RSICD/dataset_rsicd.json", images="RSICD/RSICD_images"),
    ),
    _CAPTIONS(
        name="rsitmd",
        title="RSITMD test",
        expected=452,
        source="github.com/xiaoyuan1996/AMFMN: dataset_RSITMD.json and images/ into RSITMD/.",
        dataset=picture_dataset("KarpathyCaptionDataset", "RSITMD/dataset_RSITMD.json", images="RSITMD/images"),
    ),
)
"""The sets in the Karpathy form; each is evaluated on captions and, with the same files, on retrieval."""


def retrieval_of(captions: Benchmark) -> Benchmark:
    """Retrieval in the images and texts of a set of captions: R@1, 5, 10 both ways, mR. Source: Yuan et al. 2022 (AMFMN, RSITMD)."""
    return replace(
        captions,
        name=f"{captions.name.removesuffix('_captions')}_retrieval",
        title=f"{captions.title}, retrieval",
        suite=RETRIEVAL,
        task=RETRIEVAL,
        dataset={**captions.dataset, "task": RETRIEVAL},
    )


register(
    _CAPTIONS(
        name="nwpu_captions",
        title="NWPU-Captions test",
        expected=3150,
        source="github.com/HaiyanHuang98/NWPU-Captions: dataset_nwpu.json into NWPU-Captions/, images of NWPU-RESISC45.",
        dataset=picture_dataset("NwpuCaptionDataset", "NWPU-Captions/dataset_nwpu.json", images="NWPU-RESISC45"),
    ),
    *KARPATHY,
    *map(retrieval_of, KARPATHY),
    Benchmark(
        name="vrsbench_caption",
        title="VRSBench captions",
        suite="image",
        task="caption",
        settings=RGB,
        expected=9350,
        max_new_tokens=256,
        source="VRSBench (Hugging Face xiang709/VRSBench): VRSBench_EVAL_Cap.json and Images_val/ into VRSBench/.",
        dataset=picture_dataset("VrsbenchDataset", "VRSBench/VRSBench_EVAL_Cap.json", images="VRSBench/Images_val", task="caption"),
    ),
)
