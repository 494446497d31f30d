"""What the training machinery asks of a system: one module that holds model, losses and data."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from mmengine.model import BaseDataPreprocessor, BaseModel
from torch import Tensor, nn
from torch.utils.data import DataLoader

from eocore.data.loading.held_out import HeldOut, HeldOutBatches
from eocore.errors import ConfigError, EOError
from eocore.models.quantization import num_numbers
from eocore.resolve import Resolved

LOSS_PREFIX = "loss_"
COUNT_PREFIX = "num_"
NUM_SAMPLES = "num_samples"
Mode = Literal["loss", "predict"]


@dataclass(frozen=True, kw_only=True)
class PartCount:
    """Number of parameters of one part of a model."""

    name: str
    total: int
    trainable: int


class Task(BaseModel):
    """Model, losses and data of one system, as the runner sees them.

    A subclass registers itself in `eocore.registry.TASKS`, builds its model and datasets from keyword arguments and freezes what is not
    trained (`eocore.models.freeze`). Batches reach `forward` on the right device, floats still in the precision of the data: the
    model casts them where they enter.

    Attributes:
        options_class: dataclass whose fields are the task's keyword arguments, such as the groups of `eocore.train.options` together; None
            where the constructor itself names them.
        uncompared, option_kinds: see `eocore.train.options`; read from `options_class` where there is one, else from the task.
    """

    options_class: ClassVar[type | None] = None
    uncompared: ClassVar[Mapping[str, str]] = {}
    option_kinds: ClassVar[Mapping[str, str]] = {}

    def __init__(self) -> None:
        # pinned batches go to a GPU in passing; the host need not wait for them
        super().__init__(data_preprocessor=BaseDataPreprocessor(non_blocking=True), init_cfg=None)

    def count_items(self, batch: Any) -> Mapping[str, float]:
        """Number of each item, by name, that losses are means over, where these are to be means over all batches of an update.

        The means of these numbers over the batches of the update, on all ranks, reach `forward` as `num_items_in_batch`. Empty: losses are
        means over each batch by itself, and ranks exchange nothing.

        Args:
            batch: one element of the loader.
        """
        return {}

    @abstractmethod
    def forward(self, batch: Any, mode: Mode = "loss", *, num_items_in_batch: Mapping[str, float] | None = None) -> Any:
        """Losses and metrics of a batch, or its predictions.

        Args:
            batch: one element of the loader, moved to the model's device: a `NamedTuple`, since mmengine leaves other classes where they
                are. A field `sample_ids` names samples in messages, a field `faults` says which were replaced.
            mode: `loss` gives a dict: `loss_*` are scalar tensors that are summed and trained on; `num_*` are counts, summed over
                ranks when logged (`num_samples` and `num_tokens` give the speeds); any other name is a metric, averaged when
                logged. Every parameter that requires a gradient must take part in every step on every rank, if only as
                `0.0 * parameter.sum()`: a parameter that some ranks leave out ends the process under ZeRO 1-3.
            num_items_in_batch: see `count_items`; given where that counts something.
        """

    @abstractmethod
    def build_loader(self, *, rank: int, world_size: int, seed: int, start_step: int) -> DataLoader:
        """This rank's batches, without end, in an order that depends on the arguments alone.

        Args:
            rank: whose part of every global batch is wanted.
            world_size: number of ranks.
            seed: of order and of per-sample randomness.
            start_step: number of global batches that an earlier run has already used up.
        """

    def build_held_out(self, wanted: HeldOut) -> HeldOutBatches:
        """Batches of held-out data, as the training would make them but always the same ones; see `TrainingData.build_held_out`.

        Raises:
            ConfigError: the system does not validate.
        """
        raise ConfigError(
            f"training.validation: {type(self).__name__} makes no batches of held-out data (it has no `build_held_out`). Leave "
            "training.validation out, or add the method to the task."
        )

    def loss_sums(self, batch: Any) -> dict[str, tuple[float, float]]:
        """Loss or metric -> its sum over what a batch holds, and the number of items summed over; sums of several batches divided by
        their numbers are means over all of them. Called in eval mode.

        Here losses count as means over the samples of the batch (`num_samples`); a task whose losses are means over something else
        says so in a method of its own.

        Args:
            batch: as for `forward`.
        """
        found = self(batch, mode="loss")
        number = float(found.get(NUM_SAMPLES, 1.0))
        return {name: (float(value) * number, number) for name, value in found.items() if not name.startswith(COUNT_PREFIX)}

    def identity(self) -> dict[str, str]:
        """What must be the same for trained weights to mean the same, by name: a digest of the vocabulary and the like.

        It is written into checkpoints and compared when one is loaded.
        """
        return {}

    def resolved(self) -> dict[str, Resolved]:
        """Options that came to something the config does not show, by name: sizes from a model folder, the content of a tokenizer.

        They stand in the checkpoint instead of the config's entries of these names.
        """
        return {}

    def parameter_table(self) -> list[PartCount]:
        """Parameter counts of the top-level parts: the children of `self.model` where there is one, else of the task."""
        root = self.model if isinstance(getattr(self, "model", None), nn.Module) else self
        parts = [_count(name, child) for name, child in root.named_children()]
        direct = [parameter for parameter in root.parameters(recurse=False)]
        if direct:
            parts.append(_count_parameters("(own)", direct))
        return [part for part in parts if part.total]

    def parse_losses(self, losses: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar to train on, and everything to log (`loss` first).

        Args:
            losses: what `forward(mode="loss")` gave.

        Raises:
            EOError: no `loss_*` entry, a name that contains "loss" elsewhere, or a value that is not a scalar.
        """
        names = [name for name in losses if name.startswith(LOSS_PREFIX)]
        strange = [name for name in losses if "loss" in name and not name.startswith(LOSS_PREFIX)]
        if not names or strange:
            raise EOError(
                f"{type(self).__name__}.forward gave {sorted(losses)}: expected at least one '{LOSS_PREFIX}*' (summed and trained on) and "
                f"no other name that contains 'loss'{', found ' + ', '.join(strange) if strange else ''}. Rename the entries."
            )
        scalars = {name: _as_scalar(name, value) for name, value in losses.items()}
        total = torch.stack([scalars[name].float() for name in names]).sum()
        return total, {"loss": total.detach()} | {name: value.detach() for name, value in scalars.items()}


def _as_scalar(name: str, value: Any) -> Tensor:
    if isinstance(value, int | float):
        return torch.tensor(float(value))
    if isinstance(value, Tensor) and value.numel() == 1:
        return value.reshape(())
    found = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
    raise EOError(f"forward returned {found} as '{name}'; expected a scalar. Reduce it in the task, where its weighting is known.")


def _count(name: str, module: nn.Module) -> PartCount:
    return _count_parameters(name, list(module.parameters()))


def _count_parameters(name: str, parameters: list[nn.Parameter]) -> PartCount:
    # Under ZeRO-3 a parameter is an empty shard; DeepSpeed keeps its true size in ds_numel.
    sizes = [(getattr(parameter, "ds_numel", num_numbers(parameter)), parameter.requires_grad) for parameter in parameters]
    return PartCount(name=name, total=sum(size for size, _ in sizes), trainable=sum(size for size, trained in sizes if trained))
