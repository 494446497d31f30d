"""The calls of the upstream models, with all their arguments."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from eocore.portable.band_rendering import SceneArray, SceneLike, as_scene
from eocore.portable.chat_templates import parse_turns
from eocore.portable.messages import Image, Part, Region, Text, as_turns, introduced_regions, joined, read_parts, with_images
from eocore.portable.vision_layout import SampleError, common_grid

from .answering import Answer, draw_frames, size_of
from .predicting import PredictionMixin, Question

SHOWN_FRAMES = 5
"""Frames of a video that the language model sees, the first ones; as upstream."""
MAX_NEW_TOKENS = 2048
"""Longest answer; as upstream."""


class UpstreamCalls(PredictionMixin):
    """`predict_forward` and `predict_forward_multi` as upstream code calls them."""

    seg_head: Any

    def predict_forward(  # noqa: PLR0913, PLR0917  (upstream calls it by position)
        self,
        image: Any = None,
        video: Sequence[Any] | None = None,
        text: str | None = None,
        past_text: str | None = "",
        mask_prompts: Sequence[Sequence[Any]] | None = None,
        tokenizer: Any = None,
        *,
        max_new_tokens: int = MAX_NEW_TOKENS,
    ) -> dict[str, Any]:
        """Answer a question about one image, the frames of a video, or neither.

        Args:
            image: Pillow image or (H, W, 3) uint8.
            video: frames of one size; the first five are shown to the language model, one tile each, and masks are drawn on all.
            text: the question; `<image>` stands where the image belongs, else it goes in front.
            past_text: a finished dialogue in the model's template; `<image>` may stand there instead.
            mask_prompts: [[(H, W) mask, ...]], regions of the image, which the text calls region1, region2, ...
            tokenizer: the one saved with the model, which is taken without it.
            max_new_tokens: longest answer.

        Returns:
            "prediction": text; "prediction_masks": for each [SEG] (1, H, W) bool, or (frames, H, W) of a video, each frame drawn from
            the [SEG] itself.

        Raises:
            TypeError: text is missing.
            ValueError: arguments do not go together, frames differ in size, or the tokenizer is another model's.
        """
        images = {} if image is None else {"rgb": image}
        question = self._question(images, text, past_text=past_text, mask_prompts=mask_prompts, tokenizer=tokenizer)
        return self._ask_upstream(question, video, max_new_tokens=max_new_tokens)

    def predict_forward_multi(  # noqa: PLR0913, PLR0917  (upstream calls it by position)
        self,
        image: Any = None,
        rgb_image: Any = None,
        video: Sequence[Any] | None = None,
        text: str | None = None,
        past_text: str | None = "",
        mask_prompts: Sequence[Sequence[Any]] | None = None,
        tokenizer: Any = None,
        *,
        max_new_tokens: int = MAX_NEW_TOKENS,
    ) -> dict[str, Any]:
        """Answer a question about the SAR image and the RGB image of one area.

        Args:
            image: SAR image: Pillow image or (H, W, 3) uint8.
            rgb_image: RGB image; or a list of composites of a multispectral image, three bands each, all of one size.
            video, text, past_text, mask_prompts, tokenizer, max_new_tokens: see `predict_forward`.

        Returns:
            What `predict_forward` returns. Of a pair that fusion="hca" joins, as upstream's second release, also "vis_weight": the
            weights of the RGB and of the SAR tokens, each (tiles, tokens, 1) float32, and "sta": (columns, rows) of the tile grid.

        Raises:
            TypeError, ValueError: see `predict_forward`.
        """
        composites = isinstance(rgb_image, list | tuple)
        optical = ("multispectral", _join_composites(rgb_image)) if composites else ("rgb", rgb_image)
        images = {name: picture for name, picture in (optical, ("sar", image)) if picture is not None}
        question = self._question(images, text, past_text=past_text, mask_prompts=mask_prompts, tokenizer=tokenizer)
        return self._ask_upstream(question, video, max_new_tokens=max_new_tokens)

    def _question(
        self, images: Mapping[str, Any], text: str | None, *, past_text: str | None, mask_prompts: Any, tokenizer: Any
    ) -> Question:
        if text is None:
            raise TypeError("text is missing: the question, such as '<image>Please segment the water.'")
        if tokenizer is not None and len(tokenizer) != len(self.processor.tokenizer):
            raise ValueError(
                f"the tokenizer has {len(tokenizer)} tokens, the one saved with the model {len(self.processor.tokenizer)}: "
                "ids would mean other words. Load it from the model's own folder."
            )
        try:
            past = as_turns(parse_turns(past_text or "", self.processor.chat_format))
        except ValueError as error:
            raise SampleError(f"past_text: {error}") from error
        regions = [] if mask_prompts is None else _regions(mask_prompts)
        shown = sum(isinstance(part, Region) for turn in past for part in turn.parts)
        return Question(images, _mark_regions(text, len(regions), first=shown) if regions else text, past, regions)

    def _ask_upstream(self, question: Question, video: Sequence[Any] | None, *, max_new_tokens: int) -> dict[str, Any]:
        if video is None:
            if question.regions and not question.images:
                raise SampleError("mask_prompts mark regions of an image, but no image is given. Give image=...")
            answer = self.predict_batch([question], max_new_tokens=max_new_tokens)[0]
            found = {"prediction": answer.text, "prediction_masks": [mask[None] for mask in answer.masks]}
            images = question.images
            return {**found, **(self._pair_weights(images, answer) if isinstance(images, Mapping) else {})}
        if question.images or question.regions:
            raise SampleError("video goes with neither an image nor mask_prompts, which would be ignored. Give one of them.")
        return self._ask_video(question, [as_scene(frame) for frame in video], max_new_tokens=max_new_tokens)

    def _pair_weights(self, images: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
        """What upstream's second release returns besides of a pair; {} of anything else."""
        if not self.config.fuses_sensors or len(images) < 2 or answer.importance is None:
            return {}
        options = self.processor.options
        rows, columns = common_grid([size_of(image) for image in images.values()], options)
        num_locations = rows * columns + int(options.use_thumbnail and rows * columns > 1)
        # a location's tiles stand together: SAR's, and all views of the other sensor
        weights = answer.importance.unflatten(0, (num_locations, -1))
        first = next(name for name in options.modality_order if name in images)
        optical, sar = (weights[:, 1:], weights[:, 0]) if first == "sar" else (weights[:, :-1], weights[:, -1])
        return {"vis_weight": (optical.sum(1)[..., None], sar[..., None]), "sta": (columns, rows)}

    def _ask_video(self, question: Question, frames: Sequence[SceneLike], *, max_new_tokens: int) -> dict[str, Any]:
        size = _one_size(frames)
        turns = with_images(question.turns())
        longest = self.longest_prompt(None)
        sample = self.processor.encode_frames(frames[:SHOWN_FRAMES], turns, max_length=longest, sample_id="video")
        batch = self.processor.collate([sample], left_pad=True)
        answer = self.answer(batch, self.processor, sizes=[size], max_new_tokens=max_new_tokens)[0]
        masks: list[np.ndarray] = []
        if answer.seg_states:
            with torch.no_grad():
                logits = draw_frames(self.seg_head, answer.seg_states, images=self.processor.frame_images(frames))
            masks = [self.processor.post_process_masks(drawn, size) for drawn in logits]
        return {"prediction": answer.text, "prediction_masks": masks}


def _join_composites(pictures: Sequence[Any]) -> SceneLike:
    """The multispectral scene of several pictures (H, W, 3), each a band rendering of it.

    Raises:
        SampleError: there are none, one is grey, or they differ in size.
    """
    scenes = [as_scene(picture) for picture in pictures]
    found = [tuple(scene.pixels.shape) for scene in scenes]
    if len(set(found)) != 1 or found[0][0] != 3:
        shapes = ", ".join(str(shape) for shape in found) or "nothing"
        raise SampleError(
            f"rgb_image is a list of {len(found)}: {shapes} (bands, height, width). Composites of one multispectral image have three bands "
            "each and one size; give such ones, or a single RGB image."
        )
    bands = tuple(f"{number}{band}" for number, scene in enumerate(scenes, start=1) for band in scene.bands)
    return SceneArray(np.concatenate([scene.pixels for scene in scenes]), bands, scenes[0].unit)


def _one_size(frames: Sequence[SceneLike]) -> tuple[int, int]:
    """(height, width) [px] of all frames.

    Raises:
        SampleError: there are none, or they differ.
    """
    sizes = [(int(frame.pixels.shape[1]), int(frame.pixels.shape[2])) for frame in frames]
    if not sizes:
        raise SampleError("the video has no frames. Give at least one image.")
    other = next((number for number, size in enumerate(sizes) if size != sizes[0]), None)
    if other is not None:
        raise SampleError(
            f"frame {other} of the video is {sizes[other]} px (height, width), the first {sizes[0]}: masks of all frames have one size. "
            "Resize the frames, or ask about each image by itself."
        )
    return sizes[0]


def _regions(mask_prompts: Sequence[Sequence[Any]]) -> list[np.ndarray]:
    """The regions (H, W) bool of the one image.

    Raises:
        SampleError: there is not one list of masks, or it is empty.
    """
    if len(mask_prompts) != 1 or not len(mask_prompts[0]):
        raise SampleError(
            f"mask_prompts holds {len(mask_prompts)} lists of masks, expected one, for the one image, with at least one mask in it: "
            "[[mask, ...]], each (H, W)."
        )
    return [(torch.as_tensor(mask).cpu() != 0).numpy() for mask in mask_prompts[0]]


def _mark_regions(text: str, count: int, *, first: int) -> tuple[Part, ...]:
    """The question with the regions named behind the image, as upstream's training words it.

    Args:
        text: the question.
        count: of the regions.
        first: how many regions earlier turns show.
    """
    parts = read_parts(text, "user", regions=first + count)
    end = next((number for number, part in enumerate(parts, start=1) if isinstance(part, Image)), 0)
    front = parts[:end] or (Image(),)
    return joined([*front, Text("\n"), *introduced_regions(count, first=first), Text("\n"), *parts[end:]])
