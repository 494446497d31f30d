"""Beginning a training with the weights of another one, whose config trained other parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from eocore.errors import CheckpointError, ConfigError
from eocore.log import get_logger
from eocore.models.freeze import matches, trainable_names
from eocore.text import some_of
from eocore.train.checkpoint.weights import check_identity, read_weights


@dataclass(frozen=True, kw_only=True)
class LoadFrom:
    """Config entry `training.load_from`: the weights a training begins with, where it does not resume.

    Attributes:
        path: an iter_* folder, a .safetensors or a .pth file.
        new: patterns (as in `eocore.models.freeze`, names from the task on) of trained parameters that the file does not have and that
            begin as the model is built.
        unused: patterns of weights in the file that this training does not take.
    """

    path: str
    new: Sequence[str] = ()
    unused: Sequence[str] = ()


def load_from(model: nn.Module, choice: LoadFrom) -> None:
    """Copies weights of an earlier training into the trainable parameters of `model`.

    A weight for a frozen parameter is refused: checkpoints hold what is trained, so it would be missing in those of this training.

    Raises:
        CheckpointError: the file cannot be read, a weight is missing, left over or of another shape, or the vocabulary is another.
        ConfigError: a pattern means nothing.
    """
    path = Path(choice.path)
    found, expected = read_weights(path), trainable_names(model)
    missing = _without([name for name in expected if name not in found], choice.new, option="new", what="parameter that is missing in")
    beyond = _without([name for name in found if name not in set(expected)], choice.unused, option="unused", what="left-over weight of")
    if missing or beyond:
        raise CheckpointError(
            f"{path} and what this training trains differ; nothing was loaded. Trained here, not in the file: {some_of(missing)} "
            f"(name them in training.load_from.new to begin as built). In the file, not trained here: {some_of(beyond)} (name them in "
            "training.load_from.unused to leave them out; to resume from them frozen, convert that training and give it as "
            "task.model.pretrained)."
        )
    check_identity(model, path)
    _copy(model, {name: found[name] for name in expected if name in found}, path=path)
    get_logger().info("%d of %d trained weights come from %s", sum(name in found for name in expected), len(expected), path)


def _without(names: list[str], patterns: Sequence[str], *, option: str, what: str) -> list[str]:
    for pattern in patterns:
        if not any(matches(name, pattern) for name in names):
            raise ConfigError(f"training.load_from.{option} names '{pattern}', which is no {what} the file. Correct or remove it.")
    return sorted(name for name in names if not any(matches(name, pattern) for pattern in patterns))


def _copy(model: nn.Module, weights: dict[str, Tensor], *, path: Path) -> None:
    parameters = dict(model.named_parameters())
    shapes = [
        f"{name}: {tuple(value.shape)} in the file, {tuple(parameters[name].shape)} in the model"
        for name, value in weights.items()
        if value.shape != parameters[name].shape
    ]
    if shapes:
        raise CheckpointError(f"{path} does not fit the model; nothing was loaded. {some_of(shapes)}. Use the sizes it was trained with.")
    with torch.no_grad():
        for name, value in weights.items():
            parameters[name].copy_(value)
