"""Images and texts -> model inputs; the same object serves training, prediction and pipelines."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import BatchFeature, ProcessorMixin

from eocore.portable.band_rendering import DISPLAY_UNIT, SceneLike, as_scene
from eocore.portable.image_tiling import resize

from .processor_options import ProcessorOptions

WHITE = 255.0


class MsClipProcessor(ProcessorMixin):
    """Prepares images of any bands, and texts.

    Args:
        tokenizer: CLIP's, or one that puts a start token before a text and the end token behind it.
        options: channels and their statistics, sizes, and what becomes of what does not fit; None = those of the released 10-band model.
    """

    def __init__(self, tokenizer: Any = None, options: ProcessorOptions | None = None) -> None:
        self.options = options or ProcessorOptions()
        super().__init__(tokenizer)

    @classmethod
    def from_args_and_dict(cls, args: Sequence[Any], processor_dict: Mapping[str, Any], **kwargs: Any) -> Any:
        """As in transformers, which calls it with the parts and with processor_config.json, where the options stand side by side."""
        return_unused = kwargs.pop("return_unused_kwargs", False)
        given = {**processor_dict, **kwargs}
        names = {field.name for field in fields(ProcessorOptions)}
        made = cls(next(iter(args), None), ProcessorOptions(**{name: value for name, value in given.items() if name in names}))
        unused = {name: value for name, value in given.items() if name not in names}
        return (made, unused) if return_unused else made

    def to_dict(self) -> dict[str, Any]:
        """As in transformers; the options stand side by side."""
        written = {name: value for name, value in super().to_dict().items() if name != "options"}
        return {**written, **asdict(self.options)}

    def __call__(self, images: Any = None, text: Any = None, **ignored: Any) -> BatchFeature:
        """`pixel_values` (N, C, S, S) float32 of the images, `input_ids` and `attention_mask` (M, T) of the texts.

        Args:
            images: one image or a list: see `pixels`.
            text: one text or a list.
            **ignored: arguments of transformers' processors that choose the form of outputs.

        Raises:
            ValueError: an image or a text does not fit the model.
            TypeError: an image is none.
        """
        data: dict[str, Tensor] = {}
        if images is not None:
            data["pixel_values"] = torch.stack([self.pixels(image) for image in (images if isinstance(images, list | tuple) else [images])])
        if text is not None:
            data |= self.tokens([text] if isinstance(text, str) else list(text))
        return BatchFeature(data)

    def pixels(self, image: Any) -> Tensor:
        """(C, S, S) float32, normalised: 0 where there is no data.

        Args:
            image: role -> scene, or one of: an object with `pixels` (C, H, W), `bands` and `unit`; a Pillow image or uint8 array, where the
                model reads pictures.

        Raises:
            ValueError: a role or a band is missing (unless options.absent is "mean"), or the image is too small to be cut.
            TypeError: it is no image.
        """
        options, scenes = self.options, self._scenes(image)
        layers: dict[int, Tensor] = {}
        for role, scene in scenes.items():
            chosen = {number: band for number, band in enumerate(self._bands(scenes)) if band is not None and band[0] == role}
            if chosen:
                found = self._fitted(scene, [band for _, band in chosen.values()], means=[options.mean[number] for number in chosen])
                layers |= dict(zip(chosen, found, strict=True))
        side = options.image_size
        empty = torch.zeros(side, side)
        return torch.stack(
            [
                empty if number not in layers else (layers[number] - options.mean[number]) / options.std[number]
                for number in range(len(options.channels))
            ]
        )

    def tokens(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """`input_ids` and `attention_mask`, (M, T) with T at most `context_length`.

        Raises:
            ValueError: a text is longer, and is not to be cut.
        """
        limit = self.options.context_length
        cut = {"truncation": True, "max_length": limit} if self.options.long_texts == "cut" else {}
        encoded = self.tokenizer(list(texts), padding=True, **cut)
        lengths = [sum(mask) for mask in encoded["attention_mask"]]
        if max(lengths, default=0) > limit:
            longest = int(np.argmax(lengths))
            raise ValueError(
                f"a text has {lengths[longest]} tokens, the model reads at most {limit}: '{texts[longest][:80]}'. Shorten it, or set "
                "long_texts='cut' in the processor, which leaves the rest of such texts out."
            )
        return {name: torch.tensor(encoded[name]) for name in ("input_ids", "attention_mask")}

    def _scenes(self, image: Any) -> dict[str, SceneLike]:
        """Role -> scene. Raise ValueError if it is not clear which role a single image has, or none is read."""
        roles = self.options.roles
        given = image if isinstance(image, Mapping) else {self._role(image): image}
        scenes = {role: as_scene(scene) for role, scene in given.items() if role in roles}
        if not scenes:
            raise ValueError(f"the model reads images of the roles {', '.join(roles)}, found {', '.join(map(str, given)) or 'none'}.")
        return scenes

    def _role(self, image: Any) -> str:
        """The role of an image that is given alone."""
        roles = self.options.roles
        named = getattr(image, "role", "")
        if named in roles or len(roles) == 1:
            return named if named in roles else roles[0]
        pictures = getattr(image, "unit", DISPLAY_UNIT) == DISPLAY_UNIT
        fitting = [role for role in roles if (role == "rgb") == pictures]
        if len(fitting) != 1:
            raise ValueError(
                f"the model reads images of the roles {', '.join(roles)}: give {{role: image}}, so that it is clear which it is."
            )
        return fitting[0]

    def _bands(self, scenes: Mapping[str, SceneLike]) -> list[tuple[str, str] | None]:
        """(role, band) of each channel, None where it is to be the mean."""
        return [self._band(alternatives, scenes) for alternatives in self.options.sources]

    def _band(self, alternatives: Sequence[tuple[str, str]], scenes: Mapping[str, SceneLike]) -> tuple[str, str] | None:
        found = next(((role, band) for role, band in alternatives if role in scenes), None)
        if found is not None and (found[1] in scenes[found[0]].bands or _is_grey(scenes[found[0]])):
            return found
        if self.options.absent == "mean":
            return None
        wanted = "|".join(f"{role}:{band}" for role, band in alternatives)
        there = "; ".join(f"{role}: {', '.join(scene.bands)}" for role, scene in scenes.items())
        raise ValueError(
            f"the model reads the channel {wanted}, which the image does not have ({there}). Give an image with it; only a model trained "
            "with absent bands should take the mean instead (absent='mean' in the processor)."
        )

    def _fitted(self, scene: SceneLike, bands: Sequence[str], *, means: Sequence[float]) -> Tensor:
        """(B, S, S) of these bands, in the unit of the statistics."""
        layers = np.stack([scene.pixels[0] if _is_grey(scene) else scene.pixels[list(scene.bands).index(band)] for band in bands])
        fit, side = self.options.fit, self.options.image_size
        if self.options.unit == "measured" and scene.unit != DISPLAY_UNIT:
            filled = np.where(np.isnan(layers), np.asarray(means)[:, None, None], layers)
            values = torch.from_numpy(filled.astype(np.float32))
            return _cut(_resampled(values, side) if fit == "resize" else values, side)
        shown = layers if scene.unit == DISPLAY_UNIT else np.clip(layers / self.options.display_white, 0.0, 1.0) * WHITE
        known = ~np.isnan(shown)
        picture = np.rint(np.where(known, shown, np.asarray(means)[:, None, None] * WHITE)).astype(np.uint8)
        resized = resize(picture, _size(picture.shape[1:], side)) if fit == "resize" else picture
        return _cut(torch.from_numpy(np.array(resized)), side).float() / WHITE


def _is_grey(scene: SceneLike) -> bool:
    """A picture of one layer, which stands for every colour."""
    return scene.unit == DISPLAY_UNIT and len(scene.bands) == 1


def _size(size: Sequence[int], side: int) -> tuple[int, int]:
    """(height, width) with a short side of `side`; the long one is rounded down, as torchvision does."""
    height, width = size
    return (side, side * width // height) if height <= width else (side * height // width, side)


def _resampled(layers: Tensor, side: int) -> Tensor:
    height, width = layers.shape[1:]
    size = _size((height, width), side)
    if size == (height, width):
        return layers
    return functional.interpolate(layers[None], size=size, mode="bicubic", antialias=True, align_corners=False)[0]


def _cut(layers: Tensor, side: int) -> Tensor:
    """(C, side, side) from the centre. Raise ValueError if there is less."""
    height, width = layers.shape[1:]
    if min(height, width) < side:
        raise ValueError(
            f"the image has {height} x {width} px, the model sees {side} x {side}; choose fit='resize' or give a larger image."
        )
    top, left = round((height - side) / 2), round((width - side) / 2)
    return layers[:, top : top + side, left : left + side]
