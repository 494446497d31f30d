"""Transforms: (record, rng) -> record. They choose and word; they open no file."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from eocore.data.records import Expression, MaskRef, Record, is_role, with_roles
from eocore.errors import ConfigError, DataError
from eocore.portable.messages import IMAGE_PLACEHOLDER, SEG_PLACEHOLDER, Part, Seg, Text, Turn, joined, read_parts
from eocore.registry import TRANSFORMS

QUESTIONS = (
    "Please segment {phrase} in this image.",
    "Can you segment {phrase} in this image?",
    "Please show where {phrase} is in this image.",
    "Where is {phrase}? Please draw its mask.",
    "Please outline {phrase} in this image.",
)
ANSWERS = (
    "Sure, [SEG].",
    "Sure, it is [SEG].",
    "It is [SEG].",
    "Here it is: [SEG].",
    "[SEG].",
)
ABSENT_ANSWERS = (
    "It is not in this image.",
    "There is no such thing in this image.",
    "I cannot find it in this image.",
)


@TRANSFORMS.register_module()
class ChooseModalities:
    """Feeds one setting of several: keeps the images of its roles, drops the record's others, and notes it as `meta["setting"]`.

    A setting is available to a record that has an image of all its roles. One of the available settings is drawn by weight, so a record
    without SAR is never drawn as "sar" or "fused". One setting alone is a fixed choice.

    Args:
        settings: name -> roles, e.g. {"optical": ["multispectral"], "sar": ["sar"], "fused": ["multispectral", "sar"]}.
        weights: name -> relative frequency, of every setting; None = all alike.

    Raises:
        ConfigError: no setting, a repeated role or one that is no word, or weights that do not fit the settings.
    """

    def __init__(self, *, settings: Mapping[str, Sequence[str]], weights: Mapping[str, float] | None = None) -> None:
        for name, roles in settings.items():
            if not roles or isinstance(roles, str) or not all(map(is_role, roles)) or len(set(roles)) < len(roles):
                raise ConfigError(f"ChooseModalities: setting '{name}' must list roles such as 'rgb' or 'sar', each once, found {roles!r}.")
        weights = dict.fromkeys(settings, 1.0) if weights is None else weights
        if set(weights) != set(settings) or any(not weight >= 0 for weight in weights.values()) or not sum(weights.values()) > 0:
            raise ConfigError(
                f"ChooseModalities: weights must give each of {', '.join(settings) or 'at least one setting'} a number of at least 0, "
                f"not all 0; found {dict(weights)}."
            )
        self.roles = tuple(dict.fromkeys(role for roles in settings.values() for role in roles))
        self.settings = {name: tuple(roles) for name, roles in settings.items()}
        self.weights = {name: float(weights[name]) for name in settings}

    def __call__(self, record: Record, rng: np.random.Generator) -> Record:
        """The record with the images of one setting. Raises DataError where the record has the images of none."""
        available = [name for name, wanted in self.settings.items() if self.weights[name] > 0 and set(wanted) <= set(record.roles)]
        if not available:
            needed = "; ".join(f"{name}: {', '.join(wanted)}" for name, wanted in self.settings.items() if self.weights[name] > 0)
            raise DataError(
                f"{record.source}: sample '{record.sample_id}' has images for {', '.join(record.roles) or 'nothing'}, but the settings "
                f"need {needed}. Add a setting, or fetch the images."
            )
        weights = np.array([self.weights[name] for name in available])
        name = available[int(rng.choice(len(available), p=weights / weights.sum()))]
        return replace(with_roles(record, self.settings[name]), meta={**record.meta, "setting": name})


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class ComposeReferring:
    """Makes a conversation of a record's referring expressions: one question and one answer each, masks in order.

    A phrase that has no target is answered without [SEG]. The chosen expressions stay in the record.

    Args:
        num_expressions: questions of one conversation; fewer where the record has fewer and they are not to repeat.
        templates: questions, each with `{phrase}` once; one is drawn for each.
        answers: answers, each with [SEG] once; one is drawn for each. `{phrase}` in it becomes the phrase ("<p>{phrase}</p>[SEG]"),
            `{place}` where the target lies ("[SEG] {place} {phrase}"); an unknown location leaves no gap.
        absent_answers: answers to a phrase without a target.
        unique: draw different expressions, in random order. False = the upstream recipe: `num_expressions` draws with replacement.
        lower: write the phrase in lower case, as upstream does for training.
        strip_period: take points off the end of the phrase, as upstream does for training.
        prefix: put before the first question of a record with images.

    Raises:
        ConfigError: a count below 1, no template or answer, or one without its placeholder.
    """

    num_expressions: int = 5
    templates: Sequence[str] = QUESTIONS
    answers: Sequence[str] = ANSWERS
    absent_answers: Sequence[str] = ABSENT_ANSWERS
    unique: bool = True
    lower: bool = True
    strip_period: bool = True
    prefix: str = f"{IMAGE_PLACEHOLDER}\n"

    def __post_init__(self) -> None:
        if self.num_expressions < 1:
            raise ConfigError(f"ComposeReferring: num_expressions must be at least 1, found {self.num_expressions}.")
        _check_templates("templates", self.templates, placeholder="{phrase}", count=1)
        _check_templates("answers", self.answers, placeholder=SEG_PLACEHOLDER, count=1)
        _check_templates("absent_answers", self.absent_answers, placeholder=SEG_PLACEHOLDER, count=0)
        if self.prefix.count(IMAGE_PLACEHOLDER) != 1:
            raise ConfigError(f"ComposeReferring: prefix must hold {IMAGE_PLACEHOLDER} once, found {self.prefix!r}.")

    def __call__(self, record: Record, rng: np.random.Generator) -> Record:
        """The record with turns and masks. Raises DataError where it has no expression."""
        if not record.expressions:
            raise DataError(
                f"{record.source}: sample '{record.sample_id}' has no referring expression. Use ComposeReferring on referring data only."
            )
        total = len(record.expressions)
        count = min(self.num_expressions, total) if self.unique else self.num_expressions
        chosen = tuple(record.expressions[int(index)] for index in rng.choice(total, size=count, replace=not self.unique))
        turns: list[Turn] = []
        masks: list[MaskRef] = []
        for expression in chosen:
            prefix = read_parts(self.prefix, "user") if record.images and not turns else ()
            phrase = self._phrase(expression, record)
            answer = _draw(self.absent_answers if expression.mask is None else self.answers, rng)
            turns.append(Turn("user", joined([*prefix, Text(_draw(self.templates, rng).replace("{phrase}", phrase))])))
            turns.append(Turn("assistant", _fill_answer(answer, phrase=phrase, position=expression.place, mask=Seg(len(masks)))))
            masks += [] if expression.mask is None else [expression.mask]
        return replace(record, turns=tuple(turns), masks=tuple(masks), expressions=chosen)

    def _phrase(self, expression: Expression, record: Record) -> str:
        phrase = expression.text.strip()
        if self.strip_period:
            phrase = phrase.rstrip(".").rstrip()
        if not phrase:
            raise DataError(f"{record.source}: sample '{record.sample_id}' has an empty phrase {expression.text!r}. Correct the entry.")
        return phrase.lower() if self.lower else phrase


def _check_templates(argument: str, templates: Sequence[str], *, placeholder: str, count: int) -> None:
    if isinstance(templates, str) or not templates:
        raise ConfigError(f"ComposeReferring: {argument} must be a list of at least one text, found {templates!r}.")
    for template in templates:
        if template.count(placeholder) != count or IMAGE_PLACEHOLDER in template:
            raise ConfigError(
                f"ComposeReferring: each of {argument} must hold {placeholder} {count} times, and no {IMAGE_PLACEHOLDER} "
                f"(`prefix` holds it), found {template!r}."
            )


def _fill_answer(answer: str, *, phrase: str, position: str, mask: Seg) -> tuple[Part, ...]:
    """The parts of an answer by a template; what the annotation says is words, whatever it holds."""
    if "{place}" in answer:
        answer = " ".join(answer.replace("{place}", "{place}" if position else "").split())
    filled = {"{phrase}": phrase, "{place}": " ".join(position.split())}
    texts = [re.sub(r"\{(phrase|place)\}", lambda match: filled[match[0]], text) for text in answer.split(SEG_PLACEHOLDER)]
    parts: list[Part] = [Text(texts[0])]
    for text in texts[1:]:
        parts += [mask, Text(text)]
    return joined(parts)


def _draw(texts: Sequence[str], rng: np.random.Generator) -> str:
    return texts[int(rng.integers(len(texts)))]
