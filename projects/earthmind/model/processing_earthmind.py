"""Images and text -> model inputs; the same object serves training, prediction and the Hugging Face pipelines."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import pairwise
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor
from transformers import BatchFeature

from eocore.portable.band_rendering import SceneLike, SceneShape, count_views
from eocore.portable.chat_processor import ChatProcessor
from eocore.portable.chat_templates import Piece
from eocore.portable.fusion_plan import FusionText
from eocore.portable.image_slots import check_one_position
from eocore.portable.messages import Turn, as_turns
from eocore.portable.prompt_images import images_per_prompt
from eocore.portable.row_inputs import to_rows
from eocore.portable.row_packing import IGNORE
from eocore.portable.series import Moment, names_after
from eocore.portable.text_splicing import SplicedText, known_id
from eocore.portable.vision_layout import SampleError, VisionLayout, join_layouts, lay_out, lay_out_series, plan_layout

from .batching import Batch, Sample, collate
from .grounding_images import grounding_images, stack_masks
from .moments import Images, check_seg_moments, lead_texts, read_moments, region_leads, seg_moments
from .processor_arguments import CallArguments, CallOptions, EncodeArguments, EncodeOptions
from .processor_options import ProcessorOptions
from .sample_checks import check_length, check_size, name_images, whole_image_columns
from .special_tokens import ANSWER_TOKENS, IMAGE_TOKEN, PROMPT_TOKENS, SEG_TOKEN


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

    def encode(self, images: Images, turns: Sequence[Turn | tuple[str, str]], **arguments: Unpack[EncodeArguments]) -> Sample:
        """One sample, ready for `collate`.

        Args:
            images: modality -> scene, Pillow image or uint8 array; any subset of the modalities, or none. Of a series: its moments, in
                order, each with such images; the prompt names each by its time and sensors, and each is fused by itself.
            turns: messages, or (role, text) in the notation of `messages`; the images are shown once, in the first question, and each
                region once.
            arguments: see `processor_arguments.EncodeOptions`.

        Raises:
            SampleError: counts or sizes disagree, or moments of a series are not in order.
            SampleTooLongError: more than `max_length` tokens.
            TypeError: an argument is unknown.
        """
        options = EncodeOptions(**arguments)
        masks, sample_id = options.masks, options.sample_id
        moments = read_moments(images, self.options, sample_id=sample_id)
        turns = as_turns(turns)
        check_one_position(turns, sum(len(moment.images) for moment in moments), sample_id=sample_id)
        self._check_answers(turns, sample_id)
        leads = region_leads(moments, options.region_moments, count=len(options.regions), sample_id=sample_id)
        for region, (number, _) in zip(options.regions, leads, strict=True):
            check_size(region, moments[number].images if moments else {}, sample_id=sample_id, what="region")
        pieces = self._pieces(turns, options.independent, for_generation=options.for_generation)
        sample = self._assemble(self._lay_out(moments), pieces, regions=list(zip(options.regions, leads, strict=True)), sample_id=sample_id)
        check_length(sample, options.max_length, for_generation=options.for_generation)
        sample = self._place_masks(sample, moments, turns=turns, options=options)
        if options.with_grounding and moments and (masks is None or len(masks) > 0):
            sample = self._draw_on(sample, moments, for_generation=options.for_generation)
        return sample

    def _place_masks(self, sample: Sample, moments: Sequence[Moment], *, turns: Sequence[Turn], options: EncodeOptions) -> Sample:
        """The sample with its masks, and the moment that each [SEG] is drawn on."""
        times, masks = [moment.time for moment in moments] or [""], options.masks
        last = next((turn.words for turn in reversed(turns) if turn.role == "user"), "")
        found = seg_moments(turns, times)[: len(sample.seg_index)]
        sample = sample._replace(seg_moment=torch.tensor(found, dtype=torch.long), names=names_after(times, last))
        if masks is None:
            return sample
        side, sample_id = self.options.grounding_size, options.sample_id
        stacked = stack_masks(masks, num_seg=len(sample.seg_index), side=side, sample_id=sample_id)
        check_seg_moments(found, options.mask_moments, moments=moments, sample_id=sample_id)
        for mask, number in zip(masks, found, strict=True):
            check_size(mask, moments[number].images if moments else {}, sample_id=sample_id, what="mask")
        return sample._replace(masks=stacked)

    def _draw_on(self, sample: Sample, moments: Sequence[Moment], *, for_generation: bool) -> Sample:
        """The sample with the images that its masks are drawn on: those of the moments that have [SEG] tokens, or of one without any."""
        makers = [cache(partial(self.grounding_images, moment.images)) for moment in moments]
        if for_generation:
            # whether an answer will have masks is not known yet: pictures for SAM 2 wait until one has
            return sample._replace(draw_on=makers)
        wanted = sorted(set(sample.seg_moment.tolist())) or [sample.names.asked]
        stacks = [makers[number]() for number in wanted]
        owner = torch.cat([torch.full((len(stack),), number) for number, stack in zip(wanted, stacks, strict=True)])
        return sample._replace(grounding_images=torch.cat(stacks), grounding_moment=owner)

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
        leads = ["\n" if number else "" for number in range(len(frames))]
        layout = lay_out_series(
            [{"rgb": frame} for frame in frames], replace(self.options, series_tiles=1, token_order="place"), leads=leads
        )
        sample = self._assemble(layout, pieces, sample_id=sample_id)
        check_length(sample, max_length, for_generation=True)
        return sample

    def frame_images(self, frames: Sequence[SceneLike]) -> Tensor:
        """SAM 2's image of each frame: (F, C, S, S) uint8."""
        return torch.cat([self.grounding_images({"rgb": frame}) for frame in frames])

    def measure(
        self,
        shapes: Mapping[str, SceneShape] | Sequence[Moment],
        turns: Sequence[Turn | tuple[str, str]],
        **arguments: Unpack[EncodeArguments],
    ) -> dict[str, int]:
        """How large `encode` would make a sample, found as it does but without a pixel.

        Args:
            shapes: modality -> scene without pixels; or the moments of a series with such.
            turns: as `encode`.
            arguments: of `encode`: regions, region_moments, independent, sample_id.

        Returns:
            tokens, tiles, mask_images (for SAM 2), masks, scored (tokens with a label).

        Raises:
            SampleError: as `encode`, as far as no pixel is needed to see it.
        """
        options = EncodeOptions(**arguments)
        turns = as_turns(turns)
        self._check_answers(turns, options.sample_id)
        moments = read_moments(shapes, self.options, sample_id=options.sample_id, as_is=True)
        leads = region_leads(moments, options.region_moments, count=len(options.regions), sample_id=options.sample_id)
        regions = list(zip(options.regions, leads, strict=True))
        pieces = self._pieces(turns, options.independent)
        sample = self._assemble(self._plan_layout(moments), pieces, regions=regions, sample_id=options.sample_id)
        drawn = seg_moments(turns, [moment.time for moment in moments] or [""])
        return {
            "tokens": len(sample.input_ids),
            "tiles": len(sample.tiles),
            "mask_images": sum(self.options.num_images(moments[number].images) for number in set(drawn)) if moments else 0,
            "masks": len(drawn),
            "scored": int((sample.labels[1:] != IGNORE).sum()),
        }

    def _pieces(self, turns: Sequence[Turn], independent: bool, *, for_generation: bool = False) -> list[Piece]:
        return self._render(turns, independent, for_generation=for_generation, repeat_images=self.options.fuse_sensors)

    def _lay_out(self, moments: Sequence[Moment]) -> VisionLayout:
        if len(moments) < 2:
            return lay_out(moments[0].images if moments else {}, self.options)
        return lay_out_series([moment.images for moment in moments], self.options, leads=lead_texts(moments, self.options))

    def _plan_layout(self, moments: Sequence[Moment]) -> VisionLayout:
        """As `_lay_out`, of shapes."""
        rule = self.options.of_series() if len(moments) > 1 else self.options
        plans = [plan_layout(self._views(moment.images), rule) for moment in moments]
        if len(plans) < 2:
            return plans[0] if plans else plan_layout({}, rule)
        return join_layouts(plans, lead_texts(moments, self.options))

    def _views(self, shapes: Mapping[str, SceneShape]) -> dict[str, tuple[int, int, int]]:
        rules = self.options.presentation
        return {name: (shape.height, shape.width, count_views(shape, rules[name])) for name, shape in shapes.items()}

    def _assemble(
        self, layout: VisionLayout, pieces: Sequence[Piece], *, sample_id: str, regions: Sequence[tuple[np.ndarray, tuple[int, str]]] = ()
    ) -> Sample:
        """A sample without grounding image and masks.

        Args:
            layout: of its images.
            pieces: of its text.
            sample_id: for messages.
            regions: each with the number of its moment and the text in front of it.
        """
        runs = [
            (lead, layout.region_tokens(region, self.options, sample_id=sample_id, moment=moment)) for region, (moment, lead) in regions
        ]
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
            attention_columns=whole_image_columns(layout, text),
            fusion_text=self._fusion_text(text, layout.num_positions) if fuses and layout.blocks else None,
        )

    def _fusion_text(self, text: SplicedText, num_positions: Sequence[int]) -> FusionText:
        """The words that the fused tokens of each question depend on."""
        length = len(text.input_ids)
        starts = text.question_starts or [0]
        spans = list(pairwise([*starts, length]))
        if self.options.fusion_text == "upstream":
            parts = [torch.arange(behind, end) for behind, (_, end) in zip(text.image_ends, spans, strict=True)]
        else:
            parts = [text.words[(text.words >= start) & (text.words < end)] for start, end in spans]
        return FusionText(torch.cat(parts), [len(part) for part in parts], num_positions if len(num_positions) > 1 else ())

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
            named = pictures if isinstance(pictures, Mapping) else name_images(pictures, options.modalities)
            samples.append(self._encode_prompt(named, prompt, with_grounding=options.with_grounding))
        batch = self.collate(samples, left_pad=True)
        inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        if batch.grounding is not None:
            inputs |= {"grounding_images": batch.grounding.images, "grounding_owner": batch.grounding.owner}
        images = to_rows(samples, num_channels=self.options.num_channels, tile_size=self.options.tile_size)
        return BatchFeature({**inputs, **images})

    def _encode_prompt(self, images: Mapping[str, Any], prompt: str, *, with_grounding: bool) -> Sample:
        pieces = self._prompt_pieces(prompt, has_images=bool(images))
        moments = read_moments(images, self.options, sample_id="prompt")
        sample = self._assemble(self._lay_out(moments), pieces, sample_id="prompt")
        # a [SEG] in a prompt is an earlier turn's, already drawn
        sample = sample._replace(seg_index=torch.zeros(0, dtype=torch.long))
        if not with_grounding or not moments:
            return sample
        return self._draw_on(sample, moments, for_generation=False)

    def post_process_masks(self, logits: Tensor, size: tuple[int, int]) -> np.ndarray:
        """(K, H, W) bool masks at the image's own size from (K, h, w) mask logits."""
        scaled = torch.nn.functional.interpolate(logits[:, None].float(), size=size, mode="bilinear", align_corners=False)
        return (scaled[:, 0] > 0).cpu().numpy()

    def read_answer(self, token_ids: Tensor, counted_id: int | None = None) -> tuple[str, int]:
        """The answer's text, as `decode_answer` returns it, and the number of [SEG] tokens, or of another (L,), in it."""
        return super().read_answer(token_ids, self.seg_token_id if counted_id is None else counted_id)

    def drawn_on(self, modalities: Collection[str]) -> list[str]:
        """Which of these modalities masks are drawn on; they lie on the pixel grid of the first."""
        return self.options.drawn_on(modalities)

    def grounding_images(self, scenes: Mapping[str, SceneLike]) -> Tensor:
        """(G, C, S, S) uint8 that masks are drawn on; see `grounding_images.grounding_images`."""
        return grounding_images(scenes, self.options.presentation, options=self.options)
