"""Activation checkpointing: layers keep their input alone and are computed again in backward."""

from transformers import PreTrainedModel


def recompute_activations(model: PreTrainedModel) -> None:
    """Every layer of `model` that can is recomputed in backward; in place.

    transformers renamed the switch in 5.2x and warns at the old name; older versions know the old one alone.
    """
    # not reentrant: a frozen input has no gradient, with which the reentrant form would leave the layer untrained
    settings = {"use_reentrant": False}
    if hasattr(model, "activation_checkpointing_enable"):
        model.activation_checkpointing_enable(activation_checkpointing_kwargs=settings)
    else:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=settings)
