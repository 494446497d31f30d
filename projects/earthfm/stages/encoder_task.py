"""Training of an encoder by itself: from its tokens a linear layer tells what covers each patch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from earthfm.losses import patch_accuracy, patch_loss
from earthfm.model.configuration_earthfm import EarthFmConfig
from earthfm.model.image_preparation import ImagePreparer
from earthfm.model.olmoearth import OlmoEarthEncoder
from earthfm.model.processor_options import ProcessorOptions
from earthfm.model.sensor_inputs import SensorInputs
from earthfm.stages.patch_classes import PatchBatch, PatchPreparer, join_patches
from eocore.config import read_options
from eocore.data.dataset import ImageRules
from eocore.data.loading.held_out import HeldOut, HeldOutBatches
from eocore.data.loading.shard import Shard
from eocore.errors import ConfigError
from eocore.registry import TASKS
from eocore.train.options import DataOptions
from eocore.train.task import Mode, Task
from eocore.train.training_data import TrainingData, no_packs


@dataclass(frozen=True, kw_only=True)
class EncoderOptions(DataOptions):
    """Config section `task`: the data, and what is trained.

    Attributes:
        encoder: see `EarthFmConfig`.
        patch_size: side of a patch [px].
        num_classes: of the class maps.
        processor: fields of `ProcessorOptions` that the model does not decide.
    """

    encoder: Mapping[str, Any]
    num_classes: int
    patch_size: int = 8
    processor: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.packing is not None or self.row_length is not None:
            raise ConfigError("task.packing and task.row_length pack texts into rows, which an encoder's training has none of.")


class PatchClassifier(nn.Module):
    """The encoder, and a linear layer over the mean of each patch's tokens.

    Args:
        encoder: that trains.
        num_classes: of patches.
    """

    def __init__(self, encoder: OlmoEarthEncoder, num_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.sizes.embedding_size, num_classes)

    def forward(self, images: SensorInputs, patch_size: int) -> Tensor:
        """(B, h * w, K) logits of each patch; the mean leaves out tokens that stand for no data."""
        tokens, missing = self.encoder(images, patch_size)
        sums, counts, start = 0.0, 0.0, 0
        for name, _, lacks in images.sensors():
            batch, rows, columns, dates = lacks.shape
            count = rows * columns * dates * self.encoder.sizes.num_band_sets[name]
            part = slice(start, start := start + count)
            known = (~missing[:, part]).to(tokens.dtype).view(batch, rows * columns, -1, 1)
            sums = sums + (tokens[:, part].view(batch, rows * columns, -1, tokens.shape[-1]) * known).sum(2)
            counts = counts + known.sum(2)
        found: Tensor = self.head(sums / torch.as_tensor(counts).clamp(min=1.0))
        return found


@TASKS.register_module()
class EarthFmEncoderTask(Task):
    """Encoder + classes of patches. Every weight trains, so that its checkpoint holds a whole encoder (`task.model.encoder_weights`).

    Args:
        **options: fields of `EncoderOptions`.

    Raises:
        ConfigError: an option is unknown, missing or wrong.
    """

    options_class: ClassVar[type] = EncoderOptions

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = read_options(EncoderOptions, options, name="task")
        try:
            config = EarthFmConfig(encoder=self.options.encoder, patch_size=self.options.patch_size)
            decided: dict[str, Any] = {"version": config.encoder_sizes.version, "patch_size": config.patch_size}
            chosen = ProcessorOptions(**decided, **(self.options.processor or {}))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"task: {str(error).rstrip('.')}. Correct the sizes and choices there.") from error
        self.images = ImagePreparer(chosen)
        self.model = PatchClassifier(OlmoEarthEncoder(config.encoder_sizes), self.options.num_classes)
        self.data = TrainingData(self.options, ImageRules(roles=chosen.roles))

    def identity(self) -> dict[str, str]:
        """Sizes of the encoder; see `Task.identity`."""
        return {"encoder": str(asdict(self.model.encoder.sizes))}

    def build_loader(self, *, rank: int, world_size: int, seed: int, start_step: int) -> DataLoader:
        """This rank's batches; see `Task.build_loader`."""
        shard = Shard(rank=rank, world_size=world_size, seed=seed, start_step=start_step)
        return self.data.build_loader(shard, prepare=self._preparer(), collate=join_patches, rules=no_packs)

    def build_held_out(self, wanted: HeldOut) -> HeldOutBatches:
        """Batches of held-out data; see `Task.build_held_out`."""
        return self.data.build_held_out(wanted, prepare=self._preparer(), collate=join_patches, rules=no_packs)

    def _preparer(self) -> PatchPreparer:
        return PatchPreparer(self.images, self.options.num_classes)

    def forward(self, batch: PatchBatch, mode: Mode = "loss", *, num_items_in_batch: Mapping[str, float] | None = None) -> dict[str, Any]:
        """Cross-entropy with the fractions of classes [nat], and the fraction of patches whose main class is found."""
        logits = self.model(batch.images, self.options.patch_size).float()
        # sensors that the data does not have take part on every rank all the same
        unread = sum(parameter.sum() for parameter in self.model.encoder.parameters() if parameter.requires_grad)
        return {
            "loss_patches": patch_loss(logits, batch.fractions) + 0.0 * unread,
            "patch_accuracy": patch_accuracy(logits, batch.fractions),
            "num_samples": len(batch.sample_ids),
        }
