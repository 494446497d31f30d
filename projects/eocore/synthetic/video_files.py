"""Made-up videos. Needs PyAV, the extra `video`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eocore.data.io.video_files import import_av
from eocore.files import writing


def write_video(path: Path, frames: Sequence[np.ndarray], *, rate: int = 10, key_every: int = 12, codec: str = "libx264") -> Path:
    """Writes frames as a video, with B-frames where the codec makes them, as most files have. Returns its path.

    Args:
        path: of the file; its suffix names the container.
        frames: (H, W, 3) uint8 of one size, both sides even.
        rate: frames a second.
        key_every: frames from one key frame to the next.
        codec: of PyAV.

    Raises:
        ConfigError: PyAV is not installed.
        OutputError: the file cannot be written.
    """
    av = import_av()
    with writing(path, "the video"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=rate)
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt, stream.gop_size = "yuv420p", key_every
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
    return path
