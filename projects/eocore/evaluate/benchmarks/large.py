"""Questions about whole satellite scenes: Landsat30-AU (choices) and LRS-VQA (open, images of up to 27,000 px)."""

import ast
from dataclasses import dataclass
from pathlib import Path

from eocore.data.formats.entries import Entry, each, read_entries, shorten
from eocore.data.formats.multiple_choice import read_candidates
from eocore.data.formats.tables import read_csv
from eocore.data.records import Record
from eocore.errors import AnnotationError
from eocore.evaluate.benchmarks.catalogue import Benchmark, register
from eocore.evaluate.benchmarks.questions import RGB, SINGLE_WORD, Question, QuestionDataset, picture_dataset
from eocore.registry import DATASETS

CHOOSE = "{question}\nonly output the correct option."


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class Landsat30Dataset(QuestionDataset):
    """Landsat30-AU-VQA-test.csv: image_path, question, question_type, options (a Python list of texts), answer, challenge_case, qa_id.

    Meta has `type` (question_type) and `challenge_case`. Source: github.com/papersubmit1/landsat30-au, lightweight_files/vqa_gt.
    """

    default_prompt = CHOOSE

    def parse(self, path: Path) -> list[Record]:
        return each(read_csv(path), self._record)

    def _record(self, entry: Entry) -> Record:
        answer = entry.text("answer")
        candidates = read_candidates(Entry({"options": _options(entry)}, entry.source), "options", answer=answer)
        text = "\n".join([entry.text("question"), *candidates])
        meta = {"candidates": candidates, "type": entry.text("question_type"), "challenge_case": entry.text("challenge_case")}
        question = Question(
            sample_id=entry.identifier("qa_id"), image=entry.text("image_path"), source=entry.source, text=text, answer=answer, meta=meta
        )
        return self.ask(question, task="mcq")


def _options(entry: Entry) -> list[str]:
    """The candidates of a row. Raises AnnotationError where they are no list of texts."""
    text = entry.text("options")
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        found = None
    if not isinstance(found, list):
        raise AnnotationError(f"{entry.source}: options must be a list of texts such as ['One', 'Two'], found {shorten(text)}.")
    return found


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class LrsVqaDataset(QuestionDataset):
    """LRS-VQA's JSON lines: {question_id, image, text, ground_truth, category}; meta has `type` (category).

    Source: github.com/VisionXLab/LRS-VQA, Script/llava_eval_LRSVQA.py. Its own scoring counts WordNet synonyms as right besides; ours does
    not, since its word list is not part of the set.
    """

    def parse(self, path: Path) -> list[Record]:
        return each(read_entries(path), self._record)

    def _record(self, entry: Entry) -> Record:
        question = Question(
            sample_id=entry.identifier("question_id"),
            image=entry.text("image"),
            source=entry.source,
            text=entry.text("text"),
            answer=entry.identifier("ground_truth"),
            meta={"type": entry.text("category")},
        )
        return self.ask(question, task="vqa")


register(
    Benchmark(
        name="landsat30_au",
        title="Landsat30-AU VQA test",
        suite="image",
        task="mcq",
        prompt=CHOOSE,
        settings=RGB,
        source="github.com/papersubmit1/landsat30-au: Landsat30-AU-VQA-test.csv and DEA_VLM_images/ into Landsat30-AU/.",
        dataset=picture_dataset("Landsat30Dataset", "Landsat30-AU/Landsat30-AU-VQA-test.csv", images="Landsat30-AU"),
    ),
    Benchmark(
        name="lrs_vqa",
        title="LRS-VQA",
        suite="image",
        task="vqa",
        prompt=f"{{question}}\n{SINGLE_WORD}",
        settings=RGB,
        source="github.com/VisionXLab/LRS-VQA: LRS_VQA_merged.jsonl and image/ into LRS-VQA/.",
        dataset=picture_dataset("LrsVqaDataset", "LRS-VQA/LRS_VQA_merged.jsonl", images="LRS-VQA/image"),
    ),
)
