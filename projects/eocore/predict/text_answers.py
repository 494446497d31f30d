"""Answers in text of models that read pictures in a prompt (`eocore.portable.image_language_model`), whatever system they are of."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch

from eocore.data.records import Record
from eocore.data.sample_errors import named_after
from eocore.errors import AlignmentError, DataError
from eocore.portable.answer_row import AnswerRow
from eocore.portable.generation_options import merge_options
from eocore.portable.messages import as_turns, with_images
from eocore.portable.position_limit import most_prompt_tokens
from eocore.portable.running_batch import ReadPrompts, can_join
from eocore.predict.answers import Prediction
from eocore.predict.generation import check_with_model, generation_settings
from eocore.predict.precision import load_dtype, settle
from eocore.predict.streaming import AnswerStreamer
from eocore.sensors.scene import Scene, by_role
from eocore.system import PredictorOptions
from eocore.train.device import check_device, local_device

NO_MASKS = np.zeros((0, 1, 1), dtype=bool)


class TextAnswer(NamedTuple):
    """What was answered; `masks` is empty."""

    text: str
    masks: np.ndarray = NO_MASKS


class TextAnswerer:
    """Answers the last question of each record, after the questions and answers before it, greedily unless options say otherwise.

    Args:
        model: with `generate_for`, in eval mode, on its device.
        processor: the model's, a `ChatProcessor` with `encode` and `collate`.
        max_new_tokens: longest answer.
        generation: options of `generation_settings`.

    Raises:
        ConfigError: a generation option, here or in the model's generation config, is unknown or does not fit the others.
    """

    watched: int | None = None

    def __init__(self, model: Any, processor: Any, *, max_new_tokens: int, generation: Mapping[str, Any] | None = None) -> None:
        self.model, self.processor, self.max_new_tokens = model, processor, max_new_tokens
        settings = generation_settings(generation or {})
        check_with_model(settings, model, max_new_tokens=max_new_tokens)
        self.settings = {"do_sample": False, **processor.stop_settings(), **merge_options(settings)}

    def __call__(self, samples: Sequence[tuple[Record, Sequence[Scene]]]) -> list[TextAnswer]:
        """One answer a record. Raises DataError where a record does not fit the model."""
        return self.answer([self.prepare(sample) for sample in samples])

    def prepare(self, sample: tuple[Record, Sequence[Scene]]) -> Any:
        """What of a record's answer needs no model. Raises DataError where the record does not fit the model."""
        record, scenes = sample
        if not record.turns:
            raise AlignmentError(
                f"{record.source}: the record asks no question, which is what this model answers. Use a data set of questions."
            )
        turns = record.turns[:-1] if record.turns[-1].role == "assistant" else record.turns
        with named_after(record):
            return self.encode(by_role(scenes, source=record.source), turns, sample_id=record.sample_id)

    def encode(self, images: Mapping[str, Any], turns: Sequence[Any], *, sample_id: str) -> Any:
        """A prompt of turns about images by role. Raises ValueError where they do not fit the model."""
        limit = most_prompt_tokens(self.model.config.text_config)
        shown = with_images(as_turns(turns)) if images else turns
        return self.processor.encode(images, shown, for_generation=True, max_length=limit, sample_id=sample_id)

    @torch.no_grad()
    def answer(self, prepared: Sequence[Any]) -> list[TextAnswer]:
        """One answer for each prompt, all in one batch."""
        batch = self.processor.collate(prepared, left_pad=True).to(self.model.device)
        made = self.model.generate_for(batch, max_new_tokens=self.max_new_tokens, **self.settings)
        return [TextAnswer(self.processor.decode_answer(row)) for row in made]

    def row_settings(self) -> Mapping[str, Any] | None:
        """See `eocore.predict.joining.JoiningAnswerer`."""
        return self.settings if can_join(self.model, self.settings) else None

    def read(self, prepared: Sequence[Any]) -> ReadPrompts:
        """See `eocore.predict.joining.JoiningAnswerer`."""
        prompts: ReadPrompts = self.model.read_for(self.processor.collate(prepared, left_pad=True).to(self.model.device))
        return prompts

    def finish(self, prepared: Sequence[Any], rows: Sequence[AnswerRow]) -> list[TextAnswer]:
        """See `eocore.predict.joining.JoiningAnswerer`."""
        return [TextAnswer(self.processor.decode_answer(torch.tensor(row.tokens))) for row in rows]


class ChatPredictor:
    """Implements Generates, LoadsWeights, AnswersImages, DeclaresRoles, Chats and Converses.

    Args:
        options: how the model is loaded and answers.

    Raises:
        ConfigError: a generation option is unknown or does not fit the others.

    Attributes:
        roles: of the images that the model reads.
    """

    roles: ClassVar[tuple[str, ...]]
    boxes_by_masks = False

    def __init__(self, options: PredictorOptions) -> None:
        generation_settings(options.generation)  # what is wrong in them is said before the model is loaded
        self.options = options

    @abstractmethod
    def read_model(self) -> tuple[Any, Any]:
        """Model and processor, in memory."""

    @property
    def device(self) -> str:
        """Where the model computes. Raises ConfigError where there is no such device."""
        return check_device(self.options.device) if self.options.device else str(local_device())

    @property
    def load_dtype(self) -> Any:
        """In what the weights are held."""
        return load_dtype(self.options, self.device)

    @cached_property
    def parts(self) -> tuple[Any, Any]:
        """The model on its device, in eval mode, and its processor."""
        model, processor = self.read_model()
        return settle(model.to(self.device).eval(), self.options), processor

    def load(self) -> None:
        """Reads the weights. Raises CheckpointError where the folder is damaged."""
        self.parts  # noqa: B018  (a property that loads)

    def answerer(self, max_new_tokens: int) -> TextAnswerer:
        """What answers the last question of records. Raises ConfigError as `TextAnswerer`."""
        model, processor = self.parts
        return TextAnswerer(model, processor, max_new_tokens=max_new_tokens, generation=self.options.generation)

    def followed_answerer(self, max_new_tokens: int, *, generation: Mapping[str, Any], objects: Mapping[str, Any]) -> TextAnswerer:
        """See `eocore.predict.following.FollowsAnswers`."""
        model, processor = self.parts
        options = {**self.options.generation, **generation}
        answerer = TextAnswerer(model, processor, max_new_tokens=max_new_tokens, generation=options)
        answerer.settings |= objects
        return answerer

    @property
    def processor(self) -> Any:
        """Of the model."""
        return self.parts[1]

    def predict(self, scenes: Mapping[str, Scene], text: str, *, max_new_tokens: int) -> Prediction:
        """The answer to one question about images. Raises DataError where the model cannot take them."""
        return self.converse(scenes, [("user", text)], max_new_tokens=max_new_tokens)

    def converse(
        self,
        scenes: Mapping[str, Scene],
        turns: Sequence[tuple[str, str]],
        *,
        max_new_tokens: int,
        write: Callable[[str], None] | None = None,
    ) -> Prediction:
        """See `eocore.predict.chat.Converses`."""
        answerer = self.answerer(max_new_tokens)
        if write is not None:
            processor = answerer.processor
            ends = (processor.end_of_turn.strip(), processor.tokenizer.eos_token or "")
            answerer.settings["streamer"] = AnswerStreamer(processor.tokenizer, write, ends=ends)
        (answer,) = self._ask(answerer, [(scenes, turns)])
        return Prediction(answer, NO_MASKS, next(iter(scenes), ""), scenes)

    def chat(self, questions: Sequence[tuple[Mapping[str, Any], str]], *, max_new_tokens: int) -> list[str]:
        """One text for each (pictures by role, question), all in one batch. Raises DataError where the model cannot take one."""
        return self._ask(self.answerer(max_new_tokens), [(images, [("user", text)]) for images, text in questions])

    @staticmethod
    def _ask(answerer: TextAnswerer, asked: Sequence[tuple[Mapping[str, Any], Sequence[tuple[str, str]]]]) -> list[str]:
        try:
            prompts = [answerer.encode(dict(images), turns, sample_id="the question") for images, turns in asked]
        except ValueError as error:  # what the processor raises for samples that the model cannot take
            raise DataError(f"the model cannot answer this: {error}") from error
        return [answer.text for answer in answerer.answer(prompts)]


class TrainingChatPredictor(ChatPredictor):
    """The same of a model in training, whose mode and weights stay as they are.

    Args:
        model: of the task.
        processor: of the training.
        options: of generation; the device is the model's.
    """

    def __init__(self, model: Any, processor: Any, *, options: PredictorOptions) -> None:
        super().__init__(options)
        self.parts = (model, processor)

    def read_model(self) -> tuple[Any, Any]:
        """Model and processor, in memory."""
        return self.parts
