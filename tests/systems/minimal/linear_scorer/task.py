"""Training of the linear scorer on pictures with one label each."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from eocore.data.dataset import ImageRules, Scenes
from eocore.data.loading.held_out import HeldOut, HeldOutBatches
from eocore.data.loading.shard import Shard
from eocore.data.records import Record
from eocore.evaluate import datasets as _datasets  # noqa: F401  (registers CustomDataset)
from eocore.registry import TASKS
from eocore.train.options import DataOptions
from eocore.train.task import Task
from eocore.train.training_data import TrainingData

from .model.configuration_linear import LinearScorerConfig
from .model.modeling_linear import LinearScorer
from .model.processing_linear import LinearProcessor


class Sample(NamedTuple):
    """`pixels` (3, S, S) uint8; `label`, index of its class."""

    pixels: Tensor
    label: int


class Batch(NamedTuple):
    """`pixels` (N, 3, S, S) uint8; `labels` (N,)."""

    pixels: Tensor
    labels: Tensor


@TASKS.register_module(force=True)
class LinearScorerTask(Task):
    """`classes`: names; `data` and `batch_size` as in `DataOptions`."""

    def __init__(self, *, classes: Sequence[str], data: Mapping[str, Any] | None = None, batch_size: int = 8) -> None:
        super().__init__()
        self.model = LinearScorer(LinearScorerConfig(classes=list(classes)))
        self.processor = LinearProcessor()
        options = DataOptions(data=data, batch_size=batch_size, num_workers=0, length_window=None)
        self.data = TrainingData(options, ImageRules(roles=("rgb",)))

    def forward(self, batch: Batch, mode: str = "loss", *, num_items_in_batch: Mapping[str, float] | None = None) -> dict[str, Any]:
        """The cross-entropy of the classes."""
        scores = self.model(batch.pixels)
        loss = torch.nn.functional.cross_entropy(scores, batch.labels)
        return {"loss_class": loss, "accuracy": (scores.argmax(1) == batch.labels).float().mean(), "num_samples": len(batch.labels)}

    def build_loader(self, *, rank: int, world_size: int, seed: int, start_step: int) -> DataLoader:
        """See `Task`."""
        shard = Shard(rank=rank, world_size=world_size, seed=seed, start_step=start_step)
        return self.data.build_loader(shard, prepare=self.prepare, collate=collate, rules=dict)

    def build_held_out(self, wanted: HeldOut) -> HeldOutBatches:
        """See `Task`."""
        return self.data.build_held_out(wanted, prepare=self.prepare, collate=collate, rules=dict)

    def prepare(self, record: Record, scenes: Scenes, rng: np.random.Generator) -> Sample:
        """What a record becomes."""
        return Sample(self.processor(scenes)[0], self.model.config.classes.index(record.meta["answer"]))


def collate(samples: Sequence[Sample]) -> Batch:
    """One batch of samples."""
    return Batch(torch.stack([sample.pixels for sample in samples]), torch.tensor([sample.label for sample in samples]))
