"""Small video files whose frames tell their number."""

from pathlib import Path

import numpy as np

SIDE = 64


def shade(number: int, count: int) -> int:
    """Grey value of a frame."""
    return round(20 + 215 * number / max(count - 1, 1))


def write_video(path: Path, count: int, *, size: tuple[int, int] = (SIDE, SIDE), key_every: int = 12, codec: str = "libx264") -> Path:
    """A video of `count` grey frames at 10 frames a second, each brighter than the one before; with B-frames, as most files have.

    Args:
        path: of the file; its suffix names the container.
        count: of the frames.
        size: (height, width) [px].
        key_every: frames from one key frame to the next.
        codec: of PyAV.
    """
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width, stream.pix_fmt, stream.gop_size = *size, "yuv420p", key_every
        for number in range(count):
            pixels = np.full((*size, 3), shade(number, count), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path
