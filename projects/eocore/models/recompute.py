"""Activation checkpointing: what a layer's backward needs is computed again there instead of kept (Chen et al. 2016, arXiv:1604.06174)."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor
from torch.utils.checkpoint import CheckpointPolicy, SelectiveCheckpointContext, create_selective_checkpoint_contexts
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from eocore.errors import ConfigError

KINDS = ("none", "selective", "attention", "full")
"""What is computed again: nothing; cheap operators; all but attention kernels; all. What a kernel gives is small for what it costs."""

PRODUCTS = {"aten.mm": 0, "aten.bmm": 0, "aten.addmm": 1, "aten.baddbmm": 1}
"""Matrix products, and the index of their left factor among the arguments."""
ATTENTION = (
    "aten._scaled_dot_product",
    "torch_attn.",
    "aten._flash_attention",
    "aten._efficient_attention",
    "flash_attn.",
    "flex_attention",
)
"""How the names of fused attention kernels begin, in PyTorch and in the package flash_attn."""


def checkpointing_kind(choice: bool | str) -> str:
    """One of `KINDS`; True means "full", False "none".

    Raises:
        ConfigError: another choice.
    """
    kind = {True: "full", False: "none"}.get(choice, choice) if isinstance(choice, bool) else choice
    if kind not in KINDS:
        raise ConfigError(f"gradient_checkpointing is {choice!r}; choices: {', '.join(KINDS)} (False and True: the first and the last).")
    return str(kind)


def recompute_activations(model: PreTrainedModel, kind: str = "full") -> None:
    """Every layer of `model` that can computes its activations again in backward; in place.

    "selective" keeps the results of attention kernels and of matrix products at least as deep as the model is wide, which cost most per
    byte. What is cheap is computed again: norms, activation functions, rotations, and the second, narrow product of LoRA, whose result is
    as large as that of the layer it stands beside. "attention" keeps the results of attention kernels alone, which in long rows are those
    that cost most per byte: each number sums over all tokens before it.

    Args:
        model: its config names its width (`hidden_size`).
        kind: one of `KINDS`.
    """
    if kind == "none":
        return
    # not reentrant: a frozen input has no gradient, with which the reentrant form would leave the layer untrained
    settings: dict[str, Any] = {"use_reentrant": False}
    if kind != "full":
        policy = keeps_attention if kind == "attention" else keeps_deep_products(_width(model.config))
        settings["context_fn"] = partial(create_selective_checkpoint_contexts, policy)
    # transformers asks the model, but it is the layers that can; SAM 2's image encoder has such layers and does not say so
    model.supports_gradient_checkpointing = any(isinstance(layer, GradientCheckpointingLayer) for layer in model.modules())
    # transformers renamed the switch in 5.2x and warns at the old name; older versions know the old one alone
    if hasattr(model, "activation_checkpointing_enable"):
        model.activation_checkpointing_enable(activation_checkpointing_kwargs=settings)
    else:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=settings)


def keeps_attention(_context: SelectiveCheckpointContext, operator: Any, *_inputs: Any, **_: Any) -> CheckpointPolicy:
    """The policy of "attention": results of fused attention kernels are kept."""
    name = str(operator)
    return _policy(name.startswith(ATTENTION) and "backward" not in name)


def keeps_deep_products(width: int) -> Callable[..., CheckpointPolicy]:
    """The policy of "selective": attention, and matrix products that sum over at least `width` terms, are kept."""

    def policy(context: SelectiveCheckpointContext, operator: Any, *inputs: Any, **_: Any) -> CheckpointPolicy:
        index = PRODUCTS.get(str(operator).rpartition(".")[0])
        if index is None:
            return keeps_attention(context, operator)
        left: Tensor = inputs[index]
        return _policy(left.shape[-1] >= width)

    return policy


def _policy(kept: bool) -> CheckpointPolicy:
    return CheckpointPolicy.MUST_SAVE if kept else CheckpointPolicy.PREFER_RECOMPUTE


def _width(config: PretrainedConfig) -> int:
    """Of the narrowest layers: an image encoder in stages states it in the config of its backbone."""
    return int(getattr(config, "hidden_size", None) or config.backbone_config.hidden_size)
