"""What EarthFM adds to evaluation: ChatEarthNet's captions, and whether a caption names the land cover that the reference does."""

from collections.abc import Mapping, Sequence

import numpy as np

from earthfm.datasets import chatearthnet as _chatearthnet  # noqa: F401  (registers the data set)
from earthfm.datasets.land_cover import LAND_COVER
from eocore.data import registered as _registered  # noqa: F401  (registers the core's datasets)
from eocore.errors import AnnotationError
from eocore.evaluate.benchmarks.catalogue import Benchmark, register
from eocore.evaluate.predictions import Prediction
from eocore.evaluate.scoring.intervals import mean_of
from eocore.evaluate.scoring.parsing.text import said
from eocore.evaluate.scoring.scorers.base import Judged, missing, references_of
from eocore.evaluate.scoring.scorers.texts import Caption
from eocore.evaluate.tasks import GENERATES, TASKS, EvaluationTask
from eocore.registry import METRICS

NUM_TEST_35 = 49_048
"""Images of the test split with captions by GPT-3.5. Source: ChatEarthNet (arXiv 2402.11325)."""
MOSTLY = "mostly "
"""Stands before the class that covers most of the image in captions of the synthetic world (`eocore.synthetic.questions.caption`)."""
SYNTHETIC_CLASSES: Mapping[str, Sequence[str]] = {
    "water": ("water", "lake"),
    "forest": ("forest",),
    "cropland": ("cropland", "field"),
    "built area": ("built area", "building"),
    "bare ground": ("bare ground", "bare area"),
    "grass": ("grass", "meadow"),
}
"""Class -> words that name it, whatever follows them, such as a plural's ending. Source: `eocore.synthetic.world.CLASSES`."""


@METRICS.register_module()
class LandCoverCaption(Caption):
    """Scores of captions, and facts: `majority` (the class that covers most is named as such) and `class_f1` (classes named at all).

    Args:
        classes: class -> words that name it.
        headline: the measure the task is known by.
    """

    def __init__(self, *, classes: Mapping[str, Sequence[str]] = SYNTHETIC_CLASSES, headline: str = "majority") -> None:
        super().__init__(headline=headline)
        self.classes = {name: tuple(words) for name, words in classes.items()}

    def judge(self, samples: Sequence[Prediction]) -> Judged:
        """See `Scorer`. Raises AnnotationError where a reference names no class as the one that covers most."""
        judged = super().judge(samples)
        given = [said(sample.prediction or "").lower() for sample in samples]
        truths = [references_of(sample)[0].lower() for sample in samples]
        right = np.array(
            [self._majority(text) == self._truth(sample, truth) for sample, text, truth in zip(samples, given, truths, strict=True)]
        )
        f1 = [self._f1(self._named(text), self._named(truth)) for text, truth in zip(given, truths, strict=True)]
        measures = {"majority": mean_of(right.astype(float)), "class_f1": mean_of(f1), **judged.measures}
        return Judged(
            samples=samples,
            measures=measures,
            num_missing=missing(samples),
            num_unparsed=judged.num_unparsed,
            quality=judged.quality,
            details=judged.details,
        )

    def _truth(self, sample: Prediction, text: str) -> str:
        found = self._majority(text)
        if not found:
            raise AnnotationError(
                f"sample '{sample.sample_id}': its reference names none of {', '.join(self.classes)} as what covers most ('{MOSTLY}...'). "
                "Give the classes of these captions, or score by Caption."
            )
        return found

    def _majority(self, text: str) -> str:
        """The class that a caption says covers most; "" = none."""
        _, _, rest = text.partition(MOSTLY)
        return next((name for name, words in self.classes.items() if rest.startswith(words)), "")

    def _named(self, text: str) -> set[str]:
        return {name for name, words in self.classes.items() if any(word in text for word in words)}

    @staticmethod
    def _f1(given: set[str], truth: set[str]) -> float:
        return 2 * len(given & truth) / (len(given) + len(truth)) if given or truth else 1.0


TASKS.register(LAND_COVER, EvaluationTask(scorers={GENERATES: {"type": "LandCoverCaption"}}))
register(
    *(
        Benchmark(
            name=f"ChatEarthNet_{kind}",
            title=f"ChatEarthNet ({writer})",
            suite="multispectral",
            task="caption",
            expected=expected,
            settings={"multispectral": ["multispectral"]},
            source="Zenodo 11003436: json_files.zip and the three zips of images, unzipped into ChatEarthNet/.",
            dataset={
                "type": "ChatEarthNetDataset",
                "annotations": f"$root/ChatEarthNet/json_files/ChatEarthNet_caps_{kind}_test.json",
                "folder": "$root/ChatEarthNet",
            },
        )
        for kind, writer, expected in (("35", "GPT-3.5", NUM_TEST_35), ("4v", "GPT-4V", None))
    )
)
