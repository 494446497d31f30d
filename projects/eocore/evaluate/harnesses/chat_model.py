"""A converted checkpoint as the chat model that evaluation harnesses ask: texts, pictures and videos in, text out."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from eocore.data.io.video_files import read_frames, sampled_numbers
from eocore.errors import CheckpointError, ConfigError, DataError
from eocore.evaluate.protocols import LoadsWeights
from eocore.models import folders
from eocore.portable.series import Moment
from eocore.system import Chats, PredictorOptions, ReadsSeries, system_of_model

DEFAULT_MODALITIES = ("rgb", "sar")
"""What untagged pictures are taken for, in order: harnesses know no sensors."""

TAGS = {"rgb": "rgb", "optical": "rgb", "multispectral": "multispectral", "sar": "sar", "radar": "sar"}
"""Word before a picture ("SAR:") -> its modality."""

_TAG = re.compile(rf"\b({'|'.join(TAGS)})(?: image)?\s*:\s*$", re.IGNORECASE)

PLACE_OF_IMAGE = "<image>"
"""Left out of a harness's texts: the pictures themselves say where they are, and the model puts its own."""


@dataclass(frozen=True)
class Video:
    """The frames that are shown of a video, in order."""

    frames: Sequence[Image.Image]


Part = str | Image.Image | Video
"""A piece of a message: text, a picture, or a video."""


@dataclass(frozen=True)
class Question:
    """What is asked: `images` by modality, or the moments of a series, and the whole text without the tags of pictures."""

    images: Mapping[str, Image.Image] | Sequence[Moment]
    text: str


def read_question(parts: Sequence[Part], *, modalities: Sequence[str] = DEFAULT_MODALITIES, reads_series: bool = False) -> Question:
    """The question a message of texts and pictures asks.

    A text that ends in "Optical:", "RGB:", "Multispectral:" or "SAR:" says what the picture after it is; the other pictures take
    `modalities` in order.

    Args:
        parts: in the order of the message.
        modalities: for pictures without a tag.
        reads_series: more pictures than modalities, none with a tag, are a series of the first modality: "image 1", "image 2", ...

    Raises:
        DataError: there are more pictures than modalities, or two of one modality: none is left out or laid over another in silence; or a
            video has pictures or other videos beside it, or the model reads no series.
    """
    if any(isinstance(part, Video) for part in parts):
        return _frames(parts, role=modalities[0], reads_series=reads_series)
    stills = [part for part in parts if not isinstance(part, Video)]
    if reads_series and sum(not isinstance(part, str) for part in stills) > len(modalities) and not any(map(_is_tag, stills)):
        return _series(stills, role=modalities[0])
    images: dict[str, Image.Image] = {}
    texts: list[str] = []
    for part in stills:
        if isinstance(part, str):
            texts.append(part.replace(PLACE_OF_IMAGE, " "))
            continue
        tag = _TAG.search(texts[-1]) if texts else None
        if tag:
            texts[-1] = texts[-1][: tag.start()]
        name = TAGS[tag[1].lower()] if tag else next((name for name in modalities if name not in images), None)
        if name is None or name in images:
            raise DataError(
                f"a message has {sum(not isinstance(item, str) for item in stills)} pictures; the model takes one of each of "
                f'{", ".join(modalities)}, and others where a tag ("SAR:") names them. Choose tasks with as many, or set `modalities`.'
            )
        images[name] = part
    return Question(images, "\n".join(text.strip() for text in texts if text.strip()))


def _is_tag(part: Part) -> bool:
    return isinstance(part, str) and _TAG.search(part) is not None


def _series(parts: Sequence[Part], *, role: str) -> Question:
    """The question about all pictures of a message, in their order."""
    pictures = [part for part in parts if not isinstance(part, str)]
    moments = [Moment(f"image {number}", {role: picture}) for number, picture in enumerate(pictures, start=1)]
    return Question(moments, _words(parts))


def _frames(parts: Sequence[Part], *, role: str, reads_series: bool) -> Question:
    """The question about the frames of a video, which a prompt names "frame 1", "frame 2", ..."""
    if not reads_series:
        raise DataError("a message holds a video, but this model reads single images. Take a model that reads series (EarthMind).")
    shown = [part for part in parts if not isinstance(part, str)]
    if len(shown) > 1:
        raise DataError(f"a message holds {len(shown)} videos and pictures; the model is shown one video by itself. Choose other tasks.")
    frames = [frame for part in shown if isinstance(part, Video) for frame in part.frames]
    moments = [Moment(f"frame {number}" if len(frames) > 1 else "", {role: frame}) for number, frame in enumerate(frames, start=1)]
    return Question(moments, _words(parts))


def _words(parts: Sequence[Part]) -> str:
    texts = [part.replace(PLACE_OF_IMAGE, " ").strip() for part in parts if isinstance(part, str)]
    return "\n".join(filter(None, texts))


def open_video(video: Any, max_frames: int) -> Video:
    """Frames of the video at a path, at even distances.

    Args:
        video: the path; a mapping with `url` or `path` and, in seconds, `video_start` and `video_end`; or a list of pictures: its frames.
        max_frames: most that are shown.

    Raises:
        DataError: it is none of these, or the file cannot be read; see `eocore.data.io.video_files.read_frames`.
        ConfigError: PyAV is not installed.
    """
    if isinstance(video, list | tuple):
        chosen = [video[number] for number in sampled_numbers(len(video), max_frames)] if video else []
        if not chosen:
            raise DataError("a message holds a video of no frames. Correct the task's data.")
        return Video([open_picture(frame) for frame in chosen])
    part = video if isinstance(video, Mapping) else {"path": video}
    path, end = part.get("url") or part.get("path"), part.get("video_end")
    if not isinstance(path, str | Path):
        raise DataError(f"expected the path of a video, found {type(path).__name__}. Only files and lists of frames can be asked about.")
    between = (float(part.get("video_start") or 0), None if end is None else float(end))
    return Video([Image.fromarray(frame.pixels) for frame in read_frames(Path(path), max_frames, between=between)])


def open_picture(picture: Any) -> Image.Image:
    """The RGB picture at a path, or the one given.

    Raises:
        DataError: the file is missing or broken, or it is neither a path nor a picture.
    """
    if isinstance(picture, Image.Image):
        return picture.convert("RGB")
    if not isinstance(picture, str | Path):
        raise DataError(
            f"expected a picture or the path of one, found {type(picture).__name__}. Only text and pictures can be asked about."
        )
    try:
        with Image.open(picture) as file:
            return file.convert("RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError, SyntaxError) as error:
        raise DataError(f"{picture}: cannot be read as a picture ({type(error).__name__}: {error}).") from error


class ChatModel:
    """A converted checkpoint, answering greedily.

    Args:
        folder: written by tools/convert_to_hf.py; its own Python files are not run.
        modalities: what untagged pictures are, in order.
        max_new_tokens: longest answer, where a question does not say.
        device: as torch names it; None = the GPU if there is one.

    Raises:
        CheckpointError: the folder is not a converted model of one of this framework's systems, or damaged.
        ConfigError: an unknown modality.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        modalities: Sequence[str] = DEFAULT_MODALITIES,
        max_new_tokens: int = 256,
        device: str | None = None,
    ) -> None:
        unknown = sorted(set(modalities) - set(TAGS.values()))
        if unknown or not modalities:
            raise ConfigError(f"modalities {list(modalities)}: expected some of {', '.join(dict.fromkeys(TAGS.values()))}.")
        self.modalities, self.max_new_tokens = tuple(modalities), max_new_tokens
        path = Path(folder)
        folders.check_model_folder(path)
        try:
            system = system_of_model(path)
        except ConfigError as error:
            raise CheckpointError(f"{folder} holds a model that no system here answers with: {error}") from error
        make = system.need(system.predictor, "its models cannot be asked")
        self.predictor = make(path, PredictorOptions(device=device, float32_on_cpu=True))
        if not isinstance(self.predictor, Chats):
            raise CheckpointError(f"{folder}: models of system '{system.name}' do not answer several questions together (protocol Chats).")
        if isinstance(self.predictor, LoadsWeights):
            self.predictor.load()

    def chat(self, messages: Sequence[Sequence[Part]], *, max_new_tokens: int | None = None) -> list[str]:
        """One answer to each message, all in one batch.

        Raises:
            DataError: a message has pictures the model cannot be shown, or a text it cannot take.
        """
        several = isinstance(self.predictor, ReadsSeries) and self.predictor.reads_series
        questions = [read_question(parts, modalities=self.modalities, reads_series=several) for parts in messages]
        longest = self.max_new_tokens if max_new_tokens is None else max_new_tokens
        asked: list[Any] = [(item.images, item.text) for item in questions]
        return self.predictor.chat(asked, max_new_tokens=longest)


def until(text: str, stops: Sequence[str]) -> str:
    """The text up to the first of the stop texts, without spaces around it."""
    ends = [start for stop in stops if stop and (start := text.find(stop)) >= 0]
    return text[: min(ends)].strip() if ends else text.strip()
