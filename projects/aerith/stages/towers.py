"""Training of a small DINOv3 tower, where no pre-trained one is at hand: each patch learns which classes it shows, and where it lies.

Rotary positions tell a patch how far others are, not where it is itself; a tower that is pre-trained at length finds out by the borders.
Boxes can only be answered from tokens that know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader
from transformers.models.dinov3_vit.configuration_dinov3_vit import DINOv3ViTConfig
from transformers.models.dinov3_vit.modeling_dinov3_vit import DINOv3ViTModel

from aerith.building.models import build_config
from aerith.datasets.preparation import IMAGES
from aerith.stages.alignment import AlignmentOptions
from aerith.stages.pictures import Pictures, class_shares
from eocore.config import read_options
from eocore.data.dataset import Scenes
from eocore.data.io.masks import decode_scene_mask
from eocore.data.loading.held_out import HeldOut, HeldOutBatches
from eocore.data.loading.shard import Shard
from eocore.data.records import Record
from eocore.errors import AlignmentError
from eocore.models.config_record import describe_config
from eocore.registry import TASKS
from eocore.resolve import Resolved
from eocore.train.task import Mode, Task
from eocore.train.training_data import TrainingData, no_packs


class PatchSample(NamedTuple):
    """A picture (3, S, S), float32 normalised, and the share (P, K) of each class in its patches."""

    pixels: Tensor
    shares: Tensor
    sample_id: str
    faults: tuple[Any, ...] = ()


class PatchBatch(NamedTuple):
    """N pictures (N, 3, S, S) and shares (N, P, K)."""

    pixels: Tensor
    shares: Tensor
    sample_ids: list[str]
    faults: tuple[Any, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TowerOptions(AlignmentOptions):
    """Config section `task`.

    Attributes:
        num_classes: of the data's class maps.
        location_weight: of the loss of where patches lie, beside that of their classes.
    """

    option_kinds: ClassVar[Mapping[str, str]] = {**AlignmentOptions.option_kinds, "location_weight": "losses"}
    num_classes: int
    location_weight: float = 10.0


class PatchClassifier(nn.Module):
    """DINOv3, and linear readers of its patches, which are left behind.

    Args:
        config: of the tower.
        num_classes: to tell apart.
    """

    def __init__(self, config: DINOv3ViTConfig, *, num_classes: int) -> None:
        super().__init__()
        self.dinov3 = DINOv3ViTModel._from_config(config)
        self.classifier = nn.Linear(config.hidden_size, num_classes)
        self.locator = nn.Linear(config.hidden_size, 2)
        self.skipped = 1 + config.num_register_tokens

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Of the patches: (N, P, K) logits of classes, and (N, P, 2) row and column, 0 to 1."""
        patches = self.dinov3(pixel_values=pixels).last_hidden_state[:, self.skipped :]
        return self.classifier(patches), self.locator(patches)


def patch_locations(grid: int, *, like: Tensor) -> Tensor:
    """(P, 2) row and column of each patch's centre, 0 to 1, row by row."""
    centres = (torch.arange(grid, device=like.device, dtype=like.dtype) + 0.5) / grid
    return torch.cartesian_prod(centres, centres)


def collate(samples: Sequence[PatchSample]) -> PatchBatch:
    """The batch of samples."""
    pixels, shares = (torch.stack([getattr(sample, name) for sample in samples]) for name in ("pixels", "shares"))
    faults = tuple(fault for sample in samples for fault in sample.faults)
    return PatchBatch(pixels, shares, [sample.sample_id for sample in samples], faults)


@TASKS.register_module()
class AerithTowerTask(Task):
    """The tower with a classifier of patches; all of it trains.

    Args:
        **options: fields of `TowerOptions`.

    Raises:
        ConfigError: an option is unknown or wrong.
    """

    options_class: ClassVar[type] = TowerOptions

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = read_options(TowerOptions, options, name="task")
        self.config = config = build_config(self.options.model)
        tower = config.dinov3_config
        self.model = PatchClassifier(tower, num_classes=self.options.num_classes)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(not name.endswith("mask_token"))  # nothing is masked here
        self.grid = tower.image_size // tower.patch_size
        self.pictures = Pictures(tower.image_size, mean=config.dinov3_mean, std=config.dinov3_std)
        self.data = TrainingData(self.options, IMAGES)

    def resolved(self) -> dict[str, Resolved]:
        """What the model came to; see `Task.resolved`."""
        return {"model": describe_config(self.config, leave_out=("vocabulary",)), **self.data.resolved()}

    def prepare(self, record: Record, scenes: Scenes, *, rng: np.random.Generator) -> PatchSample:
        """The sample of a record.

        Raises:
            AlignmentError: it is no record of a map of classes, or of one with more classes than there are.
        """
        shown, count = record.meta.get("classes", ()), self.options.num_classes
        if not shown or max(shown) >= count:
            raise AlignmentError(
                f"{record.source}: classes {list(shown)} are shown, task.num_classes is {count}. Use a ClassMapDataset of so many classes."
            )
        masks = [decode_scene_mask(mask, scenes[0], source=record.source) for mask in record.masks]
        shares = torch.zeros(self.grid**2, count)
        shares[:, list(shown)] = class_shares(masks, self.grid)
        return PatchSample(self.pictures(record, scenes), shares, record.sample_id)

    def build_loader(self, *, rank: int, world_size: int, seed: int, start_step: int) -> DataLoader:
        """This rank's batches; see `Task.build_loader`."""
        shard = Shard(rank=rank, world_size=world_size, seed=seed, start_step=start_step)
        return self.data.build_loader(shard, prepare=self.prepare, collate=collate, rules=no_packs)

    def build_held_out(self, wanted: HeldOut) -> HeldOutBatches:
        """Batches of held-out data; see `Task.build_held_out`."""
        return self.data.build_held_out(wanted, prepare=self.prepare, collate=collate, rules=no_packs)

    def forward(self, batch: PatchBatch, mode: Mode = "loss", *, num_items_in_batch: Mapping[str, float] | None = None) -> dict[str, Any]:
        """Cross-entropy against the shares, squared error of locations, and how often the largest class is found."""
        logits, locations = (found.float() for found in self.model(batch.pixels.to(self.model.classifier.weight.dtype)))
        right = (logits.detach().argmax(-1) == batch.shares.argmax(-1)).float().mean()
        error = (locations - patch_locations(self.grid, like=locations)).square().sum(-1).mean()
        return {
            "loss_patches": functional.cross_entropy(logits.flatten(0, 1), batch.shares.flatten(0, 1)),
            "loss_location": self.options.location_weight * error,
            "patch_accuracy": right,
            "location_error": error.detach().sqrt(),
            "num_samples": len(batch.sample_ids),
        }
