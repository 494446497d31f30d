"""EarthMind: InternVL vision tower and projector, sensor fusion, a causal language model, SAM 2 driven by [SEG] tokens."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForCausalLM, GenerationMixin, PreTrainedModel
from transformers.models.internvl.modeling_internvl import InternVLMultiModalProjector

from eocore.portable.duplicates import find_repeats
from eocore.portable.exact_tables import EXACT_TABLES, keep_exact_tables
from eocore.portable.generation_options import check_sees_images
from eocore.portable.normalisation import normalise
from eocore.portable.row_inputs import ROW_INPUTS, from_rows
from eocore.portable.shared_prefix import plan_prefixes, start_prompts
from eocore.portable.text_splicing import TOKENIZING

from .answering import Answer, Reading, ReadOutput, answer_settings, draw_answers, make_answers, one_at_a_time, seg_states
from .configuration_earthmind import EarthMindConfig
from .mask_head import SegHead
from .processing_earthmind import EarthMindProcessor
from .sensor_fusion import FusedTokens, SensorFusion
from .upstream_calls import UpstreamCalls


class EarthMindForConditionalGeneration(UpstreamCalls, PreTrainedModel, GenerationMixin):
    """The model that trains, answers and ships.

    Steps: encode tiles -> fuse sensors -> splice into the text -> read (language model) -> point ([SEG] -> prompt) -> draw (SAM 2).
    """

    config_class = EarthMindConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _no_split_modules = ["InternVLVisionLayer"]  # noqa: RUF012 (read by transformers)
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True
    _keep_in_fp32_modules_strict = EXACT_TABLES  # read by transformers and DeepSpeed

    def __init__(self, config: EarthMindConfig) -> None:
        super().__init__(config)
        self.vision_tower = AutoModel.from_config(config.vision_config)
        self.projector = InternVLMultiModalProjector(config)
        self.fusion = SensorFusion(config.fusion, num_queries=config.num_fusion_queries, width=config.text_config.hidden_size)
        self.language_model = AutoModelForCausalLM.from_config(config.text_config)
        self.seg_head = SegHead(config)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, SensorFusion) and module.queries is not None:
            nn.init.normal_(module.queries, std=self.config.text_config.hidden_size**-0.5)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "EarthMindForConditionalGeneration":
        """As in torch (`to`, `cuda`, `bfloat16`, ...), but for `EXACT_TABLES`."""
        keep_exact_tables(self, lambda: super(EarthMindForConditionalGeneration, self)._apply(fn, recurse))
        return self

    def get_input_embeddings(self) -> nn.Module:
        """The language model's token embedding."""
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the language model's token embedding."""
        self.language_model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        """The language model's head."""
        return self.language_model.get_output_embeddings()

    def set_output_embeddings(self, value: nn.Module) -> None:
        """Replace the language model's head."""
        self.language_model.set_output_embeddings(value)

    def encode(self, tiles: Tensor) -> Tensor:
        """Vision tokens (T, N, D) of tiles (T, C, P, P) uint8."""
        return self.project(self.patch_states(tiles))

    def encode_pixels(self, pixels: Tensor) -> Tensor:
        """Vision tokens (T, N, D) of normalised tiles (T, C, P, P)."""
        return self.project(self._patch_states(pixels))

    def patch_states(self, tiles: Tensor) -> Tensor:
        """What the vision tower makes of the patches (T, H * W, C) of tiles (T, C, P, P) uint8."""
        return self._patch_states(normalise(tiles, self.config.pixel_mean, self.config.pixel_std))

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

    def look(self, tiles: Tensor, tile_group: Tensor | None, repeats: tuple[Tensor, Tensor] | None = None) -> FusedTokens:
        """All tiles of all sensors in one vision call, then fusion; without `tile_group`, every tile shows a place of its own.

        With `repeats` (from `find_repeats`), tiles that stand several times are encoded once.
        """
        if tile_group is None:
            tile_group = torch.arange(tiles.shape[0], device=tiles.device).expand(2, -1)
        first, place = repeats if repeats is not None else (None, None)
        tokens = self.encode(tiles) if first is None else self.encode(tiles[first])[place]
        return self.fusion(tokens, tile_group)

    def splice(
        self, input_ids: Tensor | None, tokens: Tensor | None, placeholder_index: Tensor | None, vision_index: Tensor | None
    ) -> Tensor:
        """Embeddings (R, S, D) of `input_ids`, with vision tokens at the placeholders.

        Args:
            tokens: (T, N, D) fused tokens, None for text alone.
            placeholder_index: (I,) flat places in `input_ids`.
            vision_index: (I,) flat numbers of the vision tokens that go there.

        Raises:
            ValueError: the two index tensors differ in length.
        """
        embeddings = self.get_input_embeddings()(input_ids)
        if tokens is None:
            return embeddings
        if placeholder_index is None or vision_index is None or placeholder_index.shape != vision_index.shape:
            raise ValueError(
                f"{0 if placeholder_index is None else len(placeholder_index)} placeholders in the text, "
                f"{0 if vision_index is None else len(vision_index)} vision tokens to fill them; they must be equally many. "
                "Prepare the sample with EarthMindProcessor."
            )
        flat = embeddings.reshape(-1, embeddings.shape[-1])
        vision = tokens.reshape(-1, tokens.shape[-1])[vision_index]
        return flat.index_copy(0, placeholder_index, vision.to(flat.dtype)).view_as(embeddings)

    def read(self, embeddings: Tensor, position_ids: Tensor | None, **borders: Any) -> Tensor:
        """Last hidden states (R, S, D) of packed rows; positions that restart are the borders of samples.

        What attention kernels want to know of these borders (such as `cu_seq_lens_q`) is handed on to them.
        """
        decoder = self.language_model.get_decoder()
        return decoder(inputs_embeds=embeddings, position_ids=position_ids, use_cache=False, **borders).last_hidden_state

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        tiles: Tensor | None = None,
        tile_group: Tensor | None = None,
        placeholder_index: Tensor | None = None,
        vision_index: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> ReadOutput:
        """Next-token logits; the interface of transformers' generation. Training takes the single steps instead (see `EarthMindTask`).

        Images come as `processor.collate` gives them (tiles, ...) or as `processor(...)` does (image, ...).
        """
        rows = self._from_rows(input_ids, None, kwargs) if inputs_embeds is None else {}
        if rows:
            tiles, tile_group, placeholder_index, vision_index = rows.values()
        if inputs_embeds is None:
            tokens = self.look(tiles, tile_group).tokens if tiles is not None else None
            inputs_embeds = self.splice(input_ids, tokens, placeholder_index, vision_index)
        outputs = self.language_model.get_decoder()(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            use_cache=use_cache,
            **{key: value for key, value in kwargs.items() if key in ("output_attentions", "output_hidden_states", "cache_position")},
        )
        hidden = outputs.last_hidden_state
        kept = hidden[:, -logits_to_keep:] if isinstance(logits_to_keep, int) else hidden[:, logits_to_keep]
        logits = self.get_output_embeddings()(kept)
        loss = None if labels is None else self.loss_function(logits=logits, labels=labels, vocab_size=logits.shape[-1])
        return ReadOutput(
            last_state=hidden[:, -1],
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def _from_rows(self, input_ids: Tensor | None, attention_mask: Tensor | None, given: dict[str, Any]) -> dict[str, Tensor]:
        """tiles, tile_group, placeholder_index and vision_index of images that came as `processor(...)` gives them; empty without."""
        rows = {name: given[name] for name in ROW_INPUTS if given.get(name) is not None}
        if not rows or input_ids is None:
            return {}
        sizes = {"image_token_id": self.config.image_token_id, "tokens_per_tile": self.config.tokens_per_tile}
        return from_rows(rows, input_ids, attention_mask, **sizes)

    @torch.no_grad()
    def generate(self, inputs: Tensor | None = None, **kwargs: Any) -> Any:
        """`GenerationMixin.generate`, with the images looked at once and spliced into the prompt before it starts.

        Args:
            inputs: ids of the prompts (R, S), padded in front; also as `input_ids`.
            **kwargs: images as `processor.collate` or `processor(...)` gives them, and what transformers takes: about text alone without
                limits, about images but for options in which they would be lost.

        Raises:
            GenerationOptionError: the images would be lost, as with use_cache=False: later steps would read ids, which hold no image.
            ValueError: prompts and images do not belong together.
        """
        prompt = inputs if inputs is not None else kwargs.pop("input_ids", None)
        images = {name: kwargs.pop(name, None) for name in ("tiles", "tile_group", "placeholder_index", "vision_index")}
        images |= self._from_rows(prompt, kwargs.get("attention_mask"), kwargs)
        kwargs = {name: value for name, value in kwargs.items() if name not in ROW_INPUTS}
        own = self.generation_config
        if images["tiles"] is not None:
            check_sees_images(kwargs, own)
            tokens = self.look(images["tiles"], images["tile_group"], find_repeats(images["tiles"])).tokens
            kwargs["inputs_embeds"] = self.splice(prompt, tokens, images["placeholder_index"], images["vision_index"])
        elif kwargs.get("inputs_embeds") is not None:
            check_sees_images(kwargs, own)
        stops = kwargs.get("stop_strings") or (kwargs.get("generation_config") or own).stop_strings or own.stop_strings
        if stops and kwargs.get("tokenizer") is None:
            kwargs["tokenizer"] = self.processor.tokenizer
        with one_at_a_time(self.config.text_config):
            return super().generate(prompt, **kwargs)

    @torch.no_grad()
    def answer(
        self,
        batch: dict[str, Any],
        processor: EarthMindProcessor,
        *,
        sizes: Sequence[tuple[int, int]],
        max_new_tokens: int = 256,
        share_prefix: bool = True,
        **kwargs: Any,
    ) -> list[Answer]:
        """Answers and masks of a left-padded batch from `processor.collate(..., left_pad=True)`.

        Nothing of it is kept on the model: several threads may ask at once.

        Args:
            sizes: (height, width) [px] each sample's masks are scaled to.
            max_new_tokens: longest answer.
            share_prefix: read once what prompts about the same images have in common.
            **kwargs: how answers are generated: `generation_options.OPTIONS`, without which the likeliest token is taken, and
                `generation_options.OBJECTS` of transformers' `generate`.

        Raises:
            GenerationOptionError: an option is unknown, has a wrong value, or does not keep answers and masks together, here or in the
                model's generation config.
            ValueError: the processor is of another model.
        """
        settings = answer_settings(processor, kwargs, self.generation_config, max_new_tokens=max_new_tokens)
        inputs = {key: value.to(self.device) for key, value in batch.items() if isinstance(value, Tensor)}
        if processor.seg_token_id != self.config.seg_token_id or processor.image_token_id != self.config.image_token_id:
            raise ValueError(
                f"[SEG] and the image token are {processor.seg_token_id} and {processor.image_token_id} for the processor, but the model "
                f"learnt {self.config.seg_token_id} and {self.config.image_token_id}: answers would mean nothing. Take the model's own."
            )
        reading = Reading()
        with one_at_a_time(self.config.text_config):
            given = self._start(inputs, settings, share=share_prefix)
            # one token more than asked for, so that a [SEG] at the very end is read too and has a state
            sequences = self.generate(**given, reading=reading, max_new_tokens=max_new_tokens + 1, **settings)
            written = sequences[:, given["input_ids"].shape[1] :][:, :max_new_tokens]
            self._read_last(sequences, written, reading, processor.seg_token_id)
        texts, counts = zip(*map(processor.read_answer, written), strict=True)
        rows = seg_states(written, counts, reading.states, processor.seg_token_id)
        logits = draw_answers(self.seg_head, rows, batch.get("draw_on", [None] * len(rows)))
        return make_answers(processor, texts, states=rows, logits=logits, sizes=sizes)

    def _read_last(self, sequences: Tensor, written: Tensor, reading: Reading, seg_token_id: int) -> None:
        """Reads the last token where an answer stopped before its longest length with a [SEG], whose state nothing has read yet."""
        step, reading.next_step = reading.next_step, {}
        if len(reading.states) <= written.shape[1] and bool((written[:, -1] == seg_token_id).any()):
            inputs = self.prepare_inputs_for_generation(sequences, next_sequence_length=1, **step)
            reading.states.append(self(**inputs, return_dict=True).last_state)

    def _start(self, inputs: dict[str, Tensor], settings: dict[str, Any], *, share: bool) -> dict[str, Any]:
        """Arguments of `generate`; what several prompts have in common is read already where that pays."""
        given: dict[str, Any] = {key: inputs[key] for key in ("input_ids", "attention_mask") if key in inputs}
        if "tiles" not in inputs:
            return given
        repeats = find_repeats(inputs["tiles"])
        tokens = self.look(inputs["tiles"], inputs["tile_group"], repeats).tokens
        embeddings = self.splice(given["input_ids"], tokens, inputs["placeholder_index"], inputs["vision_index"])
        plan = None
        if share and self._can_share(settings):
            plan = plan_prefixes(inputs, repeats[1], tokens_per_tile=self.config.tokens_per_tile)
        if plan is None:
            return {**given, "inputs_embeds": embeddings}
        decoder = self.language_model.get_decoder()
        started = start_prompts(decoder, embeddings, inputs, plan, pad_token_id=settings["pad_token_id"])
        return {"input_ids": started.input_ids, "attention_mask": started.attention_mask, "past_key_values": started.cache}

    def _can_share(self, settings: dict[str, Any]) -> bool:
        """Whether keys and values read apart may be put together: not in a cache of fixed size, nor where attention counts columns."""
        fixed = settings.get("cache_implementation", self.generation_config.cache_implementation)
        kinds = getattr(self.config.text_config, "layer_types", None) or ()
        return fixed is None and settings.get("use_cache", True) and all(kind == "full_attention" for kind in kinds)

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, *, inputs_embeds: Tensor | None = None, reading: Reading | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """As in transformers; `reading` goes along with the loop, not into its steps, which may be compiled."""
        inputs: dict[str, Any] = super().prepare_inputs_for_generation(input_ids, inputs_embeds=inputs_embeds, **kwargs)
        return inputs

    def _update_model_kwargs_for_generation(self, outputs: Any, model_kwargs: dict[str, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As in transformers; `reading` keeps the state of the token just read."""
        updated: dict[str, Any] = super()._update_model_kwargs_for_generation(outputs, model_kwargs, *args, **kwargs)
        reading = updated.get("reading")
        if reading is not None:
            reading.states.append(outputs.last_state.clone())  # a captured graph writes the next step's over it
            reading.next_step = {name: value for name, value in updated.items() if name != "reading"}
        return updated

    def _get_stopping_criteria(self, *args: Any, **kwargs: Any) -> Any:
        """As in transformers, one thread at a time: texts that stop are looked up in tables that all threads share."""
        with TOKENIZING:
            return super()._get_stopping_criteria(*args, **kwargs)
