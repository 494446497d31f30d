"""Layers compiled one by one by torch.compile: the same graph serves all layers of a kind, and names of parameters stay."""

import os
import shutil

import torch._dynamo.config
from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

from eocore.errors import ConfigError

CHOICES = ("none", "static", "dynamic")
"""As it is; a graph for each length of a row, so that rows should all be of one length; one graph for all lengths."""


def compile_layers(model: nn.Module, choice: str) -> int:
    """Compiles every repeated layer of `model` where it is next called; in place. Returns the number of layers.

    Source: regional compilation, https://docs.pytorch.org/tutorials/recipes/regional_compilation.html.

    Args:
        model: one of transformers; whether its layers recompute activations is set before the first call.
        choice: one of `CHOICES`.

    Raises:
        ConfigError: another choice, or there is no C++ compiler, which graphs need on a CPU and their callers on a GPU.
    """
    if choice not in CHOICES:
        raise ConfigError(f"compile is {choice!r}; choices: {', '.join(CHOICES)}.")
    if choice == "none":
        return 0
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise ConfigError(f"compile is {choice!r}, but there is no C++ compiler ({compiler}). Install one, name it in CXX, or set 'none'.")
    # torch takes hooks for what never changes, and would let a layer with a hook share a graph without its hook
    torch._dynamo.config.skip_nnmodule_hook_guards = False
    layers = [layer for layer in model.modules() if isinstance(layer, GradientCheckpointingLayer)]
    for layer in layers:
        layer.compile(dynamic=choice == "dynamic")
    return len(layers)
