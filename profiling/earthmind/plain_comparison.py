"""Training steps and answers beside the plain stack's, in turn in one run, on the same weights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from earthmind.task import EarthMindTask
from eocore.errors import ConfigError
from eocore.train.device import local_device
from profiling.earthmind.inference import Answers, build_answers
from profiling.earthmind.plain_stack import PlainAnswers, PlainStep, check_kinds
from profiling.earthmind.samples import FILLER, make_batch
from profiling.earthmind.setting import build_setting
from profiling.measures.timing import time_in_turn

Row = dict[str, float | str]
PLAIN_MIX = ("vqa",) * 15 + ("vqa5",) * 2 + ("vqa10",)
"""The kinds of `samples.MIX` that the plain stack can run."""
SHORTEST, LONGEST, ROUNDS = 4, 64, 3
"""Words of the answers of unlike length, and batches of them."""
TOLERANCE = 1e-4
"""Most by which the losses of both sides may differ, relatively, without dropout."""


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How figures are taken.

    Attributes:
        repeats: timed calls of each side; the fastest counts.
        of_processor: seconds that the process computed, not those that passed.
    """

    repeats: int
    of_processor: bool = False

    def row(self, what: str, works: Mapping[str, Callable[[], object]]) -> Row:
        """Seconds of both sides and their ratio."""
        times = {side: found.best for side, found in time_in_turn(works, repeats=self.repeats, of_processor=self.of_processor).items()}
        return {"what": what, "plain s": times["plain"], "ours s": times["ours"], "faster x": times["plain"] / times["ours"]}


def compare_training(config: Mapping[str, Any], names: Sequence[str], *, effort: Effort) -> list[Row]:
    """Forward and backward of sample kinds: nothing recomputed on both sides, then as the config has it beside nothing, then beside all.

    Raises:
        ConfigError: the plain stack cannot run a kind, or the losses of both sides differ.
    """
    rows, own = [], config.get("gradient_checkpointing", "none")
    for ours, recompute, told in (("none", False, "nothing recomputed"), (own, False, f"ours: {own}"), ("none", True, "plain: all layers")):
        task = build_side(config, ours)
        plain = PlainStep(task, recompute=recompute)
        for name in names:
            check_losses(task, plain, name=name)
            works = {"ours": training_step(task, None, name=name), "plain": training_step(task, plain, name=name)}
            rows.append(effort.row(f"train {name}, {told}", works))
    return rows


def compare_mix(config: Mapping[str, Any], *, row_length: int, effort: Effort) -> Row:
    """Forward and backward of a mix: ours packed into rows, the plain stack one sample after another.

    Args:
        config: of the task; nothing is recomputed on either side.
        row_length: most tokens of a packed row.
        effort: of measuring.
    """
    task = build_side(config, "none")
    plain, device = PlainStep(task), next(task.parameters()).device
    packed = make_batch(task, PLAIN_MIX, row_length=row_length).to(device)
    single = [make_batch(task, [kind]).to(device) for kind in PLAIN_MIX]

    def ours() -> None:
        task.parse_losses(task(packed))[0].backward()
        task.zero_grad()

    def theirs() -> None:
        for batch in single:
            plain.loss(batch).backward()
        plain.model.zero_grad()

    return effort.row(f"train mix, packed to {row_length} tokens", {"ours": ours, "plain": theirs})


def compare_answers(
    config: Mapping[str, Any], names: Sequence[str], *, batches: Sequence[int], same_image: int, effort: Effort
) -> list[Row]:
    """Answers of dictated words: questions about images of their own, then `same_image` questions about one, then answers of unlike length.

    Raises:
        ConfigError: the plain stack cannot run a kind.
    """
    device = local_device()
    answers = build_answers(config, None, device=device, dtype=torch.float32, generation={})
    plain, rows = PlainAnswers(answers.model), []
    for name in names:
        check_kinds(name)
        rows += [effort.row(f"answers {name}, batch {count}", _asking(answers, plain, name=name, together=count)) for count in batches]
        if same_image > 1:
            works = _asking(answers, plain, name=name, together=same_image, one_image=True)
            rows.append(effort.row(f"answers {name}, {same_image} questions about one image", works))
        for count in (count for count in batches if count > 1):
            what = f"answers {name}, {ROUNDS * count} of {SHORTEST} to {LONGEST} words, {count} at once"
            rows.append(effort.row(what, _asking_unlike(answers, plain, name=name, together=count)))
    return rows


def _asking(answers: Answers, plain: PlainAnswers, *, name: str, together: int, one_image: bool = False) -> dict[str, Callable[[], object]]:
    """Both sides' work on the same questions, from encoded samples on."""
    questions = answers.questions(name, together=together, new_tokens=None)
    device, collate = answers.model.device, answers.processor.collate
    if one_image:
        filler = answers.processor.tokenizer.convert_tokens_to_ids(FILLER)
        questions = [batch.about_one_image(filler) for batch in questions]

    def theirs() -> None:
        for batch in questions:
            plain.ask(collate(batch.samples, left_pad=True).to(device), batch.answers.to(device))

    return {"ours": lambda: answers.ask(questions), "plain": theirs}


def _asking_unlike(answers: Answers, plain: PlainAnswers, *, name: str, together: int) -> dict[str, Callable[[], object]]:
    """Both sides' work on answers of unlike length: ours lets questions enter as others leave, plain goes from batch to batch."""
    count = ROUNDS * together
    (batch,) = answers.questions(name, together=count, new_tokens=LONGEST)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    lengths = torch.linspace(SHORTEST, LONGEST, count).round().long()[order].tolist()
    batch = replace(batch, lengths=lengths)
    device, collate = answers.model.device, answers.processor.collate

    def theirs() -> None:
        for first in range(0, count, together):
            own = slice(first, first + together)
            words = batch.answers[own, : max(lengths[own])]
            plain.ask(collate(batch.samples[own], left_pad=True).to(device), words.to(device))

    return {"ours": lambda: answers.ask_joining(batch, at_once=together), "plain": theirs}


def check_losses(task: EarthMindTask, plain: PlainStep, *, name: str) -> None:
    """Raise ConfigError if the losses of a sample kind differ without dropout: the sides would not do the same."""
    batch = make_batch(task, check_kinds(name)).to(next(task.parameters()).device)
    task.eval()
    plain.model.eval()
    with torch.no_grad():
        ours, theirs = float(task.parse_losses(task(batch))[0]), float(plain.loss(batch))
    task.train()
    plain.model.train()
    if abs(ours - theirs) > TOLERANCE * abs(theirs):
        raise ConfigError(f"the loss of {name} is {ours:.6f} for us and {theirs:.6f} for the plain stack: they do not compute the same.")


def training_step(task: EarthMindTask, plain: PlainStep | None, *, name: str) -> Callable[[], None]:
    """One forward and backward of a sample kind, of the task or of the plain stack; gradients are dropped."""
    device = next(task.parameters()).device
    batches = [make_batch(task, [kind]).to(device) for kind in check_kinds(name)]

    def work() -> None:
        for batch in batches:
            loss = task.parse_losses(task(batch))[0] if plain is None else plain.loss(batch)
            loss.backward()
            (task if plain is None else plain.model).zero_grad()

    return work


def build_side(config: Mapping[str, Any], recompute: str) -> EarthMindTask:
    """Our task of a config in float32 with that choice of recomputation."""
    return build_setting(config, device=local_device(), dtype=torch.float32, changes={"gradient_checkpointing": recompute})
