"""Visual question answering: RSVQA (LR, HR) as released and as GeoChat-Bench asks it, and VRSBench."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eocore.data.formats.entries import Entry, as_entries, read_entries, read_object
from eocore.data.records import Record
from eocore.errors import AnnotationError
from eocore.evaluate.benchmarks.catalogue import Benchmark, register
from eocore.evaluate.benchmarks.questions import RGB, SINGLE_WORD, Question, QuestionDataset, picture_dataset, pictures
from eocore.registry import DATASETS

TYPES = {"image": "scene", "rural or urban": "scene", "scene type": "scene", "existence": "presence"}
"""Types of VRSBench that its authors report under another name. Source: VRSBench, evaluation notebook."""


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class RsvqaDataset(QuestionDataset):
    """RSVQA as released: {questions: [{id, img_id, type, question, answers_ids, active}]} with the file of answers beside it.

    Args:
        annotations: ..._questions.json; the answers are looked for in ..._answers.json of the same folder.
        images: modality -> image source; `{name}` is the image's number.
        types: question types to take; () = all.
        prompt: `{question}` stands for the question.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the annotation file's stem.

    Raises:
        AnnotationError: the files break the form, or an active question has no active answer.
    """

    types: Sequence[str] = ()

    def parse(self, path: Path) -> list[Record]:
        answers = read_answers(path.with_name(path.name.replace("questions", "answers")))
        questions = [entry for entry in _listed(path, "questions") if entry.values.get("active", True)]
        chosen = [entry for entry in questions if not self.types or entry.text("type") in self.types]
        return [self._record(entry, answers) for entry in chosen]

    def _record(self, entry: Entry, answers: Mapping[str, str]) -> Record:
        image = entry.identifier("img_id")
        return self.ask(_answered(entry, answers, image=image, number="id", text="question", kind="type"), task="vqa")


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class RsvqaQuestionDataset(QuestionDataset):
    """GeoChat-Bench hrben.jsonl: lines of {image, question_id, category, text}, answered in RSVQA's own file of answers.

    Args:
        annotations: the JSON lines.
        answers: USGS_split_test_phili_answers.json.
        images: modality -> image source; `{name}` is the image field.
        prompt: `{question}` stands for the text, which ends with the request for a short answer.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the annotation file's stem.

    Raises:
        AnnotationError: the files break the form, or a question has no answer.
    """

    answers: str

    def parse(self, path: Path) -> list[Record]:
        answers = read_answers(Path(self.answers))
        return [self._record(entry, answers) for entry in read_entries(path)]

    def _record(self, entry: Entry, answers: Mapping[str, str]) -> Record:
        image = entry.text("image")
        return self.ask(_answered(entry, answers, image=image, number="question_id", text="text", kind="category"), task="vqa")


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class VrsbenchDataset(QuestionDataset):
    """VRSBench_EVAL_vqa.json and VRSBench_EVAL_Cap.json: a list of {image_id, question, ground_truth, question_id, type}.

    The sample id is the entry's number and question id, since a question id alone is not promised to be unique.

    Args:
        annotations: the JSON file.
        images: modality -> image source; `{name}` is the image id, a file name.
        task: "vqa" or "caption".
        prompt: `{question}` stands for the question.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the annotation file's stem.

    Raises:
        AnnotationError: an entry breaks the form.
    """

    task: str = "vqa"

    def parse(self, path: Path) -> list[Record]:
        return [self._record(number, entry) for number, entry in enumerate(read_entries(path))]

    def _record(self, number: int, entry: Entry) -> Record:
        answer = entry.identifier("ground_truth")
        meta: dict[str, Any] = {"question_id": entry.identifier("question_id")}
        if self.task == "vqa":
            kind = entry.text("type").strip().lower().removeprefix("object ")
            meta["type"] = TYPES.get(kind, kind)
        else:
            meta["references"] = [answer]
        question = Question(
            sample_id=f"{number}-{meta['question_id']}",
            image=entry.text("image_id"),
            source=entry.source,
            text=entry.text("question"),
            answer=answer,
            meta=meta,
        )
        return self.ask(question, task=self.task)


def read_answers(path: Path) -> dict[str, str]:
    """Question id -> answer, of the active answers of an RSVQA file.

    Raises:
        AnnotationError: the file breaks the form, or one question has two different answers.
    """
    found: dict[str, str] = {}
    for entry in _listed(path, "answers"):
        if not entry.values.get("active", True):
            continue
        number, answer = entry.identifier("question_id"), entry.identifier("answer")
        if found.setdefault(number, answer) != answer:
            raise AnnotationError(f"{entry.source}: question {number} has the answers '{found[number]}' and '{answer}'. Keep one of them.")
    return found


def answer_of(number: str, answers: Mapping[str, str], *, source: str) -> str:
    """The answer to a question. Raises AnnotationError where there is none."""
    if number not in answers:
        raise AnnotationError(f"{source}: question {number} has no answer in the file of answers. The files are of different releases.")
    return answers[number]


def _answered(entry: Entry, answers: Mapping[str, str], *, image: str, number: str, text: str, kind: str) -> Question:
    """The question of an entry with the answer of its number; `number`, `text` and `kind` (of question): names of its fields."""
    sample_id = entry.identifier(number)
    return Question(
        sample_id=sample_id,
        image=image,
        source=entry.source,
        text=entry.text(text),
        answer=answer_of(sample_id, answers, source=entry.source),
        meta={"type": entry.text(kind)},
    )


def _listed(path: Path, key: str) -> list[Entry]:
    return as_entries(read_object(path, f"with '{key}'").get(key), f"{path} {key}")


_SHORT_ANSWER = f"{{question}}\n{SINGLE_WORD}"

register(
    Benchmark(
        name="rsvqa_lr",
        title="RSVQA-LR test",
        suite="image",
        task="vqa",
        prompt=_SHORT_ANSWER,
        settings=RGB,
        expected=10004,
        max_new_tokens=16,
        source="Zenodo record 6344334: LR_split_test_{questions,answers,images}.json and Images_LR/ into RSVQA_LR/.",
        dataset=picture_dataset(
            "RsvqaDataset", "RSVQA_LR/LR_split_test_questions.json", images=pictures("$root/RSVQA_LR/Images_LR", "{name}.tif")
        ),
    ),
    Benchmark(
        name="rsvqa_hrben",
        title="RSVQA-HRBEN (GeoChat-Bench)",
        suite="image",
        task="vqa",
        settings=RGB,
        max_new_tokens=16,
        source="GeoChat-Bench/hrben.jsonl; Zenodo 6344367: USGS_split_test_phili_answers.json into HRBEN_questions/, images into HRBEN/.",
        dataset=picture_dataset(
            "RsvqaQuestionDataset",
            "GeoChat-Bench/hrben.jsonl",
            answers="$root/HRBEN_questions/USGS_split_test_phili_answers.json",
            images=pictures("$root/HRBEN", ["{name}", "{stem}.tif", "{stem}.png"]),
        ),
    ),
    Benchmark(
        name="rsvqa_hr_phili",
        title="RSVQA-HR Philadelphia (presence, comp)",
        task="vqa",
        prompt=_SHORT_ANSWER,
        settings=RGB,
        expected=62554,
        max_new_tokens=16,
        source="Zenodo record 6344367: USGS_split_test_phili_{questions,answers}.json into HRBEN_questions/, images into HRBEN/.",
        dataset=picture_dataset(
            "RsvqaDataset",
            "HRBEN_questions/USGS_split_test_phili_questions.json",
            images=pictures("$root/HRBEN", ["{name}.tif", "{name}.png"]),
            types=["presence", "comp"],
        ),
    ),
    Benchmark(
        name="vrsbench_vqa",
        title="VRSBench VQA",
        suite="image",
        task="vqa",
        metric={"type": "ShortAnswer", "match": "contained"},
        prompt=_SHORT_ANSWER,
        settings=RGB,
        expected=37409,
        max_new_tokens=32,
        source="VRSBench (Hugging Face xiang709/VRSBench): VRSBench_EVAL_vqa.json and Images_val/ into VRSBench/.",
        dataset=picture_dataset("VrsbenchDataset", "VRSBench/VRSBench_EVAL_vqa.json", images="VRSBench/Images_val"),
    ),
)
