"""Requests put to a predictor: read and prepared one by one, answered in batches. Runs in worker processes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from affine import Affine

from eocore.data.io.readers import scene_header
from eocore.data.records import ImageRef, Record
from eocore.errors import ConfigError, DataError
from eocore.evaluate.embedding_scores import as_scores, class_prompts
from eocore.evaluate.protocols import Embeds, EmbedsImages, Generates, PreparesImages, PreparingAnswerer, ScoresPixels, implemented
from eocore.portable.answer_row import RowOptions
from eocore.portable.messages import SEG_PLACEHOLDER, Text, Turn, about_images, introduced_regions, joined, read_parts
from eocore.portable.series import group_moments
from eocore.predict.asking import check_roles, check_series
from eocore.predict.following import BatchFollower, FollowedRow, FollowsAnswers, RowFollower
from eocore.predict.image_files import ImageFile, image_refs, read_images, with_sensor
from eocore.predict.joining import Asked, JoinedAnswers, JoiningAnswerer, Left
from eocore.predict.series_files import DatedFile, read_series
from eocore.sensors.orientation import stored_transform
from eocore.sensors.scene import Scene
from eocore.serve.marks import MarkReader
from eocore.serve.messages import Happened, Result, Task, TextsRequest, WorkerSpec
from eocore.serve.requests import Done, FinishReason, GenerateRequest, ImagesRequest, MaskGrid, Masks, ModelCard
from eocore.system import DeclaresRoles, ReadsSeries

Send = Callable[[Happened | Result], None]


@dataclass(frozen=True)
class PreparedTask:
    """A request as the model takes it.

    Attributes:
        task: what is asked.
        inputs: of the model.
        scenes: that were read, by role.
        settings: of an answer that can join others, see `RowOptions.settings`; None of what cannot.
    """

    task: Task
    inputs: Any = None
    scenes: Mapping[str, Scene] | None = None
    settings: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Ended:
    """A request whose answer is no longer being written.

    Attributes:
        number: of it.
        error: why there is no answer; None where it was answered, or nobody waits for it.
    """

    number: int
    error: Exception | None = None


@dataclass(frozen=True, eq=False)
class _Written:
    """A request whose answer is being written."""

    each: PreparedTask
    reader: MarkReader
    follower: RowFollower


class Answering:
    """A predictor that is asked by requests.

    Args:
        predictor: of a system, its weights in memory.
        name: of the model.
        system: that it belongs to.
        spec: of the worker.
        is_cancelled: number of a request -> whether nobody waits for it any more.
    """

    def __init__(self, predictor: Any, *, name: str, system: str, spec: WorkerSpec, is_cancelled: Callable[[int], bool]) -> None:
        self._predictor, self._name, self._system = predictor, name, system
        self._max_pixels, self._joins, self._is_cancelled = spec.max_pixels, spec.joins, is_cancelled
        self._joined: JoinedAnswers | None = None
        self._scores = as_scores(predictor) if "scores" in implemented(predictor) else None
        self._run = {
            "generate": self._generate,
            "embed_images": self._embed_images,
            "embed_texts": self._embed_texts,
            "class_scores": self._class_scores,
            "pixel_scores": self._pixel_scores,
        }

    def card(self) -> ModelCard:
        """What the model can do."""
        found = self._predictor
        further = {"embeds_images": EmbedsImages, "scores_pixels": ScoresPixels}
        kinds = (*implemented(found), *(name for name, kind in further.items() if isinstance(found, kind)))
        return ModelCard(
            name=self._name,
            system=self._system,
            protocols=kinds,
            roles=tuple(found.roles) if isinstance(found, DeclaresRoles) else (),
            draws_masks=self._draws,
            reads_regions=self._draws,
            reads_series=isinstance(found, ReadsSeries) and found.reads_series,
            streams=isinstance(found, FollowsAnswers),
            is_ready=True,
        )

    @property
    def _draws(self) -> bool:
        return bool(getattr(self._predictor, "boxes_by_masks", False))

    def prepare(self, task: Task) -> PreparedTask:
        """Reads images and makes the model's inputs; several threads may prepare at once.

        Raises:
            ConfigError: the model cannot do what is asked, or an option is wrong.
            DataError: an image cannot be read, or does not fit the model.
        """
        request = task.request
        if isinstance(request, GenerateRequest):
            return self._prepare_question(task, request)
        if isinstance(request, ImagesRequest):
            return self._prepare_images(task, request)
        if not isinstance(self._predictor, Embeds):
            raise ConfigError(f"model '{self._name}' makes no vectors of texts. Choose one that embeds.")
        return PreparedTask(task)

    def run(self, batch: Sequence[PreparedTask], send: Send) -> None:
        """Answers requests of one kind and equal options; what comes out goes to `send`.

        Raises:
            DataError: the model cannot answer one of them.
        """
        self._run[batch[0].task.kind](batch, send)

    def join(self, batch: Sequence[PreparedTask], send: Send) -> list[Ended]:
        """Adds requests with `settings` to the answers that are being written; returns those that could not be added."""
        if self._joined is None:
            self._joined = JoinedAnswers(self._answerer(batch[0].task.request, {}))
        return [self._ended(one, send) for one in self._joined.join([self._asked(each, send) for each in batch])]

    def step(self, send: Send) -> list[Ended]:
        """Continues these answers by a token; what comes out goes to `send`. Returns those that have ended."""
        return [self._ended(one, send) for one in (self._joined.step() if self._joined is not None else ())]

    def _ended(self, left: Left, send: Send) -> Ended:
        own: _Written = left.asked.key
        error = left.error
        if left.answer is not None:
            try:
                own.follower.end()
                self._finish(own.each, own.reader, row=own.follower.row, found=left.answer, send=send)
            except Exception as found:
                error = found
        return Ended(own.each.task.number, error)

    @property
    def num_joined(self) -> int:
        """Requests whose answers are being written together."""
        return 0 if self._joined is None else len(self._joined)

    def _asked(self, each: PreparedTask, send: Send) -> Asked:
        request, number = each.task.request, each.task.number
        reader = MarkReader(self._special_tokens, draws=self._draws)
        follower = RowFollower(self._followed(each, reader, send=send), self._predictor.processor)
        assert each.settings is not None
        options = RowOptions(max_new_tokens=request.max_new_tokens, settings=each.settings, seed=request.seed, hear=follower.hear)
        return Asked(
            key=_Written(each, reader, follower),
            prepared=each.inputs,
            options=options,
            begin=follower.begin,
            is_wanted=lambda: not self._is_cancelled(number),
        )

    def _followed(self, each: PreparedTask, reader: MarkReader, *, send: Send) -> FollowedRow:
        request, number = each.task.request, each.task.number
        return FollowedRow(
            write=_writer(number, reader, send=send),
            limit=request.max_new_tokens,
            stops=request.stop,
            is_cancelled=_asker(self._is_cancelled, number),
        )

    def _read(self, files: Mapping[str, ImageFile]) -> dict[str, Scene]:
        inputs = {name: _input_of(name, file) for name, file in files.items()}
        if inputs != {name: name for name in files}:
            check_series(self._predictor, [file.time for file in files.values()])
            dated = [DatedFile(inputs[name], with_sensor(inputs[name], file), file.time) for name, file in files.items()]
            for one in dated:
                self._check_images(image_refs({one.input: one.file}).values())
            return read_series(dated)
        known = {name: with_sensor(name, file) for name, file in files.items()}
        self._check_images(image_refs(known).values())
        return read_images(known)

    def _check_images(self, refs: Iterable[ImageRef]) -> None:
        """Raise ConfigError for a role that the model does not read, DataError for an image that is too large."""
        for ref in refs:
            check_roles(self._predictor, [ref.role])
            height, width = scene_header(ref).size
            if height * width > self._max_pixels:
                raise DataError(
                    f"{Path(ref.paths[0]).name}: {height} x {width} px, more than the {self._max_pixels / 1e6:g} million that this server "
                    "reads at once. Send a part of it; on the page, draw a box."
                )

    def _prepare_question(self, task: Task, request: GenerateRequest) -> PreparedTask:
        if not isinstance(self._predictor, Generates):
            raise ConfigError(f"model '{self._name}' does not answer in text (it does: {', '.join(implemented(self._predictor))}).")
        if request.regions and not self._draws:
            raise ConfigError(f"model '{self._name}' reads no regions. Ask without, or choose a model that does.")
        scenes = self._read(request.images)
        sample = (question_record(request, scenes), tuple(scenes.values()))
        answerer = self._answerer(request, {})
        inputs = answerer.prepare(sample) if isinstance(answerer, PreparingAnswerer) else sample
        joins = self._joins and isinstance(answerer, JoiningAnswerer) and isinstance(self._predictor, FollowsAnswers)
        return PreparedTask(task, inputs, scenes, answerer.row_settings() if joins else None)

    def _prepare_images(self, task: Task, request: ImagesRequest) -> PreparedTask:
        kind = {"embed_images": EmbedsImages, "pixel_scores": ScoresPixels}.get(task.kind)
        if (kind and not isinstance(self._predictor, kind)) or (task.kind == "class_scores" and self._scores is None):
            raise ConfigError(f"model '{self._name}' cannot do this; it does: {', '.join(self.card().protocols)}. Choose another model.")
        if not request.images:
            raise ConfigError("no image is given. Name one.")
        scenes = self._read(request.images)
        sample = (record_of(scenes), tuple(scenes.values()))
        if task.kind != "pixel_scores" and isinstance(self._predictor, PreparesImages):
            return PreparedTask(task, self._predictor.prepare_image(sample), scenes)
        return PreparedTask(task, sample, scenes)

    def _answerer(self, request: GenerateRequest, objects: Mapping[str, Any]) -> Any:
        if isinstance(self._predictor, FollowsAnswers):
            return self._predictor.followed_answerer(request.max_new_tokens, generation=request.generation, objects=objects)
        if request.generation or request.stop or request.seed is not None:
            raise ConfigError(f"model '{self._name}' takes no options of generation.")
        return self._predictor.answerer(request.max_new_tokens)

    def _generate(self, batch: Sequence[PreparedTask], send: Send) -> None:
        requests = [each.task.request for each in batch]
        readers = [MarkReader(self._special_tokens, draws=self._draws) for _ in batch]
        rows = [self._followed(each, reader, send=send) for each, reader in zip(batch, readers, strict=True)]
        follows = isinstance(self._predictor, FollowsAnswers)
        objects = BatchFollower(rows, self._predictor.processor).objects if follows else {}
        longest = replace(requests[0], max_new_tokens=max(request.max_new_tokens for request in requests))
        answerer = self._answerer(longest, objects)
        if longest.seed is not None:
            torch.manual_seed(longest.seed)
        answer = answerer.answer if isinstance(answerer, PreparingAnswerer) else answerer
        for each, reader, row, found in zip(batch, readers, rows, answer([each.inputs for each in batch]), strict=True):
            if not follows:
                row.write(found.text)
            self._finish(each, reader, row=row, found=found, send=send)

    def _finish(self, each: PreparedTask, reader: MarkReader, *, row: FollowedRow, found: Any, send: Send) -> None:
        number = each.task.number
        for event in reader.end():
            send(Happened(number, event))
        text = _before(found.text, row.stops)
        masks = np.asarray(found.masks)[: text.count(SEG_PLACEHOLDER)]
        if len(masks) and each.scenes:
            role, scene = next(iter(each.scenes.items()))
            stored = scene.turn.undo(masks)
            grid = mask_grid(role, scene, size=stored.shape[1:])
            moments = list(getattr(found, "mask_moments", ()))[: len(masks)]
            send(Happened(number, Masks(np.ascontiguousarray(stored), grid, _drawn_on(each.scenes, moments))))
        finish: FinishReason = "length" if row.finish == "length" else "stop"
        send(Happened(number, Done(finish, row.num_prompt_tokens, row.num_tokens, text)))

    @property
    def _special_tokens(self) -> list[str]:
        processor = getattr(self._predictor, "processor", None)
        return list(getattr(getattr(processor, "tokenizer", None), "all_special_tokens", ()))

    def _embed_images(self, batch: Sequence[PreparedTask], send: Send) -> None:
        _send_rows(batch, self._predictor.embed_images([each.inputs for each in batch]), send=send)

    def _embed_texts(self, batch: Sequence[PreparedTask], send: Send) -> None:
        requests: list[TextsRequest] = [each.task.request for each in batch]
        vectors = self._predictor.embed_texts([text for request in requests for text in request.texts])
        ends = np.cumsum([len(request.texts) for request in requests])[:-1]
        _send_rows(batch, np.split(vectors, ends), send=send)

    def _class_scores(self, batch: Sequence[PreparedTask], send: Send) -> None:
        request: ImagesRequest = batch[0].task.request
        assert self._scores is not None
        prompts = class_prompts(request.classes, request.templates)
        _send_rows(batch, self._scores.class_scores([each.inputs for each in batch], prompts), send=send)

    def _pixel_scores(self, batch: Sequence[PreparedTask], send: Send) -> None:
        texts = batch[0].task.request.texts
        _send_rows(batch, self._predictor.pixel_scores([each.inputs for each in batch], texts), send=send)


def question_record(request: GenerateRequest, scenes: Mapping[str, Scene]) -> Record:
    """The conversation as a record: what a user wrote is words, whatever it looks like.

    Raises:
        ConfigError: no question is last.
    """
    if not request.turns or request.turns[-1].role != "user" or not request.turns[-1].text.strip():
        raise ConfigError("the last message must be the user's, and hold a question.")
    turns: list[Turn] = []
    masks, first = 0, True
    for number, turn in enumerate(request.turns):
        if turn.role == "assistant":
            parts = read_parts(turn.text, "assistant", masks=masks)
            masks += turn.text.count(SEG_PLACEHOLDER)
        else:
            parts = (Text(turn.text),)
        if number == len(request.turns) - 1 and request.regions:
            parts = joined([*introduced_regions(len(request.regions)), Text(" "), *parts])
        if turn.role == "user" and first:
            parts, first = (about_images(*parts) if scenes else parts), False
        turns.append(Turn(turn.role, parts))
    return replace(record_of(scenes), turns=tuple(turns), regions=request.regions)


def record_of(scenes: Mapping[str, Scene]) -> Record:
    """A record of images alone."""
    images = tuple(
        ImageRef(scene.role or name, scene.sensor, (scene.path,), bands=scene.bands, time=scene.time) for name, scene in scenes.items()
    )
    return Record("request", images, source="request")


def _input_of(name: str, file: ImageFile) -> str:
    """The input of an image, whose name has the date behind it among those of several dates."""
    return name.removesuffix(f" {file.time}") if file.time else name


def _drawn_on(scenes: Mapping[str, Scene], moments: Sequence[int]) -> tuple[str, ...]:
    """Name of the image that each mask was drawn on; () where all images are of one moment."""
    shown = group_moments([(scene.role or name, scene.time, name) for name, scene in scenes.items()], source="the images")
    return () if len(shown) < 2 else tuple(str(next(iter(shown[number].images.values()))) for number in moments)


def mask_grid(role: str, scene: Scene, *, size: tuple[int, ...]) -> MaskGrid:
    """Where masks on the stored pixels of a scene lie."""
    found = scene.georeference
    height, width = size
    if found is None or not found.is_exact:
        return MaskGrid(role, (height, width))
    transform = stored_transform(Affine(*found.transform), scene.size, turn=scene.turn) if scene.turn else Affine(*found.transform)
    a, b, c, d, e, f = tuple(transform)[:6]
    return MaskGrid(role, (height, width), found.crs, (a, b, c, d, e, f))


def _writer(number: int, reader: MarkReader, *, send: Send) -> Callable[[str], None]:
    def write(text: str) -> None:
        for event in reader.put(text):
            send(Happened(number, event))

    return write


def _asker(is_cancelled: Callable[[int], bool], number: int) -> Callable[[], bool]:
    return lambda: is_cancelled(number)


def _before(text: str, stops: Sequence[str]) -> str:
    return text[: min((text.index(stop) for stop in stops if stop in text), default=len(text))]


def _send_rows(batch: Sequence[PreparedTask], rows: Iterable[Any], *, send: Send) -> None:
    for each, row in zip(batch, rows, strict=True):
        send(Result(each.task.number, np.asarray(row)))
