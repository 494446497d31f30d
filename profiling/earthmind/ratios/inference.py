"""Ratios of answering: masks of several [SEG], generation, and several questions about one image."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, DynamicCache, GenerationConfig

from earthmind.model.configuration_earthmind import EarthMindConfig
from earthmind.model.mask_head import SegHead
from eocore.portable.row_packing import VisionInputs
from eocore.portable.shared_prefix import plan_prefixes, start_prompts
from eocore.registry import RATIOS
from profiling.earthmind.ratios.language import LanguageSizes
from profiling.ratios.ratio import Goal, Pair, Result, Side

PAD = 0
VOCABULARY = 6144
"""So that the head has the fraction of the language model's operations that it has at full size, a ninth."""


@RATIOS.register_module(name="G5")
class OneEncoding(Pair):
    """Masks of the [SEG] of one answer: SAM 2's encoder once for each of them, or once for the image and all prompts decoded together.

    Args:
        segs: number of [SEG].
        size: side of SAM 2's image [px]; the encoder is Hiera tiny's.
    """

    what = "masks of 5 [SEG]: image encoded for each | once"
    goals = (Goal(quantity="time", goal=4.5, limit="number of [SEG]"),)
    tolerance = 1e-3

    def __init__(self, *, segs: int = 5, size: int = 1024) -> None:
        self.segs, self.size = segs, size

    def prepare(self, side: Side) -> Callable[[], Result]:
        """See `Pair.prepare`; returns the mask logits."""
        torch.manual_seed(0)
        head = SegHead(_sam_of(self.size)).eval()
        image = torch.randint(0, 256, (1, 3, self.size, self.size), dtype=torch.uint8)
        prompts = head.project_seg(torch.randn(self.segs, 64)).detach()
        zero = torch.zeros(1, dtype=torch.long)

        def alone(prompt: Tensor) -> Tensor:
            return head.decode_masks(prompt[None], head.encode(image), sample=zero, slot=zero, num_slots=1).chosen

        def apart() -> Tensor:
            return torch.cat([alone(prompt) for prompt in prompts])

        def once() -> Tensor:
            owner, slot = zero.expand(self.segs), torch.arange(self.segs)
            return head.decode_masks(prompts, head.encode(image), sample=owner, slot=slot, num_slots=self.segs).chosen

        return torch.no_grad()(apart if side == "reference" else once)


@RATIOS.register_module(name="G6")
class CleanGeneration(Pair):
    """Generation with the states of all layers kept, eager attention and a second reading of the whole text for its maps, as upstream
    code does, or with the last layer's states alone, on sdpa.

    Args:
        sizes: of the language model, where they are to differ; fields of `LanguageSizes`.
        tokens: of the prompt.
        new_tokens: generated.
    """

    what = "generation: all states, maps, second forward | last state, sdpa"
    goals = (Goal(quantity="time", goal=3.0, limit="grows with S: 6 at 2624 (tokens=2624)"), Goal(quantity="memory", goal=5.0))
    tolerance = 1e-4

    def __init__(
        self,
        *,
        sizes: Mapping[str, int] | None = None,
        tokens: int = 1344,
        new_tokens: int = 24,
    ) -> None:
        self.sizes = LanguageSizes(vocabulary=VOCABULARY, **(sizes or {}))
        self.tokens, self.new_tokens = tokens, new_tokens

    def prepare(self, side: Side) -> Callable[[], Result]:
        """See `Pair.prepare`; returns the ids and the states of the last layer at the tokens read back."""
        model = _language_model(self.sizes, "eager" if side == "reference" else "sdpa")
        ids = torch.randint(1, VOCABULARY, (1, self.tokens))
        fixed = {"max_new_tokens": self.new_tokens, "min_new_tokens": self.new_tokens, "do_sample": False, "pad_token_id": PAD}
        states: list[Tensor] = []
        if side == "ours":
            model.get_decoder().norm.register_forward_hook(lambda _module, _args, output: states.append(output[:, -1]))

        def upstream() -> list[Tensor]:
            # 0: logits of all positions of the prompt, as transformers' models gave them then
            given = model.generate(ids, **fixed, output_hidden_states=True, return_dict_in_generate=True, logits_to_keep=0)
            model(given.sequences, output_attentions=True, output_hidden_states=True, use_cache=False)
            return [given.sequences, torch.cat([step[-1][:, -1] for step in given.hidden_states])]

        def clean() -> list[Tensor]:
            states.clear()
            sequences = model.generate(ids, **fixed)
            return [sequences, torch.cat(states)]

        return torch.no_grad()(upstream if side == "reference" else clean)


@RATIOS.register_module(name="G7")
class SharedPrefix(Pair):
    """Prompts about one image, read up to the first token of each answer: each by itself, or their common part once.

    Args:
        sizes: of the language model, where they are to differ; fields of `LanguageSizes`.
        image_tokens, text_tokens: of each prompt.
        questions: about the image.
    """

    what = "5 questions about one image: each read alone | the image read once"
    goals = (Goal(quantity="time", goal=3.5, limit="tokens: N (S_img + S_txt) / (S_img + N S_txt) = 4.6"),)
    tolerance = 1e-4

    def __init__(
        self,
        *,
        sizes: Mapping[str, int] | None = None,
        image_tokens: int = 2560,
        text_tokens: int = 64,
        questions: int = 5,
    ) -> None:
        self.sizes = LanguageSizes(vocabulary=VOCABULARY, **(sizes or {}))
        self.image_tokens, self.text_tokens, self.questions = image_tokens, text_tokens, questions

    def prepare(self, side: Side) -> Callable[[], Result]:
        """See `Pair.prepare`; returns the logits of each prompt's next token."""
        model = _language_model(self.sizes, "sdpa")
        ids, vision = self._inputs()
        mask, tokens = torch.ones_like(ids), torch.randn(self.image_tokens, self.sizes.width)
        embeddings = model.get_input_embeddings()(ids).detach()
        embeddings.view(-1, embeddings.shape[-1])[vision.placeholder_index] = tokens.repeat(self.questions, 1)

        def apart() -> Tensor:
            rows = [model(inputs_embeds=row[None], use_cache=True, past_key_values=DynamicCache(), logits_to_keep=1) for row in embeddings]
            return torch.cat([row.logits[:, -1] for row in rows])

        def shared() -> Tensor:
            content = torch.zeros(self.questions, dtype=torch.long)
            plan = plan_prefixes(ids, mask, vision=vision, content=content)
            assert plan is not None
            start = start_prompts(model.get_decoder(), embeddings, input_ids=ids, attention_mask=mask, plan=plan)
            logits: Tensor = model.get_output_embeddings()(start.states)
            return logits

        return torch.no_grad()(apart if side == "reference" else shared)

    def _inputs(self) -> tuple[Tensor, VisionInputs]:
        """Prompts as the processor collates them: one tile each, then the question."""
        rows, width = self.questions, self.image_tokens + self.text_tokens
        ids = torch.randint(1, VOCABULARY, (rows, width))
        positions = torch.arange(self.image_tokens)[None] + width * torch.arange(rows)[:, None]
        return ids, VisionInputs(
            tiles=torch.zeros(rows, 0),  # their content is not looked at
            tile_group=torch.arange(rows).expand(2, -1),
            tile_sample=torch.arange(rows),
            placeholder_index=positions.flatten(),
            vision_index=torch.arange(rows * self.image_tokens),
        )


def _language_model(sizes: LanguageSizes, kernel: str) -> Any:
    torch.manual_seed(0)
    model: Any = AutoModelForCausalLM.from_config(sizes.config(attn_implementation=kernel)).eval()
    model.generation_config = GenerationConfig(eos_token_id=None)
    return model


def _sam_of(size: int) -> EarthMindConfig:
    backbone = {"model_type": "sam2_hiera_det_model", "image_size": [size, size]}
    vision = {"backbone_config": backbone, "backbone_feature_sizes": [[size // stride] * 2 for stride in (4, 8, 16)]}
    sam = {"vision_config": vision, "prompt_encoder_config": {"image_size": size}}
    return EarthMindConfig(
        vision_config={"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64},
        text_config={"model_type": "qwen2", "hidden_size": 64, "num_hidden_layers": 1},
        sam_config=sam,
    )
