"""Stage 0: DINOv3's linear head learns to speak as CLIP's projection does of the same patch; both towers are frozen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from aerith.building.models import build_config, size_error
from aerith.datasets import class_maps as _class_maps  # noqa: F401  (registers the data set)
from aerith.datasets.preparation import IMAGES
from aerith.losses import centred_cosine, cosine_loss
from aerith.model.vision_aerith import FusedTowers
from aerith.pretrained import check_sources, load_parts
from aerith.stages.pictures import Pictures
from eocore.config import read_options
from eocore.data import registered as _registered  # noqa: F401  (registers the core's datasets and transforms)
from eocore.data.dataset import Scenes
from eocore.data.loading.held_out import HeldOut, HeldOutBatches
from eocore.data.loading.shard import Shard
from eocore.data.records import Record
from eocore.models.config_record import describe_config
from eocore.models.freeze import apply_trainable
from eocore.registry import TASKS
from eocore.resolve import Resolved
from eocore.train.options import DataOptions
from eocore.train.task import Mode, Task
from eocore.train.training_data import TrainingData, no_packs

PARTS = {"clip": "clip", "dinov3": "dinov3", "head": "head"}
"""Part in `task.model.parts` -> its module in `FusedTowers`."""


class TowerSample(NamedTuple):
    """One picture as both towers take it, (3, S, S) float32 normalised each."""

    clip: Tensor
    dinov3: Tensor
    sample_id: str
    faults: tuple[Any, ...] = ()


class TowerBatch(NamedTuple):
    """N pictures, (N, 3, S, S) float32 normalised for each tower."""

    clip: Tensor
    dinov3: Tensor
    sample_ids: list[str]
    faults: tuple[Any, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AlignmentOptions(DataOptions):
    """Config section `task`.

    Attributes:
        model: fields of `AerithConfig` but the language model's, and `parts`: where the towers' weights come from.
    """

    option_kinds: ClassVar[Mapping[str, str]] = {**DataOptions.option_kinds, "model": "model"}
    model: Mapping[str, Any]


def collate(samples: Sequence[TowerSample]) -> TowerBatch:
    """The batch of samples."""
    clip, dinov3 = (torch.stack([getattr(sample, name) for sample in samples]) for name in ("clip", "dinov3"))
    faults = tuple(fault for sample in samples for fault in sample.faults)
    return TowerBatch(clip, dinov3, [sample.sample_id for sample in samples], faults)


@TASKS.register_module()
class AerithAlignmentTask(Task):
    """The towers and the head, which alone trains.

    Args:
        **options: fields of `AlignmentOptions`.

    Raises:
        ConfigError: an option is unknown or wrong, or a tower has no source: a head would be aligned to weights that nobody has.
        CheckpointError: a source does not hold its tower.
    """

    options_class: ClassVar[type] = AlignmentOptions

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = read_options(AlignmentOptions, options, name="task")
        fields = dict(self.options.model)
        sources = dict(fields.pop("parts", None) or {})
        self.config = build_config(fields)
        try:
            self.model = FusedTowers(self.config.vision_sizes)
        except Exception as error:
            raise size_error(error) from error
        load_parts(self.model, sources, inside=PARTS)
        self.data = TrainingData(self.options, IMAGES)
        config = self.config
        self.for_clip = Pictures(config.clip_config.image_size, mean=config.clip_mean, std=config.clip_std)
        self.for_dinov3 = Pictures(config.dinov3_config.image_size, mean=config.dinov3_mean, std=config.dinov3_std)
        apply_trainable(self.model, ["head"])
        self.train()  # now that it is known that both towers are frozen
        if self.options.data is not None:
            check_sources(self.model, sources, inside=PARTS)

    def resolved(self) -> dict[str, Resolved]:
        """What the model came to; see `Task.resolved`."""
        return {"model": describe_config(self.config, leave_out=("vocabulary",)), **self.data.resolved()}

    def prepare(self, record: Record, scenes: Scenes, *, rng: np.random.Generator) -> TowerSample:
        """The sample of a record. Raises BandError where its image is no picture."""
        return TowerSample(self.for_clip(record, scenes), self.for_dinov3(record, scenes), record.sample_id)

    def build_loader(self, *, rank: int, world_size: int, seed: int, start_step: int) -> DataLoader:
        """This rank's batches; see `Task.build_loader`."""
        shard = Shard(rank=rank, world_size=world_size, seed=seed, start_step=start_step)
        return self.data.build_loader(shard, prepare=self.prepare, collate=collate, rules=no_packs)

    def build_held_out(self, wanted: HeldOut) -> HeldOutBatches:
        """Batches of held-out data; see `Task.build_held_out`."""
        return self.data.build_held_out(wanted, prepare=self.prepare, collate=collate, rules=no_packs)

    def forward(self, batch: TowerBatch, mode: Mode = "loss", *, num_items_in_batch: Mapping[str, float] | None = None) -> dict[str, Any]:
        """1 - cosine, and the centred cosine, of a batch."""
        dtype = self.model.head.weight.dtype
        with torch.no_grad():
            targets = self.model.clip_tokens(batch.clip.to(dtype))
            seen = self.model.dinov3_tokens(batch.dinov3.to(dtype))
        projected = [self.model.head(level) for level in seen]
        found = {"loss_cosine": cosine_loss(projected, targets), "centred_cosine": centred_cosine(projected[-1].detach(), targets[-1])}
        return {**found, "num_samples": len(batch.sample_ids)}
