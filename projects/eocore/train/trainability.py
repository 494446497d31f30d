"""`TrainabilityOptions` applied to a model: what is frozen, LoRA, single token rows, recomputed activations, compiled layers."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel

from eocore.config import read_options
from eocore.errors import ConfigError
from eocore.models.compilation import compile_layers
from eocore.models.freeze import apply_trainable, trainable_names
from eocore.models.lean_layers import make_lean
from eocore.models.quantization import QuantizationOptions, quantize
from eocore.models.recompute import checkpointing_kind, recompute_activations
from eocore.models.token_rows import add_token_rows
from eocore.option_types import annotations_of, check_option
from eocore.resolve import Resolved, resolve
from eocore.text import did_you_mean
from eocore.train.options import TrainabilityOptions


@dataclass(frozen=True, kw_only=True)
class LayerParts:
    """The parts of a model whose layers the options speak of.

    Attributes:
        language_model: recomputes activations whether it trains or not: gradients pass through it.
        encoders: recompute activations where they train.
        compiled: parts whose layers are compiled.
    """

    language_model: PreTrainedModel
    encoders: Sequence[PreTrainedModel] = ()
    compiled: Sequence[nn.Module] = ()


def choose_trainable(model: PreTrainedModel, options: TrainabilityOptions, *, adapted: nn.Module, token_ids: Sequence[int] = ()) -> None:
    """Freezes what does not train, in place.

    Args:
        model: whose parameters the patterns of `options` name.
        options: of the task.
        adapted: part of the model that LoRA goes into.
        token_ids: of `options.trainable_tokens`, in the model's tokenizer.

    Raises:
        ConfigError: a pattern, a token or a target matches nothing, or two options contradict each other.
    """
    apply_trainable(model, options.trainable)
    if token_ids:
        add_token_rows(model, token_ids)
    if options.quantization is not None:
        few_bits = read_options(QuantizationOptions, options.quantization, name="task.quantization")
        if few_bits.bits == 8 and "dora" in (options.lora or {}).get("variants", ()):
            raise ConfigError(
                "task.quantization.bits is 8 and task.lora.variants names dora, which peft does not compute beside 8-bit layers. "
                "Take bits=4, or leave dora out."
            )
        quantize(adapted, few_bits)
    if options.lora is not None:
        from eocore.models.lora import add_lora  # peft takes a second to import

        annotations = annotations_of(add_lora)
        known = [name for name in annotations if name not in ("module", "return")]
        for name, value in options.lora.items():
            if name not in known:
                raise ConfigError(f"task.lora has no option '{name}'.{did_you_mean(name, known)} Options: {', '.join(known)}.")
            check_option(f"task.lora.{name}", value, annotation=annotations[name])
        add_lora(adapted, **options.lora)


def prepare_layers(parts: LayerParts, options: TrainabilityOptions) -> str:
    """Recomputation and compilation of layers, in place, once it is known what trains; returns the kind of recomputation.

    Raises:
        ConfigError: an unknown choice, no compiler, or no layers that could keep less.
    """
    kind = checkpointing_kind(options.gradient_checkpointing)
    for part in [parts.language_model, *(encoder for encoder in parts.encoders if trainable_names(encoder))]:
        recompute_activations(part, kind)
    if options.lean_layers:
        make_lean(parts.language_model)
    for compiled in parts.compiled:
        compile_layers(compiled, options.compile)
    return kind


def resolved_lora(options: TrainabilityOptions) -> Resolved:
    """The options of LoRA with their defaults; see `Task.resolved`."""
    if options.lora is None:
        return Resolved(None)
    from eocore.models.lora import add_lora

    return resolve(options.lora, add_lora)
