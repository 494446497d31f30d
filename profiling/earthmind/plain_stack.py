"""What a user would pick instead: transformers' own InternVL, peft's LoRA and sdpa, through public calls alone, with the weights of a task.

It reads images and words; sensor fusion and masks have no counterpart there, so it runs the sample kinds of one sensor without masks.
Its best settings: sdpa in both towers, LoRA merged before it answers, nothing recomputed unless asked for.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import InternVLConfig, InternVLForConditionalGeneration

from earthmind.model.batching import Batch
from earthmind.model.modeling_earthmind import EarthMindForConditionalGeneration
from earthmind.task import EarthMindTask
from eocore.errors import ConfigError
from eocore.models.lora import ADAPTER
from eocore.models.lora_layer import LoraLinear
from eocore.portable.normalisation import normalise
from profiling.earthmind.inference import Dictation
from profiling.earthmind.samples import KINDS, kinds_of

WRAPPED = "base_model.model."
"""What peft puts before the names of the model that it wraps."""
NAMES = (
    (r"^vision_tower\.", "model.vision_tower."),
    (r"^projector\.", "model.multi_modal_projector."),
    (r"^language_model\.model\.", "model.language_model."),
    (r"^language_model\.lm_head\.", "lm_head."),
)
"""Ours -> theirs, by how a name begins."""


def plain_model(model: EarthMindForConditionalGeneration) -> InternVLForConditionalGeneration:
    """Transformers' model of the same sizes with copies of the weights that it has a place for; LoRA is left out.

    Raises:
        ConfigError: weights of the plain model have no counterpart.
    """
    ours = model.config
    config = InternVLConfig(
        vision_config=ours.vision_config.to_dict(),
        text_config=ours.text_config.to_dict(),
        image_token_id=ours.image_token_id,
        image_seq_length=ours.tile_grid[0] * ours.tile_grid[1],
        downsample_ratio=ours.downsample_ratio,
        projector_hidden_act=ours.projector_hidden_act,
        tie_word_embeddings=ours.text_config.tie_word_embeddings,
        attn_implementation="sdpa",
    )
    parameter = next(model.parameters())
    with parameter.device:
        plain = InternVLForConditionalGeneration(config).to(parameter.dtype)
    taken = {_their_name(name): value for name, value in model.state_dict().items() if _their_name(name) is not None}
    missing, unexpected = plain.load_state_dict(taken, strict=False)
    if missing or unexpected:
        raise ConfigError(f"the plain stack misses {missing[:3]} and has no place for {unexpected[:3]}: sizes or parts differ.")
    return plain


def _their_name(name: str) -> str | None:
    """Of a weight in transformers' InternVL; None for LoRA, and for parts that it does not have."""
    if ".lora_" in name:
        return None
    name = name.replace(".base_layer.", ".")
    for ours, theirs in NAMES:
        if re.match(ours, name):
            return re.sub(ours, theirs, name)
    return None


class PlainStep:
    """Training steps of the plain stack.

    Args:
        task: whose sizes, weights, LoRA and choice of trained parts it takes.
        recompute: recompute every layer in backward, as transformers' `gradient_checkpointing_enable` does.
    """

    def __init__(self, task: EarthMindTask, *, recompute: bool = False) -> None:
        self.config = task.model.config
        self.model: Any = plain_model(task.model)
        self.model.requires_grad_(False)
        adapted = {str(_their_name(name)): layer for name, layer in task.model.named_modules() if isinstance(layer, LoraLinear)}
        if adapted:
            self.model = get_peft_model(self.model, _lora_like(adapted))
            self._copy_lora(adapted)
        trained = {_their_name(name) for name, parameter in task.model.named_parameters() if parameter.requires_grad}
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(".lora_" in name or name.removeprefix(WRAPPED) in trained)
        if recompute:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
        self.model.train()

    @torch.no_grad()
    def _copy_lora(self, adapted: Mapping[str, LoraLinear]) -> None:
        """Gives both stacks the same LoRA weights."""
        for name, layer in adapted.items():
            theirs = self.model.get_submodule(WRAPPED + name)
            for part in ("lora_A", "lora_B"):
                getattr(theirs, part)[ADAPTER].weight.copy_(getattr(layer, part)[ADAPTER].weight)

    def loss(self, batch: Batch) -> Tensor:
        """Of a batch of our collator with one sample a row: the mean over its supervised tokens."""
        return self.model(**plain_inputs(batch, self.config), labels=batch.labels).loss


def _lora_like(adapted: Mapping[str, LoraLinear]) -> LoraConfig:
    """Peft's configuration of the LoRA that layers of ours have, by their names in the plain model."""
    layer: Any = next(iter(adapted.values()))
    dropout = getattr(layer.lora_dropout[ADAPTER], "p", 0.0)
    return LoraConfig(r=layer.r[ADAPTER], lora_alpha=layer.lora_alpha[ADAPTER], lora_dropout=dropout, target_modules=list(adapted))


def plain_inputs(batch: Batch, config: Any) -> dict[str, Tensor]:
    """Arguments of the plain model: `input_ids`, `attention_mask` where rows are padded, `pixel_values` (T, C, P, P) float32."""
    vision = batch.vision
    assert vision is not None, "every kind of sample has an image"
    named = {"input_ids": batch.input_ids, "pixel_values": normalise(vision.tiles, config.pixel_mean, std=config.pixel_std)}
    if batch.attention_mask is not None:
        named["attention_mask"] = batch.attention_mask
    return named


def check_kinds(name: str) -> tuple[str, ...]:
    """Kinds of the samples that `name` stands for. Raise ConfigError if the plain stack cannot run one."""
    for kind in kinds_of(name):
        shape = KINDS[kind]
        if shape.masks or shape.region or len(shape.sensors) > 1:
            raise ConfigError(f"sample kind {kind} has masks, regions or two sensors, which transformers' InternVL knows nothing of.")
    return kinds_of(name)


class PlainAnswers:
    """Answers of the plain stack: `generate` of transformers.

    Args:
        model: whose weights it takes; LoRA merged before.
    """

    def __init__(self, model: EarthMindForConditionalGeneration) -> None:
        self.config, self.model = model.config, plain_model(model).eval()

    @torch.inference_mode()
    def ask(self, batch: Batch, dictated: Tensor) -> Tensor:
        """(R, N) token ids of the answers.

        Args:
            batch: of questions, padded in front.
            dictated: (R, N) what is to be written, whatever the model would have said.
        """
        inputs = plain_inputs(batch, self.config)
        written = self.model.generate(
            **inputs,
            max_new_tokens=dictated.shape[1],
            do_sample=False,
            logits_processor=[Dictation(dictated)],
            eos_token_id=None,
            pad_token_id=0,
        )
        return written[:, inputs["input_ids"].shape[1] :]
