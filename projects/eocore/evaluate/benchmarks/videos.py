"""Questions about videos: VNBench, whose needles are pasted into its videos."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from eocore.data.formats.entries import Entry, each, read_entries
from eocore.data.formats.multiple_choice import read_candidates
from eocore.data.io.video_files import frame_refs
from eocore.data.records import Record
from eocore.errors import ConfigError
from eocore.evaluate.benchmarks.catalogue import Benchmark, register
from eocore.evaluate.benchmarks.questions import RGB, Question, QuestionDataset, picture_dataset
from eocore.evaluate.predictions import Prediction
from eocore.evaluate.scoring.intervals import mean_of
from eocore.evaluate.scoring.scorers.answers import Choice
from eocore.evaluate.scoring.scorers.base import Judged
from eocore.portable.series import MAX_FRAMES
from eocore.registry import DATASETS, METRICS

CHOOSE = "{question}\nAnswer with the option's letter from the given choices directly."
"""Source: the README of github.com/joez17/VideoNIAH."""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
VIDEO = "video"
"""Field of meta: which questions are of one video."""


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class VnBenchDataset(QuestionDataset):
    """VNBench-main-4try.json: [{video, question, options, gt, type, try}], four questions a video that differ in the order of options.

    Of `video` the last part is the file's name. Meta has `type` (of nine), `video` and `try`. Sources: github.com/joez17/VideoNIAH,
    github.com/VectorSpaceLab/Video-XL (eval/eval_vnbench.py).

    Args:
        annotations: the annotation file.
        images: rgb -> image source of the videos.
        prompt: what is asked; `{question}` stands for the question and its options.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the annotation file's stem.
        max_frames_num: most frames that are shown of a video, at even distances.

    Raises:
        ConfigError: fewer frames than one, or PyAV is not installed.
        DataError: a video is missing, or cannot be read.
        AnnotationError: an entry breaks the form.
    """

    default_prompt = CHOOSE

    max_frames_num: int = MAX_FRAMES

    def __post_init__(self) -> None:
        if self.max_frames_num < 1:
            raise ConfigError(f"{type(self).__name__}: max_frames_num={self.max_frames_num}; expected at least 1.")
        super().__post_init__()

    def parse(self, path: Path) -> list[Record]:
        tries: Counter[str] = Counter()
        return each(read_entries(path), lambda entry: self._record(entry, tries))

    def _record(self, entry: Entry, tries: Counter[str]) -> Record:
        name = PurePosixPath(entry.text("video")).name
        texts = read_candidates(entry, "options", answer=entry.identifier("gt"))
        candidates = [f"{letter}. {text}" for letter, text in zip(LETTERS, texts, strict=False)]
        right = [text.strip().casefold() for text in texts].index(entry.identifier("gt").strip().casefold())
        question = Question(
            sample_id=f"{PurePosixPath(name).stem}_{tries[name]}",
            image=name,
            source=entry.source,
            text="\n".join([entry.text("question"), *candidates]),
            answer=candidates[right],
            meta={"candidates": candidates, "type": entry.text("type"), VIDEO: name, "try": entry.identifier("try")},
        )
        tries[name] += 1
        record = self.ask(question, task="mcq")
        refs = [frame for ref in record.images for frame in frame_refs(ref, self.max_frames_num, root=self.image_root(ref))]
        return replace(record, images=tuple(refs))


@METRICS.register_module()
class EveryTry(Choice):
    """Fraction of videos whose questions were all answered rightly (`accuracy_every_try`), beside those of `Choice`, question by question.

    The mean over question types (`macro`) is VNBench's overall score. Source: github.com/joez17/VideoNIAH, evaluation/eval.py.
    """

    headline = "accuracy_every_try"

    def judge(self, samples: Sequence[Prediction]) -> Judged:
        """See `Scorer`."""
        judged = super().judge(samples)
        videos = [str(sample.meta[VIDEO]) for sample in samples]
        number, right = Counter(videos), Counter[str]()
        for video, quality in zip(videos, judged.quality, strict=True):
            right[video] += int(quality)
        part = np.array([1 / number[video] for video in videos])
        every = mean_of(part * [right[video] == number[video] for video in videos], part)
        return replace(judged, measures={self.headline: every, **judged.measures})


register(
    Benchmark(
        name="vnbench",
        title="VNBench",
        suite="video",
        task="mcq",
        prompt=CHOOSE,
        metric={"type": "EveryTry"},
        settings=RGB,
        expected=5400,
        source="github.com/joez17/VideoNIAH: VNBench-main-4try.json and the videos, in one folder video/, into VNBench/.",
        dataset=picture_dataset("VnBenchDataset", "VNBench/VNBench-main-4try.json", images="VNBench/video", max_frames_num=MAX_FRAMES),
    ),
)
