"""Region captions asked by a box in the text, or by showing the region."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from eocore.data.dataset import SampleKey, Scenes
from eocore.data.formats.entries import Entry, read_entries
from eocore.data.records import MaskRef, Record
from eocore.errors import AnnotationError
from eocore.evaluate.benchmarks.boxes import SCALE, corners, read_boxes
from eocore.evaluate.benchmarks.catalogue import Benchmark, register
from eocore.evaluate.benchmarks.questions import GEOCHAT_PICTURES, RGB, Question, QuestionDataset, picture_dataset
from eocore.portable.messages import REGION_PLACEHOLDER
from eocore.registry import DATASETS

SHOW_REGION = (
    "There are 1 part regions in the picture: region1<region>.\n"
    "Please give me a short description of the region in the picture marked by region1."
)
"""Source: EarthMind v1, rs_region_cap.py."""


@DATASETS.register_module()
class GeoChatRegionDataset(QuestionDataset):
    """GeoChat-Bench region_captioning.jsonl: lines of {image_id, question, ground_truth, question_id, type, dataset, obj_ids, size_group}.

    The box stands in the question, "{<x0><y0><x1><y1>|<angle>}", on a scale of 0 to 100. Where the prompt holds `<region>`, the box is
    shown to the model as a mask; otherwise the question gives it in words.

    Args:
        annotations: the JSON lines.
        images: modality -> image source; `{name}` is the image id.
        prompt: `{question}` stands for the question; `<region>` shows the box; "" = SHOW_REGION.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the annotation file's stem.

    Raises:
        AnnotationError: an entry breaks the form, or its question holds no box.
    """

    default_prompt = SHOW_REGION

    def parse(self, path: Path) -> list[Record]:
        return [self._record(number, entry) for number, entry in enumerate(read_entries(path))]

    def _record(self, number: int, entry: Entry) -> Record:
        boxes = read_boxes(entry.text("question"), entry.source)
        if len(boxes) != 1:
            raise AnnotationError(f"{entry.source}: {len(boxes)} boxes in the question; a region is one. Correct the entry.")
        answer = entry.text("ground_truth")
        meta = {"references": [answer], "boxes": boxes, "box_scale": SCALE}
        if "size_group" in entry.values:
            meta["size_group"] = entry.text("size_group")
        question = Question(
            sample_id=f"{number}-{entry.identifier('question_id')}",
            image=entry.identifier("image_id"),
            source=entry.source,
            text=entry.text("question"),
            answer=answer,
            regions=(MaskRef("polygon", [corners(boxes[0])]),) if REGION_PLACEHOLDER in self.prompt else (),
            meta=meta,
        )
        return self.ask(question, task="region")

    def read(self, key: SampleKey, rng: np.random.Generator) -> tuple[Record, Scenes]:
        record, scenes = super().read(key, rng)
        return scale_regions(record, scenes[0].size_as_read or scenes[0].size), scenes


def scale_regions(record: Record, size: tuple[int, int]) -> Record:
    """The record with its regions, polygons on a scale of 0 to 100, on the pixels of its image (height, width)."""
    height, width = size
    scale = np.array([width, height] * 4) / SCALE
    regions = tuple(MaskRef("polygon", [(np.array(ring) * scale).tolist() for ring in region.data]) for region in record.regions)
    return replace(record, regions=regions)


_GEOCHAT = partial(
    Benchmark,
    task="region",
    settings=RGB,
    source="GeoChat-Bench/region_captioning.jsonl; images of GeoChat (images.zip) into GeoChat_finetuning/final_images_llava/.",
    dataset=picture_dataset("GeoChatRegionDataset", "GeoChat-Bench/region_captioning.jsonl", images=GEOCHAT_PICTURES),
)

register(
    _GEOCHAT(name="geochat_region", title="GeoChat region captions", prompt=SHOW_REGION, suite="region"),
    _GEOCHAT(name="geochat_region_text", title="GeoChat region captions, box in words", prompt="{question}"),
)
