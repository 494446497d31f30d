"""EarthMind: InternVL vision tower and projector, sensor fusion, a causal language model, SAM 2 driven by [SEG] tokens."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForCausalLM, GenerationMixin, PreTrainedModel
from transformers.models.internvl.modeling_internvl import InternVLMultiModalProjector

from .answering import Answer, ReadOutput, draw_answers, seg_states, size_of
from .configuration_earthmind import EarthMindConfig
from .exact_tables import EXACT_TABLES, keep_exact_tables
from .pixel_scale import normalise
from .processing_earthmind import EarthMindProcessor
from .prompting import IMAGE_PLACEHOLDER
from .repeats import find_repeats
from .seg_head import SegHead
from .sensor_fusion import FusedTokens, SensorFusion
from .shared_prefix import plan_prefixes, start_prompts


class EarthMindForConditionalGeneration(PreTrainedModel, GenerationMixin):
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
        self._last_states: list[Tensor] | None = None
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
        """Next-token logits; the interface of transformers' generation. Training takes the single steps instead (see `EarthMindTask`)."""
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

    @torch.no_grad()
    def generate(
        self,
        inputs: Tensor | None = None,
        *,
        tiles: Tensor | None = None,
        tile_group: Tensor | None = None,
        placeholder_index: Tensor | None = None,
        vision_index: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """`GenerationMixin.generate`, with the images looked at once and spliced into the prompt before it starts.

        Raises:
            ValueError: use_cache=False with images; without a cache later steps read the prompt's ids, which hold no image.
        """
        prompt = inputs if inputs is not None else kwargs.pop("input_ids", None)
        if tiles is not None:
            if kwargs.get("use_cache") is False:
                raise ValueError("use_cache=False: without a cache the images would be forgotten after the first token. Leave it at True.")
            tokens = self.look(tiles, tile_group, find_repeats(tiles)).tokens
            kwargs["inputs_embeds"] = self.splice(prompt, tokens, placeholder_index, vision_index)
        if (kwargs.get("generation_config") or self.generation_config).stop_strings and kwargs.get("tokenizer") is None:
            kwargs["tokenizer"] = self.processor.tokenizer
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

        Args:
            sizes: (height, width) [px] each sample's masks are scaled to.
            max_new_tokens: longest answer.
            share_prefix: read once what prompts about the same images have in common.
            **kwargs: further arguments of `generate`.

        Raises:
            ValueError: several beams or sequences are asked for; their [SEG] states could not be told apart.
        """
        for name in ("num_beams", "num_return_sequences"):
            if kwargs.get(name, 1) != 1:
                raise ValueError(
                    f"{name}={kwargs[name]}: masks belong to one answer a sample. Leave it at 1, or call generate for text alone."
                )
        inputs = {key: value.to(self.device) for key, value in batch.items() if isinstance(value, Tensor)}
        if processor.seg_token_id != self.config.seg_token_id or processor.image_token_id != self.config.image_token_id:
            raise ValueError(
                f"[SEG] and the image token are {processor.seg_token_id} and {processor.image_token_id} for the processor, but the model "
                f"learnt {self.config.seg_token_id} and {self.config.image_token_id}: answers would mean nothing. Take the model's own."
            )
        settings = {"do_sample": False, **processor.stop_settings(), **kwargs}
        states: list[Tensor] = []
        self._last_states = states
        try:
            given = self._start(inputs, settings, share=share_prefix)
            # one token more than asked for, so that a [SEG] at the very end is read too and has a state
            sequences = self.generate(**given, max_new_tokens=max_new_tokens + 1, **settings)
        finally:
            self._last_states = None
        texts = sequences[:, given["input_ids"].shape[1] :][:, :max_new_tokens]
        rows = seg_states(texts, states, processor.seg_token_id)
        logits = draw_answers(self.seg_head, rows, batch.get("draw_on", [None] * len(rows)))
        empty = torch.zeros(0, 1, 1)
        return [
            Answer(
                processor.decode_answer(text), processor.post_process_masks(mask, size) if len(mask) else np.zeros((0, *size), bool), mask
            )
            for text, mask, size in zip(texts, [logits.get(row, empty) for row in range(len(texts))], sizes, strict=True)
        ]

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

    def _update_model_kwargs_for_generation(self, outputs: Any, model_kwargs: dict[str, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As in transformers; keeps the state of the token just read, while `answer` asks for it."""
        if self._last_states is not None:
            self._last_states.append(outputs.last_state.clone())  # a captured graph writes the next step's over it
        return super()._update_model_kwargs_for_generation(outputs, model_kwargs, *args, **kwargs)

    @cached_property
    def processor(self) -> EarthMindProcessor:
        """The processor saved beside this model.

        Raises:
            ValueError: the model was not loaded from a folder.
        """
        if not self.name_or_path:
            raise ValueError("this model was not loaded from a folder, so no processor was saved beside it. Hand one in as processor=...")
        return EarthMindProcessor.from_pretrained(self.name_or_path, config=self.config)

    def predict(
        self,
        images: dict[str, Any],
        text: str,
        *,
        processor: EarthMindProcessor | None = None,
        max_new_tokens: int = 256,
        generation: dict[str, Any] | None = None,
    ) -> Answer:
        """Answer one question about one set of images; masks come on the pixel grid of the image they are drawn on.

        Args:
            images: modality -> scene, Pillow image or uint8 array.
            text: the question; `<image>` is put in front where it is missing.
            processor: the processor; None takes the one saved beside the model.
            max_new_tokens: longest answer.
            generation: further arguments of `answer`.
        """
        return self.predict_batch([(images, text)], processor=processor, max_new_tokens=max_new_tokens, generation=generation)[0]

    def predict_batch(
        self,
        questions: Sequence[tuple[dict[str, Any], str]],
        *,
        processor: EarthMindProcessor | None = None,
        max_new_tokens: int = 256,
        generation: dict[str, Any] | None = None,
    ) -> list[Answer]:
        """Answers to several questions, computed together; each pair holds what `predict` takes."""
        processor = processor or self.processor
        samples, sizes = [], []
        for images, text in questions:
            asked = f"{IMAGE_PLACEHOLDER}\n{text}" if images and IMAGE_PLACEHOLDER not in text else text
            samples.append(processor.encode(images, [("user", asked)], for_generation=True))
            sizes.append(next((size_of(images[name]) for name in processor.drawn_on(images)), (1, 1)))
        batch = processor.collate(samples, left_pad=True)
        return self.answer(batch, processor, sizes=sizes, max_new_tokens=max_new_tokens, **(generation or {}))

    def predict_forward(self, image: Any = None, text: str = "", tokenizer: Any = None, **kwargs: Any) -> dict[str, Any]:
        """The published single-image call: {"prediction": text, "prediction_masks": [(1, H, W) bool, ...]}."""
        return self._published({} if image is None else {"rgb": image}, text, tokenizer, kwargs)

    def predict_forward_multi(
        self, image: Any = None, rgb_image: Any = None, text: str = "", tokenizer: Any = None, **kwargs: Any
    ) -> dict[str, Any]:
        """The published SAR + RGB call; returns what `predict_forward` returns."""
        return self._published(
            {name: picture for name, picture in (("rgb", rgb_image), ("sar", image)) if picture is not None}, text, tokenizer, kwargs
        )

    def _published(self, images: dict[str, Any], text: str, tokenizer: Any, settings: dict[str, Any]) -> dict[str, Any]:
        unknown = sorted(set(settings) - {"max_new_tokens"})
        if unknown:
            raise TypeError(f"arguments {unknown} are not supported; choices: image, rgb_image, text, tokenizer, max_new_tokens.")
        if tokenizer is not None and len(tokenizer) != len(self.processor.tokenizer):
            raise ValueError(
                f"the tokenizer has {len(tokenizer)} tokens, the one saved with the model {len(self.processor.tokenizer)}: "
                "ids would mean other words. "
                "Load it from the model's own folder."
            )
        answer = self.predict(images, text, **settings)
        return {"prediction": answer.text, "prediction_masks": [mask[None] for mask in answer.masks]}
