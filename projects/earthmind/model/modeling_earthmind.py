"""EarthMind: InternVL vision tower and projector, sensor fusion, a causal language model, SAM 2 driven by [SEG] tokens."""

from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForCausalLM
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.models.internvl.modeling_internvl import InternVLMultiModalProjector

from eocore.portable.image_memory import ImageMemory
from eocore.portable.language_holder import LanguageModelHolder, put_embeddings
from eocore.portable.normalisation import normalise
from eocore.portable.packed_attention import boundary_arguments, known_masks, question_arguments
from eocore.portable.row_packing import VisionInputs
from eocore.portable.token_compression import add_compression, init_compression

from .batching import Batch, GroundingImages, SegTokens
from .configuration_earthmind import EarthMindConfig
from .generating import EarthMindGenerationMixin
from .hca_fusion import FusionWords, HcaFusion, HcaSettings
from .long_inputs import LongInputsMixin
from .mask_head import PredictedMasks, SegHead
from .seg_attention import SegAttention
from .sensor_fusion import FusedTokens, SensorFusion
from .upstream_calls import UpstreamCalls

DECODER_ARGUMENTS = ("past_key_values", "use_cache", "output_attentions", "output_hidden_states", "cache_position")
"""What of `StepInputs` goes to the language model's decoder as it is."""
VISION_FIELDS = frozenset(VisionInputs._fields)


class StepInputs(TypedDict, total=False):
    """What `EarthMindForConditionalGeneration.forward` takes besides the arguments that transformers looks for in its signature.

    Attributes:
        past_key_values, use_cache, output_attentions, output_hidden_states, cache_position, return_dict: as in transformers.
        labels: (R, S) for a loss over whole rows, as in transformers.
        vision: of the prompts; or the images as `processor(...)` returns them (`row_inputs.ROW_INPUTS`):
        image, tile_positions, tile_views, tile_counts, vision_order, word_offsets, word_counts.
        patch_states: (T, H * W, C) what the vision tower makes of a batch's tiles, where that is known already.
    """

    past_key_values: Any
    use_cache: bool | None
    output_attentions: bool | None
    output_hidden_states: bool | None
    cache_position: Tensor | None
    return_dict: bool | None
    labels: Tensor | None
    vision: VisionInputs | None
    image: Tensor
    tile_positions: Tensor
    tile_views: Tensor
    tile_counts: Tensor
    vision_order: Tensor
    word_offsets: Tensor
    word_counts: Tensor
    patch_states: Tensor | None


@dataclass
class EarthMindOutput(CausalLMOutputWithPast):
    """What the model returns for a batch (logits of its supervised tokens, and what losses are computed from), or for a step of generation.

    Attributes:
        logits: (M, V) of the supervised tokens of a batch; (R, S, V) or the last of a step.
        last_state: (R, D) state of the last layer at the last token of a step.
        fused: vision tokens before and after fusion; None where the batch has no image.
        masks: of the [SEG] tokens; None where the batch has none.
        seg_attention: (K, S) attention of each [SEG] token over its row, mean over the heads; None where images are compressed.
    """

    last_state: Tensor | None = None
    fused: FusedTokens | None = None
    masks: PredictedMasks | None = None
    seg_attention: Tensor | None = None


class EarthMindForConditionalGeneration(UpstreamCalls, LongInputsMixin, LanguageModelHolder, EarthMindGenerationMixin):
    """The model that trains, answers and ships.

    Steps of `forward`: encode_images (tiles -> fused vision tokens) -> merge_embeddings (into the text) -> decode (language model) ->
    project_seg ([SEG] states -> prompts) -> decode_masks (SAM 2).
    """

    config_class = EarthMindConfig
    _no_split_modules = ["InternVLVisionLayer"]  # noqa: RUF012 (read by transformers)

    def __init__(self, config: EarthMindConfig) -> None:
        super().__init__(config)
        self.vision_tower = AutoModel.from_config(config.vision_config)
        self.projector = InternVLMultiModalProjector(config)
        self.fusion = _fusion(config)
        self.language_model = AutoModelForCausalLM.from_config(config.text_config)
        if config.compression is not None:
            add_compression(self.language_model)
        self.seg_head = SegHead(config)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        init_compression(module, std=self.config.initializer_range)
        if isinstance(module, SensorFusion) and module.queries is not None:
            nn.init.normal_(module.queries, std=self.config.text_config.hidden_size**-0.5)

    def encode(self, tiles: Tensor) -> Tensor:
        """Vision tokens (T, N, D) of tiles (T, C, P, P) uint8."""
        return self.project(self.patch_states(tiles))

    def encode_pixels(self, pixels: Tensor) -> Tensor:
        """Vision tokens (T, N, D) of normalised tiles (T, C, P, P)."""
        return self.project(self._patch_states(pixels))

    def patch_states(self, tiles: Tensor) -> Tensor:
        """What the vision tower makes of the patches (T, H * W, C) of tiles (T, C, P, P) uint8."""
        return self._patch_states(normalise(tiles, self.config.pixel_mean, std=self.config.pixel_std))

    def _patch_states(self, pixels: Tensor) -> Tensor:
        return self.vision_tower(pixel_values=pixels.to(self.vision_tower.dtype), return_dict=True).last_hidden_state[:, 1:]

    def project(self, patches: Tensor) -> Tensor:
        """Vision tokens (T, N, D) of `patch_states`."""
        return self.projector(self._pixel_shuffle(patches))

    def _pixel_shuffle(self, patches: Tensor) -> Tensor:
        """(T, H * W, C) patches -> (T, N, C * f * f) tokens, each joining f x f patches; f = 1 / downsample_ratio."""
        factor = round(1 / self.config.downsample_ratio)
        rows, columns = self.config.tile_grid
        count, _, width = patches.shape
        blocks = patches.reshape(count, rows, factor, columns, factor, width).permute(0, 1, 3, 2, 4, 5)
        return blocks.reshape(count, rows * columns, factor * factor * width)

    def encode_images(
        self,
        vision: VisionInputs,
        *,
        patch_states: Tensor | None = None,
        duplicates: tuple[Tensor, Tensor] | None = None,
        embeddings: Tensor | None = None,
        memory: ImageMemory | None = None,
    ) -> FusedTokens:
        """Vision tokens of all tiles of all sensors, in one call of the vision tower, then fused.

        Args:
            vision: tiles and their groups.
            patch_states: of the tiles, where they are known already.
            duplicates: from `find_duplicates`: duplicates among the tiles are encoded once.
            embeddings: (R, S, D) of the token ids, where the fusion reads words.
            memory: where the tokens of tiles are found that were encoded before, and those of others kept.

        Raises:
            ValueError: the images were prepared for another fusion.
        """
        words = self._words(vision, embeddings)
        if patch_states is not None:
            tokens = self.project(patch_states)
        elif memory is not None:
            (tokens,) = memory.encode(vision.tiles, lambda tiles: [self.encode(tiles)], kind="tile")
        elif duplicates is not None:
            tokens = self.encode(vision.tiles[duplicates[0]])[duplicates[1]]
        else:
            tokens = self.encode(vision.tiles)
        return self.fusion(tokens, vision.tile_group) if words is None else self.fusion(tokens, vision.tile_group, words=words)

    def _words(self, vision: VisionInputs, embeddings: Tensor | None) -> FusionWords | None:
        """What the fusion reads beside vision tokens; None for one that reads nothing else."""
        if self.config.fuses_sensors != (vision.fusion is not None):
            other = "another fusion" if vision.fusion is None else "fusion='hca'"
            raise ValueError(
                f"the model has fusion='{self.config.fusion}', but the images were laid out for {other}: tokens would stand for other "
                "tiles. Prepare them with the processor that belongs to the model."
            )
        if vision.fusion is None:
            return None
        if embeddings is None:
            raise ValueError("fusion='hca' compares vision tokens with words: give embeddings=, or call `embed`.")
        return FusionWords(embeddings.flatten(0, 1)[vision.fusion.positions], vision.fusion)

    def embed(
        self,
        input_ids: Tensor | None,
        vision: VisionInputs | None = None,
        *,
        patch_states: Tensor | None = None,
        duplicates: tuple[Tensor, Tensor] | None = None,
        memory: ImageMemory | None = None,
    ) -> tuple[Tensor, FusedTokens | None]:
        """Embeddings (R, S, D) of `input_ids` with vision tokens at the placeholders, and these tokens; None for text alone.

        Args:
            input_ids: (R, S).
            vision: of the rows.
            patch_states, duplicates, memory: see `encode_images`.
        """
        if vision is None:
            return self.merge_embeddings(input_ids), None
        embeddings = self.get_input_embeddings()(input_ids) if vision.fusion is not None else None
        fused = self.encode_images(vision, patch_states=patch_states, duplicates=duplicates, embeddings=embeddings, memory=memory)
        return self.merge_embeddings(input_ids, vision, tokens=fused.tokens, embeddings=embeddings), fused

    def merge_embeddings(
        self,
        input_ids: Tensor | None,
        vision: VisionInputs | None = None,
        *,
        tokens: Tensor | None = None,
        embeddings: Tensor | None = None,
    ) -> Tensor:
        """Embeddings (R, S, D) of `input_ids`, with vision tokens at the placeholders.

        Args:
            input_ids: (R, S).
            vision: which vision token goes where.
            tokens: (F, N, D) fused tokens, None for text alone.
            embeddings: (R, S, D) of `input_ids`, where they are known already.

        Raises:
            ValueError: placeholders and the vision tokens that replace them are not equally many.
        """
        if embeddings is None:
            embeddings = self.get_input_embeddings()(input_ids)
        if tokens is None or vision is None:
            return embeddings
        own = tokens.reshape(-1, tokens.shape[-1])[vision.vision_index]
        return put_embeddings(embeddings, vision.placeholder_index, tokens=own)

    def decode(self, embeddings: Tensor, position_ids: Tensor | None, **arguments: Any) -> Tensor:
        """Last hidden states (R, S, D) of packed rows; positions that restart are the boundaries of sequences.

        What attention kernels want to know of these boundaries (such as `cu_seq_lens_q`) is handed on to them.
        """
        decoder = self.language_model.get_decoder()
        return decoder(inputs_embeds=embeddings, position_ids=position_ids, use_cache=False, **arguments).last_hidden_state

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        batch: Batch | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        **inputs: Unpack[StepInputs],
    ) -> EarthMindOutput:
        """A batch, as training and conversion's parity check call it; or a step of transformers' generation, which gives the prompt.

        Args:
            input_ids, attention_mask, position_ids: (R, S) of a step; not with `batch`.
            batch: of the processor's `collate`, on the model's device.
            inputs_embeds: (R, S, D) instead of `input_ids`.
            logits_to_keep: last positions whose logits are wanted, 0 for all; or a tensor of positions.
            **inputs: see `StepInputs`.

        Raises:
            TypeError: fields of `VisionInputs` that are given one by one.
            ValueError: placeholders and vision tokens do not agree, or the attention cannot keep independent questions apart.
        """
        apart = [name for name in inputs if name in VISION_FIELDS]
        if apart:
            raise TypeError(f"inputs {', '.join(apart)} are read by nothing. Give them together: vision=VisionInputs(...).")
        if batch is not None:
            return self._forward_batch(batch, inputs.get("patch_states"))
        if inputs_embeds is None:
            vision = inputs.get("vision") or self._from_rows(input_ids, None, given=inputs)
            inputs_embeds, _ = self.embed(input_ids, vision)
        outputs = self.language_model.get_decoder()(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            **{name: value for name, value in inputs.items() if name in DECODER_ARGUMENTS},
        )
        hidden = outputs.last_hidden_state
        kept = hidden[:, -logits_to_keep:] if isinstance(logits_to_keep, int) else hidden[:, logits_to_keep]
        logits, labels = self.get_output_embeddings()(kept), inputs.get("labels")
        return EarthMindOutput(
            last_state=hidden[:, -1],
            loss=None if labels is None else self.loss_function(logits=logits, labels=labels, vocab_size=logits.shape[-1]),
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def _forward_batch(self, batch: Batch, patch_states: Tensor | None) -> EarthMindOutput:
        embeddings, fused = self.embed(batch.input_ids, batch.vision, patch_states=patch_states)
        compressed = self.decode_batch(embeddings, batch)
        if compressed is not None:  # what a [SEG] attends to is remembered, not the image
            return self._output(compressed.flatten(0, 1), batch, fused=fused)
        text, device = self.language_model.config, embeddings.device
        arguments = boundary_arguments(batch.sequence_boundaries, device) | known_masks(text)
        arguments |= question_arguments(batch.question_starts, batch.sequence_boundaries, config=text, device=device)
        with SegAttention(self.language_model.get_decoder()) as attention:
            states = self.decode(embeddings, batch.position_ids, **arguments).flatten(0, 1)
        output, segments = self._output(states, batch, fused=fused), batch.segments
        if output.masks is not None and segments is not None:
            rows = attention.rows(segments.positions, segments.spans, counts=segments.counts, visible=arguments["visible"])
            output.seg_attention = rows
        return output

    def _output(self, states: Tensor, batch: Batch, *, fused: FusedTokens | None) -> EarthMindOutput:
        """What follows from the states (R * S, D) of a batch."""
        logits = self.get_output_embeddings()(states[batch.supervised.positions])
        if batch.grounding is None or batch.segments is None:
            return EarthMindOutput(logits=logits, fused=fused)
        return EarthMindOutput(logits=logits, fused=fused, masks=self._predict_masks(states, batch.grounding, segments=batch.segments))

    def _predict_masks(self, states: Tensor, grounding: GroundingImages, *, segments: SegTokens) -> PredictedMasks:
        """Masks of the [SEG] tokens of a batch with states (R * S, D); a frozen image encoder skips a dummy image."""
        head = self.seg_head
        prompts = head.project_seg(states[segments.positions])
        encoder = next(head.sam.vision_encoder.parameters())
        # ZeRO-3 ranks gather parameters together (ds_id marks them), so there every rank runs the encoder
        skip = segments.is_dummy and not encoder.requires_grad and not hasattr(encoder, "ds_id")
        features = head.dummy_features(1) if skip else head.encode(grounding.images)
        combined = head.combine(features, grounding.owner, num_samples=grounding.num_samples)
        return head.decode_masks(prompts, combined, sample=segments.sample, slot=segments.slot, num_slots=segments.num_slots)


def _fusion(config: EarthMindConfig) -> nn.Module:
    """The part that fuses the sensors' tokens."""
    if config.fuses_sensors:
        return HcaFusion(HcaSettings(**(config.hca or {})))
    return SensorFusion(config.fusion, num_queries=config.num_fusion_queries, width=config.text_config.hidden_size)
