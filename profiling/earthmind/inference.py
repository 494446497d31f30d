"""Answers to questions of stated kinds through the model's own `answer`: speed, memory, and where the time goes; the words are dictated."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import LogitsProcessor

from earthmind.model.batching import Batch, Sample
from earthmind.model.modeling_earthmind import EarthMindForConditionalGeneration
from earthmind.model.processing_earthmind import EarthMindProcessor
from earthmind.predictor import PreparedRecord, RecordAnswerer, load_model
from eocore.errors import ConfigError
from eocore.portable.answer_row import RowOptions
from eocore.predict.joining import Asked, JoinedAnswers
from eocore.replaced import replaced
from profiling.earthmind.parts import PartTimes
from profiling.earthmind.samples import KINDS, SampleKind, encode_question, filler_of, kinds_of, make_scenes
from profiling.earthmind.setting import build_setting
from profiling.measures.memory import GIB, measure_peak
from profiling.measures.operators import count_operators

PARTS = ("vision", "prefill", "decode", "SAM 2 encoder", "SAM 2 decoder", "rest")
"""Rest: moving the batch, preparing SAM 2's pictures, text from tokens, and masks at the size of the images."""


class Dictation(LogitsProcessor):
    """Makes generation write given tokens, row by row, whatever the model would have said; the model computes all the same.

    Args:
        tokens: (R, N) of each row; what goes beyond repeats the last.
    """

    def __init__(self, tokens: Tensor) -> None:
        self.tokens, self.step = tokens, 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        index = min(self.step, self.tokens.shape[1] - 1)
        self.step += 1
        return torch.full_like(scores, -torch.inf).scatter_(1, self.tokens[:, index, None], 0.0)


@dataclass(frozen=True)
class Questions:
    """A batch of questions and what is to be answered.

    Attributes:
        samples: encoded, without an answer.
        sizes: (height, width) [px] of each one's images.
        answers: (R, N) tokens.
        lengths: how many of them each answer has, where all are not equally long; with a cache that grows.
    """

    samples: list[Sample]
    sizes: list[tuple[int, int]]
    answers: Tensor
    lengths: Sequence[int] | None = None

    def about_one_image(self, filler: int) -> "Questions":
        """As many questions about the images of the first; they differ from their first filling token on.

        Args:
            filler: token that fills questions up.
        """
        first, samples = self.samples[0], []
        start = int(first.placeholder_index[-1]) + 1
        differs = start + int((first.input_ids[start:] == filler).nonzero()[0])
        for number in range(len(self.samples)):
            ids = first.input_ids.clone()
            ids[differs] = filler + number
            samples.append(first._replace(input_ids=ids))
        return replace(self, samples=samples, sizes=self.sizes[:1] * len(samples))


class AnswerTimes(PartTimes):
    """Seconds of `PARTS`, summed over batches."""

    def __init__(self) -> None:
        super().__init__(PARTS)

    @contextmanager
    def within(self, model: Any) -> Iterator[None]:
        """Within it, the model's calls tell its parts apart; what begins before the first token is prefill, what follows decode."""
        head = model.seg_head
        parts = (
            (model, "encode_images", "vision"),
            (head, "encode", "SAM 2 encoder"),
            (head, "project_seg", "SAM 2 decoder"),
            (head, "decode_masks", "SAM 2 decoder"),
        )
        with ExitStack() as stack:
            for owner, name, part in parts:
                stack.enter_context(replaced(owner, name, value=self.timed(getattr(owner, name), part)))
            for name in ("read_rows", "_start"):
                stack.enter_context(replaced(model, name, value=self._within("prefill", getattr(model, name))))
            stack.enter_context(replaced(model, "write_rows", value=self._within("decode", model.write_rows)))
            stack.enter_context(replaced(model, "generate", value=self._generate(model, model.generate)))
            yield

    def _within(self, part: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            with self.rest(part):
                return work(*arguments, **named)

        return timed

    def _generate(self, model: Any, work: Callable[..., Any]) -> Callable[..., Any]:
        """Of `generate`: the time until the model has read the prompt goes to prefill, the rest to decode."""

        def timed(*arguments: Any, **named: Any) -> Any:
            read = model._update_model_kwargs_for_generation
            with self.rest("decode"), ExitStack() as prefill:
                prefill.enter_context(self.part("prefill"))

                def note(*outputs: Any, **more: Any) -> Any:
                    prefill.close()  # does something after the prompt alone
                    return read(*outputs, **more)

                with replaced(model, "_update_model_kwargs_for_generation", value=note):
                    return work(*arguments, **named)

        return timed


class Answers:
    """A model that answers questions of sample kinds.

    Args:
        model: on its device.
        processor: its own.
        generation: from `eocore.predict.generation.generation_settings`.
    """

    def __init__(self, model: EarthMindForConditionalGeneration, processor: EarthMindProcessor, *, generation: Mapping[str, Any]) -> None:
        self.model, self.processor, self.generation = model.eval(), processor, dict(generation)

    def ask(self, questions: Sequence[Questions], times: AnswerTimes | None = None) -> None:
        """Answers batch by batch."""
        times = times or AnswerTimes()
        for batch in questions:
            collated = self.processor.collate(batch.samples, left_pad=True)
            with times.within(self.model), times.rest("rest"):
                self._answer(collated, batch)

    def _answer(self, collated: Batch, batch: Questions) -> None:
        tokens, longest = batch.answers.to(self.model.device), batch.answers.shape[1]
        lengths = batch.lengths or [longest] * len(tokens)
        dictated: dict[str, Any] = {"logits_processor": [Dictation(tokens)]}
        if self.model.joins_rows(self.generation, None):
            words = zip(tokens, lengths, strict=True)
            dictated = {"rows": [RowOptions(max_new_tokens=length, processors=[Dictation(row[None])]) for row, length in words]}
        self.model.answer(collated, self.processor, sizes=batch.sizes, max_new_tokens=longest, **dictated, **self.generation)

    def ask_joining(self, batch: Questions, *, at_once: int) -> None:
        """Answers questions of which each enters as soon as there is room; see `eocore.predict.joining`."""
        answerer = RecordAnswerer(self.model, self.processor, generation=self.generation)
        joined, settings = JoinedAnswers(answerer), answerer.row_settings()
        if settings is None:
            raise ConfigError("these answers cannot be joined by others: leave out a cache of fixed size and shortened inputs.")
        lengths = batch.lengths or [batch.answers.shape[1]] * len(batch.samples)
        waiting = deque(
            Asked(
                key=number,
                prepared=PreparedRecord(str(number), sample, size),
                options=RowOptions(max_new_tokens=length, settings=settings, processors=[Dictation(words[None])]),
            )
            for number, (sample, size, words, length) in enumerate(
                zip(batch.samples, batch.sizes, batch.answers.to(self.model.device), lengths, strict=True)
            )
        )
        while waiting or len(joined):
            room = min(len(waiting), at_once - len(joined))
            lost = [*joined.join([waiting.popleft() for _ in range(room)]), *joined.step()]
            for error in (one.error for one in lost if one.error is not None):
                raise error

    def questions(self, name: str, *, together: int, new_tokens: int | None) -> list[Questions]:
        """The batches of a sample kind, `together` questions in each, every one about images of its own.

        Raises:
            ConfigError: unknown kind, or fewer new tokens than it has masks.
        """
        kinds = kinds_of(name)
        kinds = kinds if len(kinds) > 1 else kinds * together
        groups = [kinds[first : first + together] for first in range(0, len(kinds), together)]
        return [self._batch(group, new_tokens, seed=number) for number, group in enumerate(groups)]

    def _batch(self, names: Sequence[str], new_tokens: int | None, *, seed: int) -> Questions:
        rng = np.random.default_rng(seed)
        kinds = [KINDS[name] for name in names]
        length = new_tokens or max(kind.supervised for kind in kinds)
        samples, sizes, rows = [], [], []
        for name, kind in zip(names, kinds, strict=True):
            scenes = make_scenes(kind, tile_size=self.processor.options.tile_size, rng=rng)
            samples.append(encode_question(self.processor, kind, scenes=scenes, name=name))
            sizes.append(next(iter(scenes.values())).pixels.shape[-2:])
            rows.append(self._dictated(name, kind, length=length))
        return Questions(samples, sizes, torch.tensor(rows))

    def _dictated(self, name: str, kind: SampleKind, *, length: int) -> list[int]:
        if length < kind.masks:
            raise ConfigError(f"sample kind {name} has {kind.masks} masks, each a token of the answer; --new-tokens is {length}.")
        filler = self.processor.tokenizer(filler_of(self.processor), add_special_tokens=False).input_ids
        return [self.processor.seg_token_id] * kind.masks + filler * (length - kind.masks)


def build_answers(
    task: Mapping[str, Any] | None, folder: Path | None, *, device: torch.device, dtype: torch.dtype, generation: Mapping[str, Any]
) -> Answers:
    """The model of a folder, or one with a config's sizes and random weights.

    Args:
        task: of the config; None with a folder.
        folder: of a converted model, None for random weights.
        device, dtype: of the weights.
        generation: from `eocore.predict.generation.generation_settings`.

    Raises:
        ConfigError: neither is given.
        CheckpointError: the folder holds no converted model.
    """
    if folder is not None:
        model = load_model(folder, device=str(device)).to(dtype)
        return Answers(model, model.processor, generation=generation)
    if task is None:
        raise ConfigError("nothing says which model: give --config for its sizes, or --model for the folder of a converted one.")
    built = build_setting(task, device=device, dtype=dtype, changes={"lora": None, "gradient_checkpointing": "none"})
    return Answers(built.model, built.processor, generation=generation)


def measure_answers(
    answers: Answers, name: str, *, together: int = 1, new_tokens: int | None = None, repeats: int = 3
) -> dict[str, float | str]:
    """A row of figures of a sample kind.

    Args:
        answers: whose model is asked.
        name: of the kind, or "mix".
        together: questions in a batch.
        new_tokens: of each answer; None = as many as the kind learns in training.
        repeats: timed calls after two that warm up and show the peak of memory; the fastest counts.
    """
    questions = answers.questions(name, together=together, new_tokens=new_tokens)
    answers.ask(questions)  # compiles, where that is wanted
    peak = measure_peak(lambda: answers.ask(questions))
    best = (float("inf"), AnswerTimes())
    for _ in range(repeats):
        times = AnswerTimes()
        answers.ask(questions, times)
        best = min(best, (sum(times.seconds.values()), times), key=lambda found: found[0])
    count = count_operators(lambda: answers.ask(questions))
    seconds, samples = best[0], sum(len(batch.samples) for batch in questions)
    return {
        "what": f"{name}, batch {together}",
        "samples/s": samples / seconds,
        "new tokens/s": sum(batch.answers.numel() for batch in questions) / seconds,
        "prompt tokens": sum(len(sample.input_ids) for batch in questions for sample in batch.samples) / samples,
        "new tokens": sum(batch.answers.numel() for batch in questions) / samples,
        "peak GiB": peak.peak / GIB,
        "rise GiB": peak.rise / GIB,
        **{f"{part} s": value for part, value in best[1].seconds.items()},
        "operators": count.total,
        "waits": sum(count.waits.values()),
    }
