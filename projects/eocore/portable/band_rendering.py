"""How a scene is shown to the vision tower: physical bands -> uint8 channels of the patch embedding.

A rule lists views; a view names, for each channel of the patch embedding, a band, `ratio:A/B`, `zero` (black, as upstream) or `none`
(the channel's mean, so that nothing remains of it once the model has normalised its input). A band without a single pixel of data is
shown as `none` too. Three-band
composites and the native presentation of all bands are the same thing with 3 or with C channels:

    {"views": [["B04", "B03", "B02"], ["B08", "B11", "B12"]], "stretch": {"method": "percentile", "low": 2, "high": 98}}
    {"views": [["VV", "VH", "ratio:VV/VH"]],
     "stretch": {"method": "range", "low": {"VV": -25, "VH": -32, "ratio:VV/VH": 0}, "high": {"VV": 0, "VH": -5, "ratio:VV/VH": 15}}}
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from PIL import Image

from eocore.portable.image_tiling import resize
from eocore.portable.pictures import picture_pixels

ZERO = "zero"
NONE = "none"
RATIO = "ratio:"
DISPLAY_UNIT = "uint8"
WHITE = 255
STRETCHES = ("range", "percentile")


class SceneLike(Protocol):
    """What every presentation needs of a scene."""

    @property
    def pixels(self) -> np.ndarray:
        """(C, H, W), NaN where there is no data."""

    @property
    def bands(self) -> tuple[str, ...]:
        """C band names."""

    @property
    def unit(self) -> str:
        """Unit of the pixels; "uint8" is an image made for display."""


@dataclass(frozen=True)
class SceneArray:
    """A scene given as an array: pixels (C, H, W), NaN where there is no data; see `SceneLike`."""

    pixels: np.ndarray
    bands: tuple[str, ...]
    unit: str

    def __post_init__(self) -> None:
        """Raise ValueError if the array is not what bands and unit say."""
        if self.pixels.ndim != 3 or len(self.bands) != self.pixels.shape[0] or not self.pixels.size:
            raise ValueError(
                f"a scene is an array (C, H, W) with a name for each of its C bands, found {self.pixels.shape} and {len(self.bands)} names "
                f"({', '.join(self.bands)})."
            )
        if self.unit == DISPLAY_UNIT:
            _check_display_range(self.pixels)
        else:
            _check_measured(self.pixels, self.unit)


@dataclass(frozen=True)
class SceneShape:
    """A scene without its pixels: size [px], band names, unit; see `SceneLike`."""

    height: int
    width: int
    bands: tuple[str, ...]
    unit: str


def count_views(shape: SceneShape, rule: Mapping[str, Any]) -> int:
    """How many views `present` gives of such a scene."""
    if shape.unit != DISPLAY_UNIT:
        return len(rule["views"])
    return max(len(shape.bands) // 3, 1)


def as_scene(image: Any) -> SceneLike:
    """A scene from a Pillow image of 8 bits, an (H, W) or (H, W, 3) uint8 array, or anything that already is one.

    Raises:
        TypeError: none of these.
        ValueError: a picture is not stored as it is shown; see `pictures.picture_pixels`.
    """
    if isinstance(image, Image.Image):
        image = picture_pixels(image)
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3)) or not image.size:
            raise TypeError(
                f"an image array must be (H, W) or (H, W, 3) uint8, found {image.shape} {image.dtype}{_found_range(image)}. Scale it to "
                "0..255 yourself, as for display; give measured bands as SceneArray(pixels, bands, unit)."
            )
        layers = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
        return SceneArray(layers, ("grey",) if layers.shape[0] == 1 else ("red", "green", "blue"), DISPLAY_UNIT)
    if not all(hasattr(image, name) for name in ("pixels", "bands", "unit")):
        raise TypeError(f"expected a Pillow image, a uint8 array or a scene with pixels, bands and unit; found {type(image).__name__}.")
    return image


def _found_range(values: np.ndarray) -> str:
    """The smallest and largest number of an array, for messages."""
    if not values.size or values.dtype.kind not in "biuf":
        return ""
    known = values[np.isfinite(values)]
    return f" ({known.min():g} to {known.max():g})" if known.size else " (no finite number)"


def _check_display_range(pixels: np.ndarray) -> None:
    """Raise ValueError if pixels that are said to be made for display are not numbers of 0..255."""
    if pixels.dtype == np.uint8:
        return
    known = pixels[np.isfinite(pixels)]
    if not known.size:
        return
    if known.min() < 0 or known.max() > WHITE:
        fault = "would wrap around or be cut off"
    elif known.max() <= 1 and (known % 1 != 0).any():
        fault = "would all be black; multiply fractions by 255"
    else:
        return
    raise ValueError(
        f"pixels of unit '{DISPLAY_UNIT}' are 0..255, found {pixels.dtype} {known.min():g} to {known.max():g}: they {fault}. Scale them as "
        "for display, or name the unit that they are in."
    )


def _check_measured(pixels: np.ndarray, unit: str) -> None:
    """Raise ValueError if pixels that are said to be measured values are digital numbers."""
    if pixels.dtype.kind != "f":
        raise ValueError(
            f"pixels of unit '{unit}' are fractional numbers, found {pixels.dtype}{_found_range(pixels)}, which are digital numbers. Scale "
            f"them to the unit and give float32; for pictures made for display the unit is '{DISPLAY_UNIT}'."
        )


def present(scene: SceneLike, rule: Mapping[str, Any], *, num_channels: int, fill: Sequence[int] = ()) -> np.ndarray:
    """All views of a scene, (V, num_channels, H, W) uint8.

    A scene made for display (unit "uint8") is shown as it is: each three layers are one view in the first three channels,
    a single layer fills all three; its other channels are `none`. Pixels without data become 0.

    Args:
        fill: value of a channel that is `none`, for each channel; empty = 0.

    Raises:
        ValueError: a band is missing, a view does not have `num_channels` entries, or the stretch is unknown.
    """
    if scene.unit == DISPLAY_UNIT:
        return _display_views(scene, num_channels, fill=fill)
    views = rule["views"]
    for view in views:
        if len(view) != num_channels:
            raise ValueError(f"view {list(view)} names {len(view)} channels, the patch embedding takes {num_channels}; make them agree.")
    shown = {entry for view in views for entry in view if entry != NONE and not _is_absent(entry, scene)}
    layers = {entry: _stretched(entry, scene, stretch=rule["stretch"]) for entry in shown}
    empty = _empty_layers(fill, num_channels, size=scene.pixels.shape[1:])
    return np.stack([np.stack([layers.get(entry, empty[channel]) for channel, entry in enumerate(view)]) for view in views])


def _empty_layers(fill: Sequence[int], num_channels: int, *, size: tuple[int, ...]) -> np.ndarray:
    """(C, H, W) uint8: what each channel shows where it has no signal."""
    if fill and len(fill) != num_channels:
        raise ValueError(f"fill gives values for {len(fill)} channels, there are {num_channels}.")
    levels = np.array(fill or [0] * num_channels, np.uint8)
    return np.broadcast_to(levels[:, None, None], (num_channels, *size))


def grounding_image(scene: SceneLike, rule: Mapping[str, Any]) -> np.ndarray:
    """The (3, H, W) uint8 picture the mask decoder sees: the rule's `grounding` view, else the first three channels of its first view.

    Raises:
        ValueError: that view has not three entries, a band is missing, or the stretch is unknown.
    """
    if scene.unit == DISPLAY_UNIT:
        return _display_views(scene, 3, fill=())[0]
    view = rule.get("grounding") or list(rule["views"][0])[:3]
    if len(view) != 3:
        raise ValueError(f"the grounding view {list(view)} names {len(view)} channels, the mask decoder takes 3; fill up with '{ZERO}'.")
    return np.stack([_stretched(entry, scene, stretch=rule["stretch"]) for entry in view])


def composite_image(
    scenes: Mapping[str, SceneLike], rules: Mapping[str, Any], *, channels: Sequence[str], fill: Sequence[int] = ()
) -> np.ndarray:
    """One (C, H, W) uint8 picture whose channels come from several sensors.

    Args:
        scenes: modality -> scene, at least one; sensors of another size are brought to the first one's.
        rules: modality -> rule, whose stretch is used.
        channels: each "modality:entry", or several of these with `|` between: the first whose modality is there counts. A grey
            picture gives its layer for any entry.
        fill: value of a channel whose sensor or band is not there, for each channel; empty = 0.
    """
    size = next(iter(scenes.values())).pixels.shape[1:]
    empty = _empty_layers(fill, len(channels), size=size)
    layers = []
    for number, channel in enumerate(channels):
        chosen = next((part for part in channel.split("|") if part.split(":", 1)[0] in scenes), None)
        if chosen is None:
            layers.append(empty[number : number + 1])
            continue
        modality, entry = chosen.split(":", 1)
        if scenes[modality].unit != DISPLAY_UNIT and _is_absent(entry, scenes[modality]):
            layers.append(empty[number : number + 1])
            continue
        layers.append(resize(_channel(entry, scenes[modality], stretch=rules[modality]["stretch"])[None], (size[0], size[1])))
    return np.concatenate(layers)


def _channel(entry: str, scene: SceneLike, *, stretch: Mapping[str, Any]) -> np.ndarray:
    """(H, W) uint8: a measured band stretched; of a scene made for display the layer as it is, its only one for any band."""
    if scene.unit != DISPLAY_UNIT:
        return _stretched(entry, scene, stretch=stretch)
    layer = scene.pixels[0] if len(scene.bands) == 1 else _band(entry, scene)
    return _levels(layer)


def _display_views(scene: SceneLike, num_channels: int, *, fill: Sequence[int]) -> np.ndarray:
    layers = _levels(scene.pixels)
    if layers.shape[0] == 1:
        layers = np.repeat(layers, 3, axis=0)
    if layers.shape[0] % 3:
        raise ValueError(f"a display image has 1 or 3n layers, found {layers.shape[0]} ({', '.join(scene.bands)}).")
    pictures = layers.reshape(-1, 3, *layers.shape[1:])
    if num_channels <= 3:
        return pictures
    views = np.repeat(_empty_layers(fill, num_channels, size=layers.shape[1:])[None], len(pictures), axis=0)
    views[:, :3] = pictures
    return views


def _stretched(entry: str, scene: SceneLike, *, stretch: Mapping[str, Any]) -> np.ndarray:
    if entry == ZERO:
        return np.zeros(scene.pixels.shape[1:], np.uint8)
    values = layer_values(entry, scene)
    method = stretch["method"]
    low: Any
    high: Any
    if method == "range":
        low, high = _of_band(stretch["low"], entry), _of_band(stretch["high"], entry)
    elif method == "percentile":
        known = values[np.isfinite(values)]
        low, high = np.percentile(known, [stretch["low"], stretch["high"]]) if known.size else (0.0, 1.0)
    else:
        raise ValueError(f"stretch method '{method}' is unknown; choices: {', '.join(STRETCHES)}.")
    scaled = (values - low) / max(high - low, np.finfo(np.float32).tiny)
    np.clip(scaled, 0.0, 1.0, out=scaled)
    scaled *= 255.0
    return _levels(np.rint(scaled, out=scaled))


def _levels(values: np.ndarray) -> np.ndarray:
    """uint8 of values 0..255, 0 where there is no data."""
    if values.size and np.isfinite(values.min()) and np.isfinite(values.max()):  # both are NaN where any is
        return values.astype(np.uint8)
    return np.nan_to_num(values, nan=0.0).astype(np.uint8)


def _is_absent(entry: str, scene: SceneLike) -> bool:
    """Whether the band of an entry holds no data at all, as if the sensor did not have it."""
    if entry == ZERO:
        return False
    values = layer_values(entry, scene)
    return bool(np.isnan(values.flat[0])) and bool(np.isnan(values).all())


def layer_values(entry: str, scene: SceneLike) -> np.ndarray:
    if entry.startswith(RATIO):
        first, second = entry.removeprefix(RATIO).split("/")
        difference = _band(first, scene) - _band(second, scene)
        return (
            difference if scene.unit.endswith("_db") else _band(first, scene) / np.maximum(_band(second, scene), np.finfo(np.float32).tiny)
        )
    return _band(entry, scene)


def _band(name: str, scene: SceneLike) -> np.ndarray:
    if name not in scene.bands:
        path = getattr(scene, "path", "")
        raise ValueError(
            f"band {name} is missing: the scene has {', '.join(scene.bands)}{f' ({path})' if path else ''}. Give a file with it or change "
            "the presentation's views."
        )
    return scene.pixels[list(scene.bands).index(name)]


def _of_band(limit: float | Mapping[str, float], entry: str) -> float:
    if isinstance(limit, Mapping):
        if entry not in limit:
            raise ValueError(f"the stretch gives no limit for {entry}; it has {', '.join(limit)}.")
        return float(limit[entry])
    return float(limit)
