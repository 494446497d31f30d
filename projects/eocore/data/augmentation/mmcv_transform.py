"""Transforms of mmcv on records: one adapter, so that people bring what they know. Needs the extra `mmcv` (mmcv-lite)."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from eocore.data.augmentation.drawing import draw_seed
from eocore.data.augmentation.record_words import BoxScale, check_box_scale, turn_record_words
from eocore.data.augmentation.resampling import DECIBEL, DISPLAY_UNIT, LEAST_WEIGHT
from eocore.data.augmentation.scale import find_pixel_words
from eocore.data.augmentation.unsafe_words import UnsafeWordsError
from eocore.data.changes import kept_as_is, with_change
from eocore.data.io.readers import SceneHeader
from eocore.data.records import Record
from eocore.errors import ConfigError
from eocore.registry import TRANSFORMS
from eocore.sensors.grid_changes import GridChange, GridResize, GridTurn, Size
from eocore.sensors.orientation import Turn
from eocore.sensors.scene import Scene, on_changed_grid

RESIZING = ("Resize", "RandomResize", "RandomChoiceResize")
HOLDERS = ("Compose", "RandomChoice", "RandomApply")
KNOWN = ("RandomFlip", "RandomGrayscale", *RESIZING, *HOLDERS)
"""Transforms of mmcv 2.2 that the adapter takes: what they do to pixels outside of masks, words and bands is known."""
PICTURE_CHANNELS = 3
MOST_CHANNELS = 64
"""Bands resized at once: OpenCV takes no more than 128 channels."""
TRIAL_SIZE: Size = (64, 64)
IS_PICTURE = "eocore_is_picture"


@dataclass(frozen=True)
class ApplyMmcv:
    """What a transform of mmcv does with one seed: the same to every image of a record.

    Attributes:
        transform: as mmcv built it.
        seed: of its random numbers.
    """

    transform: Any = field(repr=False)
    seed: int

    def header(self, header: SceneHeader) -> SceneHeader:
        """See `SceneChange`."""
        for change in self.grid_changes(header.size):
            header = header.changed(change)
        return header

    def scene(self, scene: Scene) -> Scene:
        """See `SceneChange`; backscatter is resampled as linear power, and pixels without data stay so."""
        changes = self.grid_changes(scene.size)
        pixels = self._picture(scene, changes) if is_picture(scene) else self._measured(scene)
        if not changes:
            return replace(scene, pixels=pixels)
        for change in changes[:-1]:
            scene = on_changed_grid(scene, change.turn.apply(scene.pixels) if isinstance(change, GridTurn) else scene.pixels, change=change)
        return on_changed_grid(scene, pixels, change=changes[-1])

    def grid_changes(self, size: Size) -> tuple[GridChange, ...]:
        """What it does to the grid of an image of (height, width), told from where it moves three corners."""
        turn, after = self.geometry(size)
        turned: tuple[GridChange, ...] = (GridTurn(turn),) if turn else ()
        return (*turned, GridResize(after)) if after != size else turned

    def geometry(self, size: Size) -> tuple[Turn, Size]:
        """The flips, and (height, width) afterwards, of an image of `size`."""
        height, width = size
        corners = np.array([[[0, 0, 1], [width, 0, 1], [0, height, 1]]], np.float32)
        done = self._run({"img": np.zeros((height, width, 1), np.uint8), "gt_keypoints": corners})
        origin, right, down = done["gt_keypoints"][0, :, :2]
        return Turn(reverse_rows=bool(down[1] < origin[1]), reverse_cols=bool(right[0] < origin[0])), done["img"].shape[:2]

    def _run(self, results: dict[str, Any]) -> dict[str, Any]:
        with seeded(self.seed):
            done: dict[str, Any] = self.transform({"img_shape": results["img"].shape[:2], **results})
        return done

    def _picture(self, scene: Scene, changes: tuple[GridChange, ...]) -> np.ndarray:
        known = np.isfinite(scene.pixels).all(axis=0)
        image = np.ascontiguousarray(np.nan_to_num(scene.pixels, nan=0.0).astype(np.uint8).transpose(1, 2, 0))
        changed = self._run({"img": image, IS_PICTURE: True})["img"].astype(np.float32).transpose(2, 0, 1)
        for change in changes:
            known = change.mask(known)
        return changed if known.all() else np.where(known, changed, np.float32(np.nan))

    def _measured(self, scene: Scene) -> np.ndarray:
        values = 10 ** (scene.pixels / 10) if scene.unit == DECIBEL else scene.pixels
        known = np.isfinite(values)
        changed = self._layers(np.where(known, values, 0).astype(np.float32))
        if not known.all():
            weight = self._layers(known.astype(np.float32))
            changed = np.where(weight >= LEAST_WEIGHT, changed / np.maximum(weight, LEAST_WEIGHT), np.nan)
        if scene.unit == DECIBEL:
            changed = 10 * np.log10(np.maximum(changed, np.finfo(np.float32).tiny))
        if scene.unit == DISPLAY_UNIT:
            changed = np.clip(np.rint(changed), 0, 255)
        return changed.astype(np.float32)

    def _layers(self, pixels: np.ndarray) -> np.ndarray:
        """(C, h, w) of (C, H, W) float32."""
        parts = [pixels[start : start + MOST_CHANNELS] for start in range(0, len(pixels), MOST_CHANNELS)]
        done = [self._run({"img": np.ascontiguousarray(part.transpose(1, 2, 0))})["img"] for part in parts]
        return np.concatenate([image.reshape(*image.shape[:2], -1).transpose(2, 0, 1) for image in done])


def is_picture(scene: Scene) -> bool:
    """Whether a scene is a colour picture made for display, which alone has a grey form."""
    return scene.unit == DISPLAY_UNIT and scene.pixels.shape[0] == PICTURE_CHANNELS


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, the global random numbers of Python and numpy, which mmcv draws from, begin at `seed`; outside they go on undisturbed."""
    states = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


class _OnPictures:
    """A colour transform that leaves other images than colour pictures as they are, and draws the same numbers for them."""

    def __init__(self, transform: Any) -> None:
        self.transform = transform

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        if not results.get(IS_PICTURE):
            self.transform({"img": np.zeros((1, 1, PICTURE_CHANNELS), np.uint8)})
            return results
        done: dict[str, Any] = self.transform(results)
        image = done["img"]
        if image.ndim == 2 or image.shape[2] == 1:
            done["img"] = np.repeat(image.reshape(*image.shape[:2], 1), PICTURE_CHANNELS, axis=2)
        return done


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class MmcvTransform:
    """A transform of mmcv, applied alike to all images of a record, with masks, regions and words.

    `RandomFlip`, `Resize`, `RandomResize`, `RandomChoiceResize` and `RandomGrayscale` are taken, alone or inside `Compose`, `RandomChoice`
    and `RandomApply`. A flip changes words for directions as RandomOrientation does; a record whose words cannot be changed safely, or
    count pixels that a resize would change, stays as it is as far as this transform goes, and is counted. RandomGrayscale acts on colour
    pictures of 8 bits alone.

    Args:
        transform: its config as in mmcv, e.g. dict(type="RandomResize", scale=(512, 512), ratio_range=(0.5, 2.0), keep_ratio=True).
        box_scale: as RandomOrientation.

    Raises:
        ConfigError: mmcv is not installed, or the transform is another or wrong.
    """

    transform: Mapping[str, Any]
    box_scale: float | str | None = None

    def __post_init__(self) -> None:
        check_box_scale("MmcvTransform", self.box_scale)
        self._types = set(_types(self.transform))
        self._built = _build(self.transform)

    def __call__(self, record: Record, rng: np.random.Generator) -> Record:
        """The record, its images to be changed or as they were."""
        if not record.images:
            return record
        return self._changed(record, ApplyMmcv(self._built, draw_seed(rng)))

    def _changed(self, record: Record, change: ApplyMmcv) -> Record:
        reason = find_pixel_words(record, name="MmcvTransform", box_scale=self.box_scale) if self._types & set(RESIZING) else ""
        if reason:
            return kept_as_is(record, reason)
        return _turned(record, change, box_scale=self.box_scale)

    def unsafe_words(self, record: Record) -> str:
        """Why the record stays as it is in some draws; "" where it would not."""
        for turn in (Turn(reverse_cols=True), Turn(reverse_rows=True)) if "RandomFlip" in self._types else ():
            try:
                turn_record_words(record, turn, box_scale=self.box_scale)
            except UnsafeWordsError as error:
                return f"MmcvTransform: {error}"
        return find_pixel_words(record, name="MmcvTransform", box_scale=self.box_scale) if self._types & set(RESIZING) else ""


def _turned(record: Record, change: ApplyMmcv, *, box_scale: BoxScale) -> Record:
    turn, _ = change.geometry(TRIAL_SIZE)
    try:
        changed = turn_record_words(record, turn, box_scale=box_scale) if turn else record
    except UnsafeWordsError as error:
        return kept_as_is(record, f"MmcvTransform: {error}")
    return with_change(record, changed, change=change)


def _types(node: Any) -> Iterator[str]:
    """The types that a config names; raises ConfigError for one that the adapter does not take."""
    if isinstance(node, Mapping):
        if "type" in node:
            if node["type"] not in KNOWN:
                raise ConfigError(
                    f"MmcvTransform: transform names {node['type']!r}, of which it is not known what it does to masks, words and bands; "
                    f"choices: {', '.join(KNOWN)}. Take one of them, or one of ours (docs/augmentation.md)."
                )
            yield node["type"]
        node = list(node.values())
    for inner in node if isinstance(node, list | tuple) else ():
        yield from _types(inner)


def _build(config: Mapping[str, Any]) -> Any:
    try:
        from mmcv.transforms import TRANSFORMS as MMCV_TRANSFORMS  # an extra
    except ImportError as error:
        raise ConfigError(
            f"MmcvTransform needs mmcv, which cannot be imported ({error}). Install it: pip install -c constraints.txt '.[mmcv]'."
        ) from error
    try:
        built = MMCV_TRANSFORMS.build(dict(config))
        return _wrapped(built)
    except Exception as error:  # what mmcv finds wrong has any class
        raise ConfigError(
            f"MmcvTransform: mmcv cannot build {dict(config)!r}: {error}. Correct it as mmcv's documentation has it."
        ) from error


def _wrapped(transform: Any) -> Any:
    """The transform, with colour transforms inside it kept to pictures."""
    if type(transform).__name__ == "RandomGrayscale":
        return _OnPictures(transform)
    inner = getattr(transform, "transforms", None)
    if isinstance(inner, list):
        transform.transforms = [_wrapped(part) for part in inner]
    elif inner is not None:
        transform.transforms = _wrapped(inner)
    return transform
