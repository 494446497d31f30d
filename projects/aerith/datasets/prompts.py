"""How the four tasks are asked: one prefix each, in training records and in benchmarks alike.

Prefixes, and the questions for scenes and captions: AerithVLM's README. The questions for listed classes and for positions: LHRS-Bot
(NJU-LHRS/LHRS-Bot at 84d9fdd), whose recipe AerithVLM follows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eocore.data.dataset import Transform
from eocore.data.records import Record
from eocore.data.task_turns import ComposeCaption, ComposeClassification, ComposeGrounding, PrefixQuestions
from eocore.errors import DataError
from eocore.registry import TRANSFORMS

CLS, VQA, CAP, VG = "[CLS] ", "[VQA] ", "[CAP] ", "[VG] "
"""Classification, question answering, captions, visual grounding."""

CHOOSE_CLASS = f"{CLS}Choose the best categories describe the image from: {{classes}}"
NAME_CLASS = f"{CLS}What type of scene is this?"
ASK = f"{VQA}{{question}}"
DESCRIBE = f"{CAP}Describe this satellite image."
LOCATE = f"{VG}{{phrase}}"


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class AerithClassification(ComposeClassification):
    """[CLS] questions; classes as words in lower case. See `ComposeClassification`."""

    templates: Sequence[str] = (CHOOSE_CLASS,)
    as_words: bool = True


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class AerithCaption(ComposeCaption):
    """[CAP] questions. See `ComposeCaption`."""

    prompts: Sequence[str] = (DESCRIBE,)


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class AerithGrounding(ComposeGrounding):
    """[VG] questions. See `ComposeGrounding`."""

    templates: Sequence[str] = (LOCATE,)


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class AerithQuestions(PrefixQuestions):
    """[VQA] questions. See `PrefixQuestions`."""

    prefix: str = VQA


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class AerithTasks:
    """The question of a record's own task, with its prefix: what data sets of several tasks (annotations.json) need. Of phrases with masks
    the box is asked.

    Args:
        decimals: of boxes; see `ComposeGrounding`.
    """

    decimals: int = 2

    def __post_init__(self) -> None:
        self._made: dict[str, Transform] = {
            "classification": AerithClassification(),
            "caption": AerithCaption(),
            "grounding": AerithGrounding(decimals=self.decimals),
            "referring": AerithGrounding(decimals=self.decimals),
            "vqa": AerithQuestions(),
        }

    def __call__(self, record: Record, rng: np.random.Generator) -> Record:
        """The record with its question. Raises DataError where its task is none of the four, and as the task's own transform does."""
        if record.task not in self._made:
            raise DataError(
                f"{record.source}: sample '{record.sample_id}' has the task '{record.task}'; [CLS], [VQA], [CAP] and [VG] are asked of "
                f"{', '.join(self._made)}. Use the transform of the task that is meant, such as AerithQuestions."
            )
        return self._made[record.task](record, rng)
