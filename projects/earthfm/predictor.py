"""EarthFM models that answer: single questions, records of an evaluation, questions of a chat; and vectors of their images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from earthfm.datasets.preparation import question_turns
from earthfm.model.batching import Sample
from earthfm.model.modeling_earthfm import EarthFmForConditionalGeneration
from earthfm.model.processing_earthfm import EarthFmProcessor
from earthfm.model.sensor_inputs import SensorInputs, join_samples
from earthfm.pretrained import read_processor
from eocore.data.records import Record
from eocore.data.sample_errors import named_after
from eocore.errors import DataError, LengthError
from eocore.models import folders
from eocore.portable.answer_row import AnswerRow
from eocore.portable.position_limit import SampleTooLongError, most_prompt_tokens
from eocore.portable.running_batch import ReadPrompts, can_join
from eocore.predict.answers import Prediction
from eocore.predict.generation import check_with_model, generation_settings
from eocore.predict.precision import load_dtype, settle
from eocore.sensors.scene import Scene
from eocore.system import PredictorOptions
from eocore.train.device import check_device, local_device

NO_MASKS = np.zeros((0, 1, 1), bool)


@dataclass(frozen=True)
class Answer:
    """One answer; see `eocore.evaluate.protocols.AnswerLike`.

    Attributes:
        text: of the answer.
        masks: none: this model draws nothing.
    """

    text: str
    masks: np.ndarray


class RecordAnswerer:
    """Answers the last question of each record, or says what the image shows where the record has captions alone.

    Args:
        model: in eval mode, on its device.
        processor: the model's.
        max_new_tokens: longest answer.
        generation: options of `generation_settings`.

    Raises:
        ConfigError: a generation option, here or in the model's generation config, is unknown or does not fit the others.
    """

    watched: int | None = None

    def __init__(
        self,
        model: EarthFmForConditionalGeneration,
        processor: EarthFmProcessor,
        *,
        max_new_tokens: int = 256,
        generation: Mapping[str, Any] | None = None,
    ) -> None:
        self.model, self.processor, self.max_new_tokens = model, processor, max_new_tokens
        self.generation = generation_settings(generation or {})
        check_with_model(self.generation, model, max_new_tokens=max_new_tokens)

    def __call__(self, samples: Sequence[tuple[Record, Sequence[Scene]]]) -> list[Answer]:
        """One answer a record. Raises DataError where a record does not fit its images, or an image the encoder."""
        return self.answer([self.prepare(sample) for sample in samples])

    def prepare(self, sample: tuple[Record, Sequence[Scene]]) -> Sample:
        """What of a record's answer needs no model; several threads may prepare at once. Raises DataError as `__call__`."""
        record, scenes = sample
        with named_after(record):
            return self.processor.encode(
                list(scenes),
                question_turns(record, self.processor),
                for_generation=True,
                max_length=most_prompt_tokens(self.model.config.text_config),
                sample_id=record.sample_id,
            )

    def answer(self, prepared: Sequence[Sample]) -> list[Answer]:
        """One answer a record."""
        batch = self.processor.collate(prepared, left_pad=True)
        texts = self.model.answer(batch, self.processor, max_new_tokens=self.max_new_tokens, **self.generation)
        return [Answer(text, NO_MASKS) for text in texts]

    def row_settings(self) -> Mapping[str, Any] | None:
        """See `eocore.predict.joining.JoiningAnswerer`."""
        settings = {"do_sample": False, **self.processor.stop_settings(), **self.generation}
        return settings if can_join(self.model, settings) else None

    def read(self, prepared: Sequence[Sample]) -> ReadPrompts:
        """See `eocore.predict.joining.JoiningAnswerer`."""
        batch = self.processor.collate(prepared, left_pad=True)
        return self.model.read_rows(batch.prompts, batch.images)

    def finish(self, prepared: Sequence[Sample], rows: Sequence[AnswerRow]) -> list[Answer]:
        """See `eocore.predict.joining.JoiningAnswerer`."""
        return [Answer(self.processor.decode_answer(torch.tensor(row.tokens)), NO_MASKS) for row in rows]


class Answering:
    """Implements Generates, EmbedsImages, AnswersImages, Chats and DeclaresRoles for a model, wherever it comes from.

    Attributes:
        processor: of the model.
        model: in eval mode when it is asked.
        options: how it answers.
    """

    processor: Any
    model: Any
    options: PredictorOptions
    boxes_by_masks = False

    @property
    def roles(self) -> tuple[str, ...]:
        """Of the images that the model reads."""
        roles: tuple[str, ...] = self.processor.options.roles
        return roles

    def answerer(self, max_new_tokens: int) -> RecordAnswerer:
        """What answers the last question of records. Raises ConfigError as `RecordAnswerer`."""
        return RecordAnswerer(self.model, self.processor, max_new_tokens=max_new_tokens, generation=self.options.generation)

    def followed_answerer(self, max_new_tokens: int, *, generation: Mapping[str, Any], objects: Mapping[str, Any]) -> RecordAnswerer:
        """See `eocore.predict.following.FollowsAnswers`."""
        options = {**self.options.generation, **generation}
        answerer = RecordAnswerer(self.model, self.processor, max_new_tokens=max_new_tokens, generation=options)
        answerer.generation |= objects
        return answerer

    def predict(self, scenes: Mapping[str, Scene], text: str, *, max_new_tokens: int) -> Prediction:
        """The answer to one question about images. Raises DataError where the model cannot take them."""
        return Prediction(self._ask([(scenes, text)], max_new_tokens)[0], NO_MASKS, next(iter(scenes), ""), scenes)

    def chat(self, questions: Sequence[tuple[Mapping[str, Any], str]], *, max_new_tokens: int) -> list[str]:
        """One text for each (pictures by role, question), all in one batch. Raises DataError where the model cannot take one."""
        return self._ask(questions, max_new_tokens)

    def _ask(self, questions: Sequence[tuple[Mapping[str, Any], str]], max_new_tokens: int) -> list[str]:
        answerer = self.answerer(max_new_tokens)
        try:
            samples = [
                self.processor.encode(
                    dict(images), [("user", text)], for_generation=True, max_length=most_prompt_tokens(self.model.config.text_config)
                )
                for images, text in questions
            ]
        except SampleTooLongError as error:
            raise LengthError(f"the model cannot answer this: {str(error).lstrip(': ')}") from error
        except ValueError as error:  # what the processor raises for images that it cannot take
            raise DataError(f"the model cannot answer this: {str(error).lstrip(': ')}") from error
        return [answer.text for answer in answerer.answer(samples)]

    def prepare_image(self, sample: tuple[Record, Sequence[Scene]]) -> SensorInputs:
        """Inputs of a sample's images. Raises DataError where they do not fit the encoder."""
        record, scenes = sample
        with named_after(record):
            return self.processor.inputs(list(scenes))

    @torch.no_grad()
    def embed_images(self, images: Sequence[Any]) -> np.ndarray:
        """(N, D) float32 of length 1: the mean of what the language model is told of each image.

        Args:
            images: samples, or what `prepare_image` made of them.
        """
        inputs = [image if isinstance(image, SensorInputs) else self.prepare_image(image) for image in images]
        found = self.model.encode_images(join_samples(inputs)).float().mean(1)
        vectors: np.ndarray = torch.nn.functional.normalize(found, dim=-1).cpu().numpy()
        return vectors


class TrainingPredictor(Answering):
    """The same of a model in training, whose mode and weights stay as they are.

    Args:
        model: on its device.
        processor: of the training.
        options: of generation; the device is the model's.

    Raises:
        ConfigError: a generation option is unknown or does not fit the others.
    """

    def __init__(self, model: EarthFmForConditionalGeneration, processor: EarthFmProcessor, *, options: PredictorOptions) -> None:
        generation_settings(options.generation)
        self.model, self.processor, self.options = model, processor, options


class EarthFmPredictor(Answering):
    """A converted model; implements LoadsWeights besides.

    Args:
        folder: of a converted model.
        options: how it is loaded and answers.

    Raises:
        ConfigError: a generation option is unknown or does not fit the others.
        CheckpointError: the folder is not a converted model.
    """

    def __init__(self, folder: Path, options: PredictorOptions) -> None:
        generation_settings(options.generation)  # what is wrong in them is said before the model is loaded
        folders.check_model_folder(folder)
        self.folder, self.options = folder, options

    @cached_property
    def processor(self) -> EarthFmProcessor:
        """Of the model; the folder's own Python files are not run."""
        return read_processor(self.folder)

    @cached_property
    def model(self) -> Any:
        """The model on its device, in eval mode."""
        device = check_device(self.options.device) if self.options.device else str(local_device())
        dtype = load_dtype(self.options, device)
        return settle(folders.load_model(EarthFmForConditionalGeneration, self.folder, dtype=dtype).to(device).eval(), self.options)

    def load(self) -> None:
        """Reads the weights. Raises CheckpointError where the folder is damaged."""
        self.model  # noqa: B018  (a property that loads)
