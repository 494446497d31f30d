"""Where in an image a text is true: the cosine of each patch and the text, laid on the image's own pixels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from eocore.errors import BandError, ConfigError, DataError
from eocore.sensors.scene import Scene
from ms_clip.model.modeling_ms_clip import DENSE_KINDS
from ms_clip.upstream.embedding import embed_texts
from ms_clip.upstream.models import Loaded

OVERLAP = 2
"""Windows stand a part of this number of their side apart, so that most pixels are seen in the middle of one."""


@dataclass(frozen=True, kw_only=True)
class MapChoices:
    """How maps are made.

    Attributes:
        kind: of dense features: "value" (patches speak of themselves) or "plain", see `MsClipModel.dense_features`.
        window_px: side of the squares of the image that go through the model [px]; None = its short side. Smaller squares are enlarged
            more, and the map shows more detail of less context.
        batch_size: windows that go through the model together.

    Raises:
        ConfigError: an unknown kind, or a number below 1.
    """

    kind: str = "value"
    window_px: int | None = None
    batch_size: int = 32

    def __post_init__(self) -> None:
        if self.kind not in DENSE_KINDS:
            raise ConfigError(f"similarity maps of kind '{self.kind}' are unknown; choices: {', '.join(DENSE_KINDS)}.")
        if min(self.batch_size, 1 if self.window_px is None else self.window_px) < 1:
            raise ConfigError(f"batch size {self.batch_size} and window {self.window_px} px: expected at least 1.")


def similarity_maps(loaded: Loaded, scene: Scene, *, queries: Sequence[str], choices: MapChoices | None = None) -> np.ndarray:
    """(Q, H, W) float32 cosines of the scene's pixels and the queries, NaN where no band has data.

    Square windows cover the whole scene, half overlapping; values between the centres of patches are interpolated, and averaged where
    windows overlap, each pixel with more weight in a window in whose middle it is, so that no borders of windows show.

    Args:
        loaded: what `build_model` returns.
        scene: with the model's bands.
        queries: at least one text.
        choices: None = the defaults.

    Raises:
        ConfigError: no query, or an empty one.
        DataError: the scene or a text does not fit the model, or the window is larger than the scene.
    """
    choices = choices or MapChoices()
    if not queries or not all(query.strip() for query in queries):
        raise ConfigError("queries: expected at least one, and none empty.")
    side = _side(loaded, scene, window_px=choices.window_px)
    texts = torch.from_numpy(embed_texts(loaded, queries))
    starts = [(top, left) for top in _starts(scene.size[0], side) for left in _starts(scene.size[1], side)]
    sums, weights, tent = torch.zeros(len(queries), *scene.size), torch.zeros(scene.size), _tent(side)
    for number in range(0, len(starts), choices.batch_size):
        part = starts[number : number + choices.batch_size]
        pixels = torch.stack([_pixels(loaded, scene, start=start, side=side) for start in part])
        for (top, left), cosines in zip(part, _cosines(loaded, pixels, texts=texts, kind=choices.kind), strict=True):
            window = (slice(top, top + side), slice(left, left + side))
            layers = functional.interpolate(cosines[None], size=(side, side), mode="bilinear", align_corners=False)[0]
            sums[:, *window] += tent * layers
            weights[window] += tent
    maps: np.ndarray = (sums / weights).numpy()
    maps[:, ~np.isfinite(scene.pixels).any(axis=0)] = np.nan
    return maps


def _side(loaded: Loaded, scene: Scene, *, window_px: int | None) -> int:
    """Of a window [px]. Raise DataError if it is larger than the scene, or is not what a model that cuts sees."""
    options, short = loaded.tokenizer.processor.options, min(scene.size)
    side = window_px or (options.image_size if options.fit == "crop" else short)
    if side > short:
        raise DataError(f"{scene.path}: a window of {side} px is larger than the image of {scene.size[0]} x {scene.size[1]} px.")
    if options.fit == "crop" and side != options.image_size:
        raise DataError(
            f"{scene.path}: a window of {side} px, but the model sees {options.image_size} px as they are (fit='crop'), and the rest "
            "of the window would be left out. Leave the window to the model."
        )
    return side


def _tent(side: int) -> Tensor:
    """(side, side) weights that fall from the middle to the border, positive everywhere."""
    ramp = 1 - (2 * (torch.arange(side) + 0.5) / side - 1).abs()
    return ramp[:, None] * ramp


def _starts(length: int, side: int) -> list[int]:
    """Where windows begin along an axis; the last ends with the image."""
    step = max(1, side // OVERLAP)
    return [*range(0, length - side, step), length - side]


def _pixels(loaded: Loaded, scene: Scene, *, start: tuple[int, int], side: int) -> Tensor:
    top, left = start
    window = replace(scene, pixels=np.ascontiguousarray(scene.pixels[:, top : top + side, left : left + side]))
    try:
        return loaded.preprocess(window)
    except ValueError as error:
        raise BandError(f"{scene.path}: {error}") from error


@torch.no_grad()
def _cosines(loaded: Loaded, pixels: Tensor, *, texts: Tensor, kind: str) -> Tensor:
    """(N, Q, rows, columns)."""
    features = loaded.model.dense_features(pixels.to(loaded.model.device), kind=kind)
    return (features @ texts.to(features.device).T).permute(0, 3, 1, 2).float().cpu()
