"""Predicting a data set under each sensor setting: batched, shared among ranks, resumed where it was stopped."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from eocore.data import transforms as _transforms  # noqa: F401  (registers what `build_sources` names)
from eocore.data.dataset import RecordDataset, SampleKey, random_stream
from eocore.data.io.masks import decode_mask, decode_scene_mask, encode_rle
from eocore.data.records import ImageRef, MaskRef, Record
from eocore.data.single_questions import asked_masks, count_questions
from eocore.errors import DataError
from eocore.evaluate.engine.responders import Responder, Response
from eocore.evaluate.engine.shards import PredictionWriter
from eocore.evaluate.predictions import Prediction, PredictionKey
from eocore.evaluate.protocols import Sample
from eocore.log import get_logger
from eocore.sensors.orientation import AS_STORED, Turn
from eocore.sensors.scene import Scene

NUM_READERS = 4
"""Threads that read images; decoding and resampling leave the interpreter free."""

MOST_TOGETHER = 32
"""Questions about one image that one rank answers in a row: several batches, yet no rank is left without work by a set of few images."""

MID_GREY = 128.0
"""Of 8-bit pictures."""

Responded = tuple[Prediction, Response]


@dataclass(frozen=True)
class RankSamples:
    """What one rank predicts of a data set.

    Attributes:
        source: the data set.
        setting: one of SETTINGS.
        indices: of the records to predict.
        batch_size: samples answered together.
        seed: of transforms that draw.
        greyed: modality whose image is replaced by an even grey, "" = none.
    """

    source: RecordDataset
    setting: str
    indices: Sequence[int]
    batch_size: int = 8
    seed: int = 0
    greyed: str = ""


@dataclass(frozen=True)
class Lost:
    """A sample that gave no answer, and why; `refused`: the model could not take it, though it could be read."""

    unanswered: Prediction
    reason: str
    refused: bool = False


def key_of(record: Record, setting: str) -> PredictionKey:
    """What the record's line is known by."""
    return PredictionKey(record.task, setting, record.sample_id)


def predict_samples(
    own: RankSamples, responder: Responder, *, writer: PredictionWriter, on_samples: Callable[[int], None] = lambda count: None
) -> list[Lost]:
    """Writes the responses as they come; returns the samples that have none, for `write_lost`."""
    lost: list[Lost] = []
    for found in respond_to_samples(own, responder):
        for item in found:
            if isinstance(item, Lost):
                lost.append(item)
            else:
                unanswered, response = item
                predicted = replace(unanswered, prediction=response.text, prediction_masks=tuple(response.masks))
                writer.write(predicted, vectors=response.vectors)
        on_samples(len(found))
    return lost


def respond_to_samples(own: RankSamples, responder: Responder) -> Iterator[Sequence[Responded | Lost]]:
    """Batches of responses, in the order of its indices; while the model responds to one, the next is read and prepared."""
    batch: list[tuple[Prediction, Any]] = []
    turns: dict[PredictionKey, Turn] = {}
    for found in _read_ahead(own, responder.prepare):
        if isinstance(found, Lost):
            yield [found]
            continue
        unanswered, prepared, turns[unanswered.key] = found
        batch.append((unanswered, prepared))
        if len(batch) == own.batch_size:
            yield [_turned_back(item, turns) for item in _respond(batch, responder)]
            batch, turns = [], {}
    if batch:
        yield [_turned_back(item, turns) for item in _respond(batch, responder)]


def _turned_back(item: Responded | Lost, turns: Mapping[PredictionKey, Turn]) -> Responded | Lost:
    """The response with its masks on the pixels of the file as they are stored, as annotations and other models' files have them."""
    if isinstance(item, Lost) or not turns[item[0].key]:
        return item
    unanswered, response = item
    return unanswered, replace(response, masks=tuple(_stored(rle, turns[unanswered.key]) for rle in response.masks))


def _stored(rle: Mapping[str, Any], turn: Turn) -> Mapping[str, Any]:
    height, width = rle["size"]
    return encode_rle(turn.undo(decode_mask(MaskRef("rle", rle), (height, width), source="a drawn mask")))


def deal_images(records: Sequence[Record], indices: Iterable[int], *, rank: int, world_size: int) -> list[int]:
    """Those of `indices` that are this rank's: questions about one image stand together, up to `MOST_TOGETHER` of them on one rank, since
    what they have in common is read once; each group goes to the rank that has the fewest samples.

    Every rank deals the same way, so that together they have each index once.
    """
    indices = list(indices)
    most = min(MOST_TOGETHER, max(1, len(indices) // (2 * world_size)))  # so that small sets are shared evenly too
    groups: dict[Any, list[list[int]]] = {}
    for index in indices:
        parts = groups.setdefault(image_key(records[index]) or index, [[]])
        if len(parts[-1]) == most:
            parts.append([])
        parts[-1].append(index)
    dealt: list[list[int]] = [[] for _ in range(world_size)]
    for part in (part for parts in groups.values() for part in parts):
        min(dealt, key=len).extend(part)
    return dealt[rank]


def image_key(record: Record) -> tuple[Any, ...]:
    """What is equal for records about the same image files."""
    return tuple(sorted((ref.label, ref.paths, ref.item) for ref in record.images))


def write_lost(lost: Sequence[Lost], writer: PredictionWriter, *, anything: bool) -> None:
    """Writes samples without an answer with `prediction` null: they count as missing and never drop out.

    Args:
        lost: from `predict_samples`.
        writer: of the same file.
        anything: whether any sample of the setting, on any rank, has an answer.

    Raises:
        DataError: none has: then it is the data or the model, not a sample.
    """
    if lost and not anything:
        raise DataError(f"none of the samples under '{lost[0].unanswered.sensor}' could be predicted. The first one: {lost[0].reason}")
    for item in lost:
        get_logger().warning("sample '%s' (%s) counts as missing: %s", item.unanswered.sample_id, item.unanswered.sensor, item.reason)
        writer.write(item.unanswered)


def _read_ahead(own: RankSamples, prepare: Callable[[Sample], Any]) -> Iterator[tuple[Prediction, Any, Turn] | Lost]:
    """The samples in order; while a batch is answered, the next is made ready."""
    waiting: deque[Future[tuple[Prediction, Any, Turn] | Lost]] = deque()
    with ThreadPoolExecutor(NUM_READERS) as readers:
        for index in own.indices:
            waiting.append(readers.submit(_load, own, index, prepare=prepare))
            if len(waiting) > 2 * own.batch_size:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _load(own: RankSamples, index: int, *, prepare: Callable[[Sample], Any]) -> tuple[Prediction, Any, Turn] | Lost:
    key = SampleKey(0, index)
    try:
        record, scenes, _ = own.source.load(key, seed=own.seed)
        _check_one_question(record, own.source.records[index])
        if own.greyed:
            scenes = tuple(grey(scene) if scene.role == own.greyed else scene for scene in scenes)
        unanswered = describe(record, scenes, setting=own.setting)
    except DataError as error:
        return Lost(
            describe_unread(own.source, key, setting=own.setting, seed=own.seed), f"{own.source.describe(key)} cannot be read: {error}"
        )
    try:
        return unanswered, prepare((record, scenes)), scenes[0].turn if scenes else AS_STORED
    except DataError as error:
        return Lost(unanswered, str(error), refused=True)


def _check_one_question(record: Record, given: Record) -> None:
    """Raise DataError if transforms made several questions of a record, of which the answer to one would be scored for all."""
    made = count_questions(record)
    if made > max(1, count_questions(given)):
        raise DataError(
            f"{record.source}: the transforms make {made} questions of sample '{record.sample_id}', and one answer cannot be scored for "
            "all of them. Let them make one (num_expressions=1)."
        )


def _respond(batch: Sequence[tuple[Prediction, Any]], responder: Responder) -> Sequence[Responded | Lost]:
    """Responds to a batch; where the model refuses it, to each sample by itself, so that one costs no other its response."""
    try:
        responses = responder.respond(batch)
    except DataError as error:
        if len(batch) == 1:
            return [Lost(batch[0][0], str(error), refused=True)]
        return [item for one in batch for item in _respond([one], responder)]
    return [(unanswered, response) for (unanswered, _), response in zip(batch, responses, strict=True)]


def grey(scene: Scene) -> Scene:
    """The scene without anything to see: a picture half bright, any other each band at its own mean."""
    if scene.unit == "uint8":
        return replace(scene, pixels=np.full_like(scene.pixels, MID_GREY))
    means = np.nan_to_num(np.nanmean(scene.pixels, axis=(1, 2), keepdims=True))
    return replace(scene, pixels=np.broadcast_to(means, scene.pixels.shape).astype(np.float32))


def describe(record: Record, scenes: Sequence[Scene], *, setting: str) -> Prediction:
    """The line of a record before it is predicted: what is asked, and the truth, its masks on the pixels of the file as they are stored."""
    on = ((mask, scenes[mask.image]) for mask in asked_masks(record))
    masks = tuple(encode_rle(scene.turn.undo(decode_scene_mask(mask, scene, source=record.source))) for mask, scene in on)
    prompt = next((turn.text for turn in reversed(record.turns) if turn.role == "user"), "")
    images = tuple(_image_id(ref) for ref in record.images)
    return Prediction(record.sample_id, record.task, images, setting, prompt, None, _answer(record), _meta(record), (), masks)


def describe_unread(source: RecordDataset, key: SampleKey, *, setting: str, seed: int = 0) -> Prediction:
    """The line of a record whose images cannot be read; without them its masks have no size and stay out.

    Its transforms say what is asked and what is true, as of a box that they find around a mask; a record that they refuse stays as it is.
    """
    record = source.records[key.index]
    with suppress(DataError):
        record, _ = source.draw(key, random_stream(seed, "sample", *key))
    images = tuple(_image_id(ref) for ref in record.images) or (record.sample_id,)
    return Prediction(record.sample_id, record.task, images, setting, "", None, _answer(record), _meta(record), (), ())


def _answer(record: Record) -> str:
    """The annotated answer: of meta, of the last assistant's turn, or the labels or first caption of a record without turns."""
    said = record.meta.get("answer") or next((turn.text for turn in reversed(record.turns) if turn.role == "assistant"), "")
    return str(said or "; ".join(record.labels) or next(iter(record.captions), ""))


def _meta(record: Record) -> dict[str, Any]:
    """The record's meta, with its labels and captions under the names that scorers read."""
    found = {"labels": list(record.labels), "references": list(record.captions)}
    return {**{name: value for name, value in found.items() if value}, **{k: v for k, v in record.meta.items() if k != "answer"}}


def _image_id(ref: ImageRef) -> str:
    """The file's name, of one image among many with its own; of an image of several files, that of their folder."""
    path = Path(ref.paths[0])
    name = path.stem if len(ref.paths) == 1 else path.parent.name
    return f"{name}/{ref.item}" if ref.item else name
