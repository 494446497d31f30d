"""Small video files whose frames tell their number."""

from pathlib import Path
from typing import Any

import numpy as np

from eocore.synthetic.video_files import write_video

SIDE = 64


def shade(number: int, count: int) -> int:
    """Grey value of a frame."""
    return round(20 + 215 * number / max(count - 1, 1))


def grey_video(path: Path, count: int, *, size: tuple[int, int] = (SIDE, SIDE), **choices: Any) -> Path:
    """A video of `count` grey frames at 10 frames a second, each brighter than the one before.

    Args:
        path: of the file; its suffix names the container.
        count: of the frames.
        size: (height, width) [px].
        choices: of `write_video`.
    """
    return write_video(path, [np.full((*size, 3), shade(number, count), np.uint8) for number in range(count)], **choices)
