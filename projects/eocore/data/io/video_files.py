"""Frames of video files, sampled uniformly. Needs PyAV, the extra `video`.

Of a video only what a sample shows is decoded: its packets are listed first, and decoding starts at the key frame before each wanted frame.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from eocore.data.io.layer_file import Grid
from eocore.data.records import ImageRef
from eocore.errors import ConfigError, DataError
from eocore.log import get_logger
from eocore.portable.series import MAX_FRAMES
from eocore.sensors.bands import RawUnit
from eocore.sensors.orientation import AS_STORED

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts")
"""Of video files, in lower case."""
FORMATS = "mov,matroska,webm,avi,mpeg,mpegts"
"""Containers that FFmpeg may read. Not among them: playlists, which name other files and addresses, and pictures and texts."""
LONGEST_SIDE = 1024
"""Larger frames are averaged down to it [px]: what SAM 2 reads, and more than a tile, which is what the language model sees of a frame."""
MAX_BYTES = 2_000_000_000
"""Most that the frames of one video may take, 3 bytes a pixel [bytes]."""
COLOURS = 3
MOST_MISSING = 0.1
"""A video whose frames end earlier than this fraction of the time that its header states is told of: it may be cut short."""
QUARTER_TURN = 90
"""[degrees]"""
NO_FRAMES = "the video has no frames; it is empty or cut short. Fetch it again."


@dataclass(frozen=True)
class Frame:
    """One frame of a video.

    Attributes:
        pixels: (H, W, 3) uint8.
        number: which of the video's frames, from 0.
        seconds: when it is shown [s].
    """

    pixels: np.ndarray
    number: int
    seconds: float


def is_video(path: str | Path) -> bool:
    """Whether a file is a video by its name."""
    return Path(path).suffix.lower() in SUFFIXES


def sampled_numbers(count: int, max_frames: int) -> list[int]:
    """Numbers of the frames that are shown of a video with `count` frames: the first, the last, and others at even distances; all, where
    there are no more than `max_frames`.

    Raises:
        ConfigError: `max_frames` is below 1.
    """
    if max_frames < 1:
        raise ConfigError(f"{max_frames} frames of a video: expected at least 1 (max_frames_num, --max-frames).")
    return [int(number) for number in np.linspace(0, count - 1, min(count, max_frames), dtype=int)]


def read_frames(
    path: Path,
    max_frames: int = MAX_FRAMES,
    *,
    between: tuple[float, float | None] = (0.0, None),
    longest_side: int = LONGEST_SIDE,
) -> list[Frame]:
    """Frames of a video at even distances, in order.

    Args:
        path: of a file in one of FORMATS.
        max_frames: most that are shown.
        between: the part of the video that is shown, from and to [s]; None = to its end.
        longest_side: larger frames are averaged down to it [px].

    Raises:
        ConfigError: PyAV is not installed, or `max_frames` is below 1.
        DataError: the file is missing, no video, or damaged; it has no frame, or none in this part; or the frames are too large together.
    """
    with _opened(path) as (container, stream):
        times, keys = _packet_times(path, container, stream=stream)
        _tell_cut(path, container, ends=_seconds(times[-1], stream))
        start, end = between
        shown = [time for time in times if start <= _seconds(time, stream) and (end is None or _seconds(time, stream) <= end)]
        if not shown:
            long = _seconds(times[-1], stream)
            raise DataError(f"{path}: no frame from {start:g} to {end if end is None else f'{end:g}'} s; the video ends at {long:g} s.")
        wanted = [shown[number] for number in sampled_numbers(len(shown), max_frames)]
        height, width = _shown_size(stream, longest_side)
        need = len(wanted) * height * width * COLOURS
        if need > MAX_BYTES:
            raise DataError(
                f"{path}: {len(wanted)} frames of {height} x {width} px take {need:,} bytes, at most {MAX_BYTES:,}. Take fewer."
            )
        found = list(_decode(container, stream, wanted=wanted, keys=keys))
        if len(found) < len(wanted):
            raise DataError(f"{path}: {len(found)} of {len(wanted)} frames can be decoded; the file is cut short. Fetch it again.")
        pixels = [_upright(frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA"), frame) for frame in found]
        return [Frame(image, times.index(time), _seconds(time, stream)) for image, time in zip(pixels, wanted, strict=True)]


def count_frames(path: Path) -> int:
    """Frames of a video, by its header where that says it.

    Raises:
        ConfigError, DataError: as `read_frames`.
    """
    with _opened(path) as (container, stream):
        return int(stream.frames) or len(_packet_times(path, container, stream=stream)[0])  # some containers do not state it


def frame_refs(ref: ImageRef, max_frames: int = MAX_FRAMES, *, root: Path | None = None) -> tuple[ImageRef, ...]:
    """The frames of a video as images of moments "frame 1", "frame 2", ...

    Args:
        ref: whose only path is the video.
        max_frames: most that are shown.
        root: folder the path is relative to.

    Raises:
        ConfigError, DataError: as `read_frames`.
    """
    shown = len(sampled_numbers(count_frames(Path(root or "", ref.paths[0])), max_frames))
    return tuple(replace(ref, time=f"frame {number}", item=f"{number}/{shown}") for number in range(1, shown + 1))


def frame_seconds(ref: ImageRef, *, root: Path | None = None) -> float:
    """When the frame that an image of `frame_refs` names is shown [s].

    Raises:
        ConfigError, DataError: as `read_frames`.
    """
    path = Path(root or "", ref.paths[0]).resolve()  # as readers name it, so that frames are not decoded again
    number, _, count = ref.item.partition("/")
    return _frames_of(path, int(count), stamp=_stamp(path))[int(number) - 1].seconds


class VideoFrame:
    """One frame of a video as an image; see `eocore.data.io.layer_file.LayerFile`.

    Args:
        path: of the video.
        item: "3/32": the third of 32 frames at even distances.

    Raises:
        ConfigError: PyAV is not installed.
        DataError: the file is missing or no video, or `item` has another form.
    """

    raw_unit: RawUnit | None = None
    scaling: tuple[tuple[float, float], ...] = ()
    turn = AS_STORED
    grid: Grid | None = None
    dtype = np.dtype(np.uint8)

    def __init__(self, path: Path, item: str) -> None:
        number, _, count = item.partition("/")
        if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise DataError(f"{path} [{item}]: expected NUMBER/COUNT, such as 3/32 for the third of 32 frames.")
        self.path, self._index, self._count = path, int(number) - 1, int(count)
        self.size = _upright_size(path, stamp=_stamp(path))
        self.names: tuple[str | None, ...] = (None,) * COLOURS
        self.unit_bytes = COLOURS * self.size[0] * self.size[1] * self._count
        self._kept: list[int] | slice = slice(None)

    def read(self, window: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray | None]:
        """See `LayerFile.read`. All frames of the sample are decoded in one pass, and kept until those of other videos are."""
        row, col, height, width = window
        frames = _frames_of(self.path, self._count, stamp=_stamp(self.path))
        if len(frames) != self._count:
            raise DataError(f"{self.path}: {len(frames)} frames, but its header says {self._count} or more. Fetch the file again.")
        pixels = frames[self._index].pixels[row : row + height, col : col + width].transpose(2, 0, 1)
        return np.ascontiguousarray(pixels[self._kept]), None

    def keep(self, layers: Sequence[int]) -> None:
        """See `LayerFile.keep`."""
        self._kept, self.names = list(layers), tuple(self.names[layer] for layer in layers)

    def close(self) -> None:
        """Nothing stays open."""


@lru_cache(maxsize=2)
def _frames_of(path: Path, max_frames: int, *, stamp: tuple[int, int]) -> list[Frame]:
    """As `read_frames`; the images of a sample ask for its frames one by one."""
    return read_frames(path, max_frames)


@lru_cache(maxsize=64)
def _upright_size(path: Path, *, stamp: tuple[int, int]) -> tuple[int, int]:
    """(height, width) [px] of the frames as they are read; how they are turned is known of a decoded frame alone. Raises DataError where
    there is none."""
    with _opened(path) as (container, stream):
        height, width = _shown_size(stream)
        first = next(container.decode(stream), None)
        if first is None:
            raise DataError(f"{path}: {NO_FRAMES}")
        return (width, height) if _quarter_turns(first) % 2 else (height, width)


def _stamp(path: Path) -> tuple[int, int]:
    """Of a file's content: its time of change [ns] and its size [bytes]; zeros where there is none."""
    status = path.stat() if path.exists() else None
    return (status.st_mtime_ns, status.st_size) if status else (0, 0)


def import_av() -> ModuleType:
    """PyAV. Raises ConfigError where it is not installed."""
    try:
        import av
    except ImportError as error:
        raise ConfigError("videos need PyAV. Install the extra: pip install 'eocore-earthmind[video]'.") from error
    module: ModuleType = av
    return module


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """The container and its video stream. Raises DataError where it has none, or something in it cannot be decoded."""
    av = import_av()
    if not path.is_file():
        raise DataError(f"{path}: there is no such video file. Correct the path.")
    try:
        with av.open(str(path), options={"format_whitelist": FORMATS, "protocol_whitelist": "file"}) as container:
            stream = container.streams.best("video")
            if stream is None:
                raise DataError(f"{path}: holds no video, only sound or text. Give a file with pictures.")
            if not stream.width or not stream.height:
                raise DataError(f"{path}: its frames have {stream.width} x {stream.height} px; it is damaged or empty. Fetch it again.")
            yield container, stream
    except av.error.EOFError as error:
        raise DataError(f"{path}: {NO_FRAMES}") from error
    except av.FFmpegError as error:
        raise DataError(
            f"{path}: cannot be read as a video ({error.strerror}); it is damaged, cut short, or of another kind than "
            f"{', '.join(SUFFIXES)}. Fetch it again, or convert it."
        ) from error


def _packet_times(path: Path, container: Any, *, stream: Any) -> tuple[list[int], list[int]]:
    """Times of all frames that are shown, and of the key frames, both sorted, in units of the stream.

    Raises:
        DataError: there are no frames, or the file does not say when they are shown.
    """
    packets = [packet for packet in container.demux(stream) if packet.size and not packet.is_discard]
    if not packets:
        raise DataError(f"{path}: {NO_FRAMES}")
    if any(packet.pts is None for packet in packets):
        raise DataError(
            f"{path}: some of its {len(packets)} frames do not say when they are shown. Convert it to mp4 (ffmpeg -i IN OUT.mp4)."
        )
    return sorted(packet.pts for packet in packets), sorted(packet.pts for packet in packets if packet.is_keyframe)


def _decode(container: Any, stream: Any, *, wanted: Sequence[int], keys: Sequence[int]) -> Iterator[Any]:
    """The frames of these times; fewer where the file ends before."""
    left = list(wanted)
    while left:
        container.seek(left[0], stream=stream)
        before = len(left)
        for frame in container.decode(stream):
            if frame.pts is None or frame.pts < left[0]:
                continue
            yield frame
            del left[0]
            # decoding on would only pass by what a later key frame makes unnecessary
            if not left or bisect_right(keys, left[0]) > bisect_right(keys, frame.pts):
                break
        if len(left) == before:
            return


def _tell_cut(path: Path, container: Any, *, ends: float) -> None:
    """Warn if the last frame stands well before the end that the header states [s]."""
    stated = (container.duration or 0) / 1e6  # FFmpeg counts it in microseconds
    if ends < stated * (1 - MOST_MISSING) - 1:
        get_logger().warning(
            "%s: its last frame stands at %.1f s, but the file states %.1f s: it is cut short, or its sound is longer than its pictures. "
            "What is there is read.",
            path,
            ends,
            stated,
        )


def _quarter_turns(frame: Any) -> int:
    """Quarter turns, counter-clockwise, that the file asks players to turn a frame by: telephones store how they were held."""
    return round(frame.rotation / QUARTER_TURN)


def _upright(pixels: np.ndarray, frame: Any) -> np.ndarray:
    """(H, W, 3) pixels of a frame as a player shows them."""
    return np.ascontiguousarray(np.rot90(pixels, _quarter_turns(frame)))


def _seconds(time: int, stream: Any) -> float:
    return float((time - (stream.start_time or 0)) * stream.time_base)


def _shown_size(stream: Any, longest_side: int = LONGEST_SIDE) -> tuple[int, int]:
    """(height, width) [px] of the frames as they are read, before they are turned."""
    scale = min(1.0, longest_side / max(stream.height, stream.width))
    return max(1, round(stream.height * scale)), max(1, round(stream.width * scale))
