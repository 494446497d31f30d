"""Images and text -> model inputs; the same object serves training, prediction and the Hugging Face pipelines."""

from collections.abc import Collection, Mapping, Sequence
from functools import cache, partial
from itertools import pairwise
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor
from transformers import BatchFeature

from eocore.portable.band_rendering import SceneLike, SceneShape, as_scene, count_views
from eocore.portable.chat_processor import ChatProcessor
from eocore.portable.chat_templates import Piece
from eocore.portable.fusion_plan import FusionText
from eocore.portable.image_slots import check_one_position
from eocore.portable.messages import Turn, as_turns
from eocore.portable.position_limit import SampleTooLongError, too_long
from eocore.portable.prompt_images import images_per_prompt
from eocore.portable.row_inputs import to_rows
from eocore.portable.row_packing import IGNORE
from eocore.portable.text_splicing import SplicedText, known_id
from eocore.portable.vision_layout import SampleError, VisionLayout, lay_out, lay_out_frames, plan_layout

from .batching import Batch, Sample, collate
from .grounding_images import grounding_images, stack_masks
from .processor_arguments import CallArguments, CallOptions, EncodeArguments, EncodeOptions
from .processor_options import MODALITIES, ProcessorOptions
from .special_tokens import ANSWER_TOKENS, IMAGE_TOKEN, PROMPT_TOKENS, SEG_TOKEN

UPSTREAM_ORDER = ("sar", "rgb")
"""Order of two images given without names: the upstream multi-image call takes SAR first."""


class EarthMindProcessor(ChatProcessor):
    """Prepares samples of any subset of sensors.

    Args:
        tokenizer: a tokenizer that holds the special tokens (see `special_tokens.SPECIAL_TOKENS`).
        options: tiling, band rendering, SAM 2's images and the name of the chat template; None = all at their defaults.
        chat_template: jinja text of the chat template; None takes the one that `options.template` names.
    """

    options_class = ProcessorOptions
    prompt_tokens = PROMPT_TOKENS
    answer_tokens = ANSWER_TOKENS
    seg_token = SEG_TOKEN

    def __init__(self, tokenizer: Any = None, options: ProcessorOptions | None = None, *, chat_template: str | None = None) -> None:
        super().__init__(tokenizer, options, chat_template=chat_template)
        self._ids = {token: known_id(tokenizer, token) for token in (IMAGE_TOKEN, SEG_TOKEN)}

    @property
    def image_token_id(self) -> int:
        """Id of the placeholder every vision token replaces."""
        return self._ids[IMAGE_TOKEN]

    @property
    def seg_token_id(self) -> int:
        """Id of [SEG]."""
        return self._ids[SEG_TOKEN]

    def encode(self, images: Mapping[str, Any], turns: Sequence[Turn | tuple[str, str]], **arguments: Unpack[EncodeArguments]) -> Sample:
        """One sample, ready for `collate`.

        Args:
            images: modality -> scene, Pillow image or uint8 array; any subset of the modalities, or none.
            turns: messages, or (role, text) in the notation of `messages`; the images are shown once, in the first question, and each
                region once.
            arguments: see `processor_arguments.EncodeOptions`.

        Raises:
            SampleError: counts or sizes disagree. SampleTooLongError: more than `max_length` tokens.
            TypeError: an argument is unknown.
        """
        options = EncodeOptions(**arguments)
        masks, sample_id = options.masks, options.sample_id
        scenes = self._scenes(images, sample_id)
        for mask, what in [*((region, "region") for region in options.regions), *((mask, "mask") for mask in masks or ())]:
            _check_size(mask, scenes, sample_id=sample_id, what=what)
        turns = as_turns(turns)
        check_one_position(turns, len(scenes), sample_id=sample_id)
        self._check_answers(turns, sample_id)
        pieces = self._pieces(turns, options.independent, for_generation=options.for_generation)
        sample = self._assemble(lay_out(scenes, self.options), pieces, regions=options.regions, sample_id=sample_id)
        _check_length(sample, options.max_length, for_generation=options.for_generation)
        if options.with_grounding and scenes and (masks is None or len(masks) > 0):
            make = cache(partial(self.grounding_images, scenes))
            # whether an answer will have masks is not known yet: pictures for SAM 2 wait until one has
            sample = sample._replace(draw_on=make) if options.for_generation else sample._replace(grounding_images=make())
        if masks is not None:
            sample = sample._replace(
                masks=stack_masks(masks, num_seg=len(sample.seg_index), side=self.options.grounding_size, sample_id=sample_id)
            )
        return sample

    def encode_frames(
        self,
        frames: Sequence[SceneLike],
        turns: Sequence[Turn | tuple[str, str]],
        *,
        max_length: int | None = None,
        sample_id: str = "",
    ) -> Sample:
        """A question about RGB frames of one size, one tile each, ready for `collate`; nothing is drawn on.

        Args:
            frames: of a video.
            turns, max_length, sample_id: as `encode`.

        Raises:
            SampleError: not exactly one image part, which stands for all frames, is in the turns.
            SampleTooLongError: more than `max_length` tokens.
        """
        turns = as_turns(turns)
        self._check_answers(turns, sample_id)
        pieces = self._render(turns, False, for_generation=True)
        sample = self._assemble(lay_out_frames(frames, self.options, role="rgb"), pieces, sample_id=sample_id)
        _check_length(sample, max_length, for_generation=True)
        return sample

    def frame_images(self, frames: Sequence[SceneLike]) -> Tensor:
        """SAM 2's image of each frame: (F, C, S, S) uint8."""
        return torch.cat([self.grounding_images({"rgb": frame}) for frame in frames])

    def measure(
        self,
        shapes: Mapping[str, SceneShape],
        turns: Sequence[Turn | tuple[str, str]],
        *,
        regions: Sequence[np.ndarray] = (),
        num_masks: int = 0,
        independent: bool = False,
        sample_id: str = "",
    ) -> dict[str, int]:
        """How large `encode` would make a sample, found as it does but without a pixel.

        Args:
            shapes: modality -> scene without pixels.
            turns, regions, independent, sample_id: as `encode`.
            num_masks: of the answers.

        Returns:
            tokens, tiles, mask_images (for SAM 2), masks, scored (tokens with a label).

        Raises:
            SampleError: as `encode`, as far as no pixel is needed to see it.
        """
        turns = as_turns(turns)
        self._check_answers(turns, sample_id)
        views = {
            name: (shapes[name].height, shapes[name].width, count_views(shapes[name], self.options.presentation[name]))
            for name in self.options.modality_order
            if name in shapes
        }
        sample = self._assemble(plan_layout(views, self.options), self._pieces(turns, independent), regions=regions, sample_id=sample_id)
        return {
            "tokens": len(sample.input_ids),
            "tiles": len(sample.tiles),
            "mask_images": self.options.num_images(views) if num_masks else 0,
            "masks": num_masks,
            "scored": int((sample.labels[1:] != IGNORE).sum()),
        }

    def _pieces(self, turns: Sequence[Turn], independent: bool, *, for_generation: bool = False) -> list[Piece]:
        return self._render(turns, independent, for_generation=for_generation, repeat_images=self.options.fuse_sensors)

    def _assemble(self, layout: VisionLayout, pieces: Sequence[Piece], *, sample_id: str, regions: Sequence[np.ndarray] = ()) -> Sample:
        """A sample without grounding image and masks."""
        runs = [layout.region_tokens(region, self.options, sample_id=sample_id) for region in regions]
        fuses = self.options.fuse_sensors
        apart = layout.num_tokens if fuses else 0
        text = self._splicer.splice(pieces, layout.blocks, regions=runs, sample_id=sample_id, tokens_apart=apart)
        return Sample(
            sample_id=sample_id,
            input_ids=text.input_ids,
            labels=text.labels,
            question_starts=text.question_starts,
            tiles=layout.tiles,
            tile_group=layout.tile_group,
            tokens_per_tile=self.options.tokens_per_tile,
            placeholder_index=text.placeholders,
            vision_index=text.vision_index,
            seg_index=(text.input_ids == self.seg_token_id).nonzero().flatten(),
            attention_columns=_whole_image_columns(layout, text.placeholders, text=text),
            fusion_text=self._fusion_text(text) if fuses and layout.blocks else None,
        )

    def _fusion_text(self, text: SplicedText) -> FusionText:
        """The words that the fused tokens of each question depend on."""
        length = len(text.input_ids)
        starts = text.question_starts or [0]
        spans = list(pairwise([*starts, length]))
        if self.options.fusion_text == "upstream":
            parts = [torch.arange(behind, end) for behind, (_, end) in zip(text.image_ends, spans, strict=True)]
        else:
            parts = [text.words[(text.words >= start) & (text.words < end)] for start, end in spans]
        return FusionText(torch.cat(parts), [len(part) for part in parts])

    def collate(self, samples: Sequence[Sample], **layout: Any) -> Batch:
        """One batch of encoded samples; see `batching.collate`, whose further arguments it takes."""
        return collate(samples, pad_token_id=self.pad_token_id, **layout)

    def __call__(self, images: Any = None, text: Any = None, **arguments: Unpack[CallArguments]) -> BatchFeature:
        """Inputs of `generate` for prompts in the chat format (what `apply_chat_template` and the pipelines hand in), or for plain text.

        Special tokens count only where the frame or an answer may hold them; in a user's text they are words. A prompt put together by
        hand can still hold turns nobody took: let `apply_chat_template` put it together.

        Args:
            images: one image, a list, or a list of lists, one a prompt. One image is RGB, two are SAR and RGB; a mapping
                names its modalities.
            text: prompt or prompts, each with `<image>` where its images belong.
            arguments: see `processor_arguments.CallOptions`.

        Returns:
            input_ids, attention_mask (R, S), padded in front, and the images as `row_inputs.to_rows` numbers them, so that the pipelines
            of transformers may join prompts to batches.

        Raises:
            SampleError: an argument does not fit the prompts.
            TypeError: an argument is unknown.
        """
        options = CallOptions(**arguments)
        if options.videos is not None or options.audio is not None:
            raise SampleError("videos and audio are not supported; give images.")
        prompts = [text] if isinstance(text, str) else list(text)
        per_prompt = images_per_prompt(images, len(prompts))
        samples = []
        for prompt, pictures in zip(prompts, per_prompt, strict=True):
            named = pictures if isinstance(pictures, Mapping) else _name_images(pictures, options.modalities)
            samples.append(self._encode_prompt(named, prompt, with_grounding=options.with_grounding))
        batch = self.collate(samples, left_pad=True)
        inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        if batch.grounding is not None:
            inputs |= {"grounding_images": batch.grounding.images, "grounding_owner": batch.grounding.owner}
        images = to_rows(samples, num_channels=self.options.num_channels, tile_size=self.options.tile_size)
        return BatchFeature({**inputs, **images})

    def _encode_prompt(self, images: Mapping[str, Any], prompt: str, *, with_grounding: bool) -> Sample:
        pieces = self._prompt_pieces(prompt, has_images=bool(images))
        scenes = self._scenes(images, "prompt")
        sample = self._assemble(lay_out(scenes, self.options), pieces, sample_id="prompt")
        # a [SEG] in a prompt is an earlier turn's, already drawn
        sample = sample._replace(seg_index=torch.zeros(0, dtype=torch.long))
        return sample._replace(grounding_images=self.grounding_images(scenes)) if with_grounding and scenes else sample

    def post_process_masks(self, logits: Tensor, size: tuple[int, int]) -> np.ndarray:
        """(K, H, W) bool masks at the image's own size from (K, h, w) mask logits."""
        scaled = torch.nn.functional.interpolate(logits[:, None].float(), size=size, mode="bilinear", align_corners=False)
        return (scaled[:, 0] > 0).cpu().numpy()

    def read_answer(self, token_ids: Tensor, counted_id: int | None = None) -> tuple[str, int]:
        """The answer's text, as `decode_answer` returns it, and the number of [SEG] tokens, or of another (L,), in it."""
        return super().read_answer(token_ids, self.seg_token_id if counted_id is None else counted_id)

    def _scenes(self, images: Mapping[str, Any], sample_id: str) -> dict[str, SceneLike]:
        unknown = sorted(set(images) - set(MODALITIES))
        if unknown:
            raise SampleError(f"{sample_id}: modalities {unknown} are unknown; choices: {', '.join(MODALITIES)}.")
        return {name: as_scene(images[name]) for name in self.options.modality_order if name in images}

    def drawn_on(self, modalities: Collection[str]) -> list[str]:
        """Which of these modalities masks are drawn on; they lie on the pixel grid of the first."""
        return self.options.drawn_on(modalities)

    def grounding_images(self, scenes: Mapping[str, SceneLike]) -> Tensor:
        """(G, C, S, S) uint8 that masks are drawn on; see `grounding_images.grounding_images`."""
        return grounding_images(scenes, self.options.presentation, options=self.options)


def _whole_image_columns(layout: VisionLayout, placeholders: Tensor, *, text: SplicedText) -> Tensor:
    """(Q, A) positions of the tokens that show the whole image, view by view, each time it is shown; for the attention loss.

    Args:
        layout: of the images.
        placeholders: (I,) positions of the placeholders.
        text: that they stand in.
    """
    if not layout.blocks:
        return torch.zeros(1, 0, dtype=torch.long)
    order = torch.cat([index for _, index in layout.blocks])
    position_of = torch.zeros(len(text.image_starts), layout.num_tokens, dtype=torch.long)
    for number, start in enumerate(text.image_starts):
        position_of[number, order] = placeholders[start : start + len(order)]
    return position_of[:, layout.whole.reshape(-1)]


def _check_length(sample: Sample, max_length: int | None, *, for_generation: bool) -> None:
    """Raise SampleTooLongError if the sample has more than `max_length` tokens."""
    count = len(sample.input_ids)
    if max_length is None or count <= max_length:
        return
    tiles = f" ({len(sample.tiles)} tiles of {sample.tokens_per_tile} vision tokens)"
    if for_generation:
        raise SampleTooLongError(too_long(sample.sample_id or "the prompt", count, limit=max_length, tiles=tiles))
    raise SampleTooLongError(
        f"{sample.sample_id}: {count} tokens{tiles}, at most {max_length} are allowed; nothing was cut. Raise max_length or lower "
        "max_tiles. A packed row must have room for it too (row_length)."
    )


def _check_size(mask: np.ndarray, scenes: Mapping[str, SceneLike], *, sample_id: str, what: str) -> None:
    sizes = {scene.pixels.shape[1:] for scene in scenes.values()}
    if mask.ndim != 2 or mask.shape not in sizes:
        raise SampleError(
            f"{sample_id}: a {what} is {mask.shape} px but the images are {sorted(sizes)} px (height, width); they must agree."
        )


def _name_images(pictures: Sequence[Any], modalities: Sequence[str] | None) -> dict[str, Any]:
    names = tuple(modalities) if modalities else {0: (), 1: ("rgb",), 2: UPSTREAM_ORDER}.get(len(pictures))
    if names is None or len(names) != len(pictures):
        raise SampleError(f"{len(pictures)} images but modalities={modalities}; name each image, choices: {', '.join(MODALITIES)}.")
    return dict(zip(names, pictures, strict=True))
