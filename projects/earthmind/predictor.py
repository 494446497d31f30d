"""A converted EarthMind model that answers: single questions, records of an evaluation, questions of a chat."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from earthmind.datasets.preparation import images_of, mask_moments, read_regions
from earthmind.dense.pixel_scores import MASK_TOKENS, ImageSample, mask_scores
from earthmind.long_inputs.answers import answer_long, most_tiles, set_tiles
from earthmind.model.answering import Answer, answer_settings
from earthmind.model.batching import Sample
from earthmind.model.configuration_earthmind import EarthMindConfig
from earthmind.model.modeling_earthmind import EarthMindForConditionalGeneration
from earthmind.model.moments import Images
from earthmind.model.processing_earthmind import EarthMindProcessor
from earthmind.model.processor_options import MODALITIES
from earthmind.model.row_answers import WrittenRow
from eocore.data.records import Record
from eocore.data.sample_errors import named_after
from eocore.errors import AlignmentError, DataError, LengthError
from eocore.evaluate.protocols import LongAnswers, PixelScale, Shown
from eocore.log import get_logger
from eocore.models import folders
from eocore.portable.answer_row import AnswerRow
from eocore.portable.image_memory import ImageMemory
from eocore.portable.image_tiling import tile_grid
from eocore.portable.position_limit import SampleTooLongError
from eocore.portable.running_batch import ReadPrompts
from eocore.portable.series import group_moments, named_moment, named_without_image
from eocore.portable.vision_layout import VisionOptions
from eocore.predict.answers import Prediction
from eocore.predict.generation import LONG, check_with_model, generation_settings
from eocore.predict.precision import load_dtype, settle
from eocore.predict.streaming import AnswerStreamer
from eocore.predict.view_loss import describe_loss
from eocore.sensors.scene import Scene
from eocore.system import PredictorOptions
from eocore.train.device import check_device, local_device

MIB = 1024**2


def load_model(folder: Path, *, device: str | None = None, float32_on_cpu: bool = True) -> Any:
    """The model of a converted folder, in eval mode. The folder's own Python files are not run: the model is of this repository's classes.

    Args:
        folder: written by tools/convert_to_hf.py.
        device: as torch names it; None = the GPU of this process if there is one.
        float32_on_cpu: compute in float32 on a CPU, whatever the weights are saved in.

    Raises:
        CheckpointError: the folder is not a converted model, or damaged.
        ConfigError: there is no such device.
    """
    device = check_device(device) if device else str(local_device())
    dtype = torch.float32 if float32_on_cpu and device == "cpu" else "auto"
    return folders.load_model(EarthMindForConditionalGeneration, folder, dtype=dtype).to(device).eval()


def predict(
    model: Any, scenes: Mapping[str, Scene], *, text: str, max_new_tokens: int = 256, generation: Mapping[str, Any] | None = None
) -> Prediction:
    """The model's answer to one question about images.

    Args:
        model: from `load_model`.
        scenes: by role; none for a question about no image.
        text: the question.
        max_new_tokens: longest answer.
        generation: options of `eocore.predict.generation.generation_settings`.

    Raises:
        ConfigError: a generation option, here or in the model's generation config, is unknown or does not fit the others.
        DataError: the model cannot take these images or this text.
    """
    settings = checked_settings(model, generation or {}, max_new_tokens=max_new_tokens)
    return answer_turns(model, scenes, turns=[("user", text)], max_new_tokens=max_new_tokens, settings=settings)


def checked_settings(model: Any, generation: Mapping[str, Any], *, max_new_tokens: int) -> dict[str, Any]:
    """Arguments of the model's `predict`. Raises ConfigError as `predict`."""
    settings = generation_settings(generation, shortens=True)
    check_with_model(settings, model, max_new_tokens=max_new_tokens)
    return settings


def answer_turns(
    model: Any, scenes: Mapping[str, Scene], *, turns: Sequence[tuple[str, str]], max_new_tokens: int, settings: dict[str, Any]
) -> Prediction:
    """The model's answer to the last of the turns (role, text).

    Args:
        model: from `load_model`.
        scenes: by role.
        turns: questions and answers in turn, a question last.
        max_new_tokens: longest answer.
        settings: from `checked_settings`, and a streamer.

    Raises:
        DataError: the model cannot take these images or texts.
    """
    *past, (_, text) = turns
    # the processor that travels with an older model has the fields itself
    options = getattr(model.processor, "options", model.processor)
    try:
        moments = group_moments([(scene.role or name, scene.time, scene) for name, scene in scenes.items()], source="the images")
        rule = options.of_series() if len(moments) > 1 else options
        for loss in dict.fromkeys(loss for moment in moments for loss in _losses(rule, moment.images)):
            get_logger().warning("%s", loss)  # of a video's frames, which are alike, once
        images = moments if len(moments) > 1 else dict(scenes)
        answer = model.predict(images, text, past=past, max_new_tokens=max_new_tokens, generation=settings)
    except SampleTooLongError as error:
        raise LengthError(f"the model cannot answer this: {str(error).lstrip(': ')}") from error
    except ValueError as error:  # what the model's own code raises for samples it cannot take
        raise DataError(f"the model cannot answer this: {str(error).lstrip(': ')}") from error
    names = {id(scene): name for name, scene in scenes.items()}
    # names of the images that masks are drawn on, by moment; all masks lie on the pixels of the first
    drawn_on = [names[id(moment.images[next(iter(model.processor.drawn_on(moment.images)))])] for moment in moments]
    on = tuple(drawn_on[number] for number in answer.mask_moments)
    if on:
        _tell_unknown_moments(text, [moment.time for moment in moments], on=on)
    return Prediction(answer.text, answer.masks, next(iter(drawn_on), ""), scenes, drawn_on=on)


def _tell_unknown_moments(text: str, times: Sequence[str], *, on: Sequence[str]) -> None:
    """Warn where the question names days or frames without an image, and none with one: masks lie on another image then."""
    unknown = named_without_image(text, times)
    if unknown and named_moment(text, times) is None:
        get_logger().warning(
            "the question names %s, of which there is no image (there are: %s); masks are drawn on %s",
            *(", ".join(unknown), ", ".join(times), ", ".join(dict.fromkeys(on))),
        )


def _losses(options: VisionOptions, scenes: Mapping[str, Scene]) -> Iterator[str]:
    """What is lost of scenes that are much larger than what the model reads of them; all sensors share the largest one's tiles."""
    if not scenes:
        return
    height, width = max((scene.size for scene in scenes.values()), key=math.prod)
    tile = options.tile_size
    rows, columns = tile_grid(height, width, tile_size=tile, min_tiles=options.min_tiles, max_tiles=options.max_tiles)
    for scene in scenes.values():
        loss = describe_loss(scene, (rows * tile, columns * tile))
        if loss:
            yield loss


@dataclass(frozen=True)
class PreparedRecord:
    """A record as the model takes it.

    Attributes:
        sample_id: of the record.
        encoded: from the processor.
        size: (height, width) [px] of its first image.
    """

    sample_id: str
    encoded: Sample
    size: tuple[int, int]


class RecordAnswerer:
    """Answers the last question of each record, after the questions and answers before it.

    Args:
        model: in eval mode, on its device.
        processor: the model's.
        max_new_tokens: longest answer.
        generation: options of `generation_settings`, such as {"cache_implementation": "static"} or {"compile": True}.
        memory: of the model, whose weights stay as they are; None = nothing is kept of images.

    Raises:
        ConfigError: a generation option, here or in the model's generation config, is unknown or does not fit the others.
    """

    def __init__(
        self,
        model: EarthMindForConditionalGeneration,
        processor: EarthMindProcessor,
        *,
        max_new_tokens: int = 256,
        generation: Mapping[str, Any] | None = None,
        memory: ImageMemory | None = None,
    ) -> None:
        self.model, self.memory = model, memory
        self.processor = processor
        self.max_new_tokens = max_new_tokens
        self.generation = generation_settings(generation or {}, shortens=True)
        check_with_model(self.generation, model, max_new_tokens=max_new_tokens)

    def __call__(self, samples: Sequence[tuple[Record, Sequence[Scene]]]) -> list[Answer]:
        """One answer a record; masks have the size of the record's first image.

        Raises:
            DataError: a record does not fit its images, or an image lacks a band that the model is shown.
        """
        return self.answer([self.prepare(sample) for sample in samples])

    def prepare(self, sample: tuple[Record, Sequence[Scene]]) -> PreparedRecord:
        """What of a record's answer needs no model; several threads may prepare at once.

        Raises:
            DataError: the record does not fit its images, or an image lacks a band that the model is shown.
        """
        record, scenes = sample
        encoded = self._encode(record, scenes)
        if encoded.draw_on is not None:
            draw_on = [partial(_named, record, make) for make in encoded.draw_on]
            if record.masks:  # they will be asked for
                draw_on[encoded.names.asked]()
            encoded = encoded._replace(draw_on=draw_on)
        return PreparedRecord(record.sample_id, encoded, scenes[0].size if scenes else (1, 1))

    def answer(self, prepared: Sequence[PreparedRecord]) -> list[Answer]:
        """One answer a record; masks have the size of the record's first image.

        Raises:
            BandError: an image lacks a band that masks are drawn on.
        """
        return self.model.answer(
            self.processor.collate([record.encoded for record in prepared], left_pad=True),
            self.processor,
            sizes=[record.size for record in prepared],
            max_new_tokens=self.max_new_tokens,
            memory=self.memory,
            **self.generation,
        )

    @property
    def watched(self) -> int:
        """See `eocore.predict.joining.JoiningAnswerer`: [SEG], whose states become masks."""
        return int(self.processor.seg_token_id)

    def row_settings(self) -> dict[str, Any] | None:
        """See `eocore.predict.joining.JoiningAnswerer`."""
        options = {name: value for name, value in self.generation.items() if name != LONG}
        settings = answer_settings(self.processor, options, own=self.model.generation_config, max_new_tokens=self.max_new_tokens)
        return settings if self.model.joins_rows(settings, self.generation.get(LONG)) else None

    def read(self, prepared: Sequence[PreparedRecord]) -> ReadPrompts:
        """See `eocore.predict.joining.JoiningAnswerer`."""
        batch = self.processor.collate([record.encoded for record in prepared], left_pad=True)
        prompts, _ = self.model.read_rows(batch, memory=self.memory)
        return prompts

    def finish(self, prepared: Sequence[PreparedRecord], rows: Sequence[AnswerRow]) -> list[Answer]:
        """See `eocore.predict.joining.JoiningAnswerer`. Raises BandError as `answer`."""
        return self.model.make_answers(
            self.processor,
            [WrittenRow(torch.tensor(row.tokens), row.states) for row in rows],
            draw_on=[record.encoded.draw_on for record in prepared],
            names=[record.encoded.names for record in prepared],
            sizes=[record.size for record in prepared],
            memory=self.memory,
        )

    def _encode(self, record: Record, scenes: Sequence[Scene]) -> Sample:
        if not record.turns:
            raise AlignmentError(
                f"{record.source}: the record asks no question, which is what this model answers. Use a data set of questions."
            )
        with named_after(record):
            return self.processor.encode(
                images_of(scenes, source=record.source),
                record.turns[:-1] if record.turns[-1].role == "assistant" else record.turns,
                regions=read_regions(record, scenes),
                region_moments=mask_moments(record, record.regions),
                for_generation=True,
                max_length=self.model.longest_prompt(self.generation.get(LONG)),
                sample_id=record.sample_id,
            )


def _named(record: Record, make: Callable[[], Tensor]) -> Tensor:
    with named_after(record):
        return make()


class EarthMindPredictor:
    """Implements Generates, ScoresPixels, AnswersImages, AnswersLong, DeclaresRoles and Chats.

    Args:
        folder: of a converted model.
        options: how it is loaded and answers.

    Raises:
        ConfigError: a generation option is unknown or does not fit the others.
        CheckpointError: the folder is not a converted model.
    """

    roles = MODALITIES
    reads_series = True
    pixel_scale: PixelScale = "logits"
    boxes_by_masks = True
    """Where boxes are asked for, the model is asked for a mask, and the box around it counts."""

    def __init__(self, folder: Path, options: PredictorOptions) -> None:
        generation_settings(options.generation, shortens=True)  # what is wrong in them is said before the model is loaded
        folders.check_model_folder(folder)
        self.folder, self.options = folder, options
        self.memory = ImageMemory(options.image_memory_mib * MIB) if options.image_memory_mib else None

    def load(self) -> None:
        """Reads the weights. Raises CheckpointError where the folder is damaged."""
        self.model  # noqa: B018  (a property that loads)

    @cached_property
    def model(self) -> Any:
        """The model on its device, in eval mode."""
        device = check_device(self.options.device) if self.options.device else str(local_device())
        dtype = load_dtype(self.options, device)
        return settle(folders.load_model(EarthMindForConditionalGeneration, self.folder, dtype=dtype).to(device).eval(), self.options)

    @property
    def processor(self) -> EarthMindProcessor:
        """The model's."""
        found: EarthMindProcessor = self.model.processor
        return found

    def answerer(self, max_new_tokens: int) -> RecordAnswerer:
        """What answers the last question of records. Raises ConfigError as `RecordAnswerer`."""
        return self._answerer(max_new_tokens, self.options.generation)

    def _answerer(self, max_new_tokens: int, generation: Mapping[str, Any]) -> RecordAnswerer:
        return RecordAnswerer(self.model, self.processor, max_new_tokens=max_new_tokens, generation=generation, memory=self.memory)

    def followed_answerer(self, max_new_tokens: int, *, generation: Mapping[str, Any], objects: Mapping[str, Any]) -> RecordAnswerer:
        """See `eocore.predict.following.FollowsAnswers`."""
        options = {**self.options.generation, **generation}
        answerer = self._answerer(max_new_tokens, options)
        answerer.generation |= objects
        return answerer

    @cached_property
    def window_side(self) -> int:
        """Of a tile, which is what the vision tower reads at its own resolution [px]; known before weights are."""
        options = folders.read_json(self.folder / "processor_config.json")
        return int(options.get("tile_size", VisionOptions.tile_size))

    def pixel_scores(self, samples: Sequence[ImageSample], texts: Sequence[str]) -> list[np.ndarray]:
        """Logits of masks, see `earthmind.dense.pixel_scores.mask_scores`."""
        return mask_scores(self.answerer(MASK_TOKENS), samples, texts=texts)

    def predict(self, scenes: Mapping[str, Scene], text: str, *, max_new_tokens: int) -> Prediction:
        """The answer to one question about images; see the function `predict`."""
        if self.options.num_tiles is not None:
            set_tiles(self.model, self.options.num_tiles)
        return predict(self.model, scenes, text=text, max_new_tokens=max_new_tokens, generation=self.options.generation)

    def converse(
        self,
        scenes: Mapping[str, Scene],
        turns: Sequence[tuple[str, str]],
        *,
        max_new_tokens: int,
        write: Callable[[str], None] | None = None,
    ) -> Prediction:
        """See `eocore.predict.chat.Converses`."""
        settings = checked_settings(self.model, self.options.generation, max_new_tokens=max_new_tokens)
        processor = self.model.processor
        if write is not None:
            ends = (processor.end_of_turn.strip(), processor.tokenizer.eos_token or "")
            settings["streamer"] = AnswerStreamer(processor.tokenizer, write, ends=ends)
        return answer_turns(self.model, scenes, turns=turns, max_new_tokens=max_new_tokens, settings=settings)

    @cached_property
    def can_compress(self) -> bool:
        """Whether it has compression tokens; known before weights are."""
        return folders.read_json(self.folder / folders.CONFIG).get("compression") is not None

    def most_tiles(self, long: str) -> int | None:
        """See `eocore.evaluate.protocols.AnswersLong`."""
        return most_tiles(EarthMindConfig.from_pretrained(self.folder), long)

    def answer_long(self, shown: Sequence[Shown], text: str, *, num_tiles: int, long: str, max_new_tokens: int) -> LongAnswers:
        """See `eocore.evaluate.protocols.AnswersLong`."""
        return answer_long(self.model, shown, text=text, num_tiles=num_tiles, long=long, max_new_tokens=max_new_tokens)

    def chat(self, questions: Sequence[tuple[Images, str]], *, max_new_tokens: int) -> list[str]:
        """One text for each (pictures by role or moments of a series, question), in one batch. Raises DataError where one is refused."""
        try:
            answers = self.model.predict_batch(list(questions), max_new_tokens=max_new_tokens)
        except ValueError as error:  # what the model's own code raises for samples it cannot take
            raise DataError(f"the model cannot answer this: {str(error).lstrip(': ')}") from error
        return [answer.text for answer in answers]


class TrainingPredictor:
    """Implements Generates with a model in training, as `EarthMindPredictor` does with a converted one.

    Args:
        model: whose mode and weights stay as they are.
        processor: of the training.
        options: of generation; the device is the model's.

    Raises:
        ConfigError: a generation option is unknown or does not fit the others.
    """

    boxes_by_masks = EarthMindPredictor.boxes_by_masks

    def __init__(self, model: EarthMindForConditionalGeneration, processor: EarthMindProcessor, *, options: PredictorOptions) -> None:
        generation_settings(options.generation, shortens=True)
        self.model, self.processor, self.options = model, processor, options

    def answerer(self, max_new_tokens: int) -> RecordAnswerer:
        """What answers the last question of records. Raises ConfigError as `RecordAnswerer`."""
        return RecordAnswerer(self.model, self.processor, max_new_tokens=max_new_tokens, generation=self.options.generation)
