"""Ships in SAR images: all boxes of an image."""

from pathlib import Path

from eocore.data.formats.entries import Entry, read_entries
from eocore.data.records import Record
from eocore.evaluate.benchmarks.boxes import read_boxes
from eocore.evaluate.benchmarks.catalogue import Benchmark, register
from eocore.evaluate.benchmarks.grounding import GROUPS, BoxDataset
from eocore.evaluate.benchmarks.questions import Question
from eocore.registry import DATASETS


@DATASETS.register_module()
class ShipDataset(BoxDataset):
    """Ships in SAR images, JSON lines of {image, question, answer, size_group}: the answer holds all boxes, [[x0, y0, x1, y1, angle], ...].

    Source: EarthDial's SAR ship test sets, exported from their Arrow files one line a sample.

    Args:
        annotations: the JSON lines.
        images: modality -> image source; `{name}` is the image field.
        prompt: `{question}` stands for the question.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the annotation file's stem.

    Raises:
        AnnotationError: an entry breaks the form.
    """

    def parse(self, path: Path) -> list[Record]:
        return [
            self.locate(_question(number, entry), read_boxes(entry.values.get("answer"), entry.source), task="detection")
            for number, entry in enumerate(read_entries(path))
        ]


def _question(number: int, entry: Entry) -> Question:
    image = entry.text("image")
    meta = {key: entry.values[key] for key in GROUPS if key in entry.values}
    return Question(sample_id=f"{number}-{image}", image=image, source=entry.source, text=entry.text("question"), meta=meta)


register(
    Benchmark(
        name="sar_ship", title="SAR ships", suite="multispectral", task="detection", settings={"sar": ["sar"]},
        max_new_tokens=256, source="EarthDial's SAR ship test sets, exported to sar_ship/ (docs/evaluation.md).",
        dataset={
            "type": "ShipDataset", "annotations": "$root/sar_ship/test.jsonl", "prompt": "$prompt",
            "images": {"sar": {"root": "$root/sar_ship/images", "pattern": "{name}", "sensor": "grey_uint8"}},
        },
    ),
)  # fmt: skip
