"""Low-rank adaptation (Hu et al. 2021, arXiv:2106.09685) by peft, put into a module in place and merged back into plain weights."""

from collections.abc import Sequence
from typing import cast

from torch import nn

from eocore.errors import ConfigError
from eocore.text import did_you_mean, nearest

ALL_LINEAR = "all-linear"
ADAPTER = "default"
MAX_NEAREST = 3
VARIANTS = ("dora", "rslora")
"""Changes to plain LoRA: the length of each row of a weight trains apart from its direction (Liu et al. 2024, arXiv:2402.09353); the
update is scaled by alpha / sqrt(rank) (Kalajdzievski 2023, arXiv:2312.03732)."""
PARAMETERS = (".lora_A.", ".lora_B.", ".lora_magnitude_vector.")
"""What the names of LoRA's parameters hold; the last is DoRA's."""


def add_lora(
    module: nn.Module,
    *,
    rank: int = 128,
    alpha: float = 256,
    dropout: float = 0.05,
    target_modules: str | Sequence[str] = ALL_LINEAR,
    variants: Sequence[str] = (),
) -> list[str]:
    """Puts LoRA beside linear layers of `module`, in place; returns the names of the new parameters.

    The new parameters are trained, the layers they stand beside are frozen, every other `requires_grad` stays as it was. Defaults of rank,
    alpha and dropout are those of the upstream EarthMind training.

    Args:
        module: usually the language model.
        rank: of the update.
        alpha: the update is scaled by alpha / rank.
        dropout: on the input of the update.
        target_modules: names of the layers, whole or their last parts (`q_proj`); or `all-linear`: every one but the output embedding.
        variants: any of `VARIANTS`.

    Raises:
        ConfigError: a target matches no linear layer, the module has LoRA already, a variant is unknown, or a number is out of range.
    """
    from peft import LoraConfig, inject_adapter_in_model

    from eocore.models.lora_layer import lean

    _check_numbers(rank, alpha, dropout=dropout)
    _check_variants(variants)
    if lora_names(module):
        raise ConfigError(
            f"{type(module).__name__} has LoRA already; a second one would train both. Call add_lora once, or merge_lora before."
        )
    targets = _resolve_targets(module, target_modules)
    trained = {id(parameter) for parameter in module.parameters() if parameter.requires_grad}
    beside = {id(parameter) for name in targets for parameter in module.get_submodule(name).parameters()}
    config = LoraConfig(
        r=rank,
        lora_alpha=cast(int, alpha),
        lora_dropout=dropout,
        target_modules=targets,
        bias="none",
        use_dora="dora" in variants,
        use_rslora="rslora" in variants,
    )
    inject_adapter_in_model(config, module, adapter_name=ADAPTER)
    for name in targets:
        lean(module.get_submodule(name))
    # peft's new layers start in training mode, whatever mode the module is in.
    module.train(module.training)
    added = set(lora_names(module))
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name in added or (id(parameter) in trained and id(parameter) not in beside))
    return lora_names(module)


def lora_names(module: nn.Module) -> list[str]:
    """Names of the LoRA parameters in `module`."""
    return [name for name, _ in module.named_parameters() if any(part in name for part in PARAMETERS)]


def merge_lora(module: nn.Module) -> int:
    """Adds every LoRA update in `module` to the weight it stands beside and removes it; returns the number of layers merged.

    Names of parameters and modules are afterwards what they were before `add_lora`.
    """
    from peft.tuners.lora import LoraLayer

    layers = [(name, layer) for name, layer in module.named_modules() if isinstance(layer, LoraLayer)]
    for name, layer in layers:
        # safe_merge refuses updates that hold NaN instead of spoiling the weight.
        layer.merge(safe_merge=True)
        parent, _, child = name.rpartition(".")
        setattr(module.get_submodule(parent), child, layer.get_base_layer())
    if hasattr(module, "peft_config"):
        del module.peft_config
    return len(layers)


def _resolve_targets(module: nn.Module, targets: str | Sequence[str]) -> list[str]:
    """Whole names of the layers that `targets` means."""
    layers = [name for name, layer in module.named_modules() if isinstance(layer, nn.Linear)]
    output = getattr(module, "get_output_embeddings", lambda: None)()
    if targets == ALL_LINEAR:
        found = [name for name in layers if module.get_submodule(name) is not output]
        if not found:
            raise ConfigError(f"{type(module).__name__} has no linear layer for LoRA to stand beside. Name another module.")
        return found
    chosen: set[str] = set()
    for target in [targets] if isinstance(targets, str) else targets:
        matched = {name for name in layers if name == target or name.endswith("." + target)}
        if not matched:
            endings = sorted({name.rsplit(".", 1)[-1] for name in layers})
            near = nearest(target, endings, count=MAX_NEAREST) or endings
            raise ConfigError(
                f"LoRA target '{target}' matches no linear layer of {type(module).__name__}, so it would not be adapted. "
                f"Nearest: {', '.join(near)}; or '{ALL_LINEAR}'."
            )
        chosen |= matched
    return sorted(chosen)


def _check_variants(variants: Sequence[str]) -> None:
    """Raise ConfigError if one is unknown."""
    for name in [variants] if isinstance(variants, str) else variants:
        if name not in VARIANTS:
            raise ConfigError(f"LoRA variant {name!r} is unknown.{did_you_mean(str(name), VARIANTS)} Choices: {', '.join(VARIANTS)}.")


def _check_numbers(rank: int, alpha: float, *, dropout: float) -> None:
    if rank < 1:
        raise ConfigError(f"LoRA rank is {rank}; expected at least 1. Upstream: 128.")
    if alpha <= 0:
        raise ConfigError(f"LoRA alpha is {alpha}; expected a positive number, else the update is nothing. Upstream: 256.")
    if not 0 <= dropout < 1:
        raise ConfigError(f"LoRA dropout is {dropout}; expected at least 0 and below 1. Upstream: 0.05.")
