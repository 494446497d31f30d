"""How the four tasks are asked: one prefix each, in training records and in benchmarks alike.

Prefixes and the first question of each: AerithVLM's README. The questions for classes and positions, and the further questions for
captions: LHRS-Bot (Muhtar et al. 2024), whose data the model family is trained on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from eocore.data.task_turns import ComposeCaption, ComposeClassification, ComposeGrounding, PrefixQuestions
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
    """[CLS] questions; classes in lower case. See `ComposeClassification`."""

    templates: Sequence[str] = (CHOOSE_CLASS,)
    lower: bool = True


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
