"""What trainings share whose model reads images and answers in text alone: the loss of answers, loaders, counts."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch.utils.data import DataLoader

from eocore.config import read_options
from eocore.data.loading.error_policy import NUM_REPLACED
from eocore.data.loading.held_out import HeldOut, HeldOutBatches
from eocore.data.loading.shard import Shard
from eocore.errors import ConfigError
from eocore.losses.answers import SAMPLES, SUPERVISED, AnswerLossSettings, answer_loss, token_accuracy
from eocore.models.config_record import describe_config
from eocore.models.vocabulary import tokenizer_digest
from eocore.portable.packed_attention import QuestionsError
from eocore.portable.position_limit import num_positions
from eocore.portable.prompt_batching import PromptBatch
from eocore.resolve import Resolved, resolve, resolve_instance
from eocore.train.options import DataOptions, ModelOptions, TrainabilityOptions
from eocore.train.task import Mode, Task
from eocore.train.trainability import resolved_lora
from eocore.train.training_data import TrainingData, no_packs

TOKEN_ACCURACY = "token_accuracy"
LOSS = "loss_text"


@dataclass(frozen=True, kw_only=True)
class ImageTextOptions(ModelOptions, DataOptions, TrainabilityOptions):
    """The shared groups of config section `task`. `losses` holds fields of `AnswerLossSettings`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.packing is not None:
            raise ConfigError("task.packing deals samples by measured costs, and this model has none. Use task.row_length to fill rows.")
        if self.trainable_tokens:
            raise ConfigError("task.trainable_tokens names rows of added tokens, and this model adds none. Leave it out.")


class ImageTextTask(Task):
    """Base; a system makes the model, its processor and its samples. Its batches have `prompts` (a `PromptBatch`) and `faults`.

    Attributes:
        options: fields of `options_class`.
        data: the training's.
        model: `model(batch).logits` are (M, V), of the supervised tokens.
        processor: of the model.
        loss_settings: choices.
    """

    options: Any
    data: TrainingData
    model: Any
    processor: Any
    loss_settings: AnswerLossSettings

    def read_losses(self) -> AnswerLossSettings:
        """The section `losses` of the options. Raises ConfigError where it is wrong."""
        return read_options(AnswerLossSettings, self.options.losses or {}, name="losses")

    @abstractmethod
    def preparer(self) -> Callable[..., Any]:
        """What makes a sample of a record and its scenes."""

    @abstractmethod
    def collator(self) -> Callable[..., Any]:
        """What makes a batch of samples."""

    @property
    def max_length(self) -> int:
        """Most tokens of a sample, its image's among them: no more than the language model has positions."""
        positions = num_positions(self.model.config.text_config)
        return self.data.max_length if positions is None else min(self.data.max_length, positions)

    def resolved(self) -> dict[str, Resolved]:
        """What the model, its processor and the sections of options came to; see `Task.resolved`."""
        config = self.model.config
        return {
            "model": describe_config(config, leave_out=("vocabulary",)),
            "attention": resolve({"language_model": config.text_config._attn_implementation}),
            "tokenizer": resolve({"sha256": tokenizer_digest(self.processor.tokenizer)}),
            "processor": resolve(self.processor.options.__dict__, type(self.processor.options)),
            "losses": resolve_instance(self.loss_settings),
            "lora": resolved_lora(self.options),
            **self.data.resolved(),
        }

    def build_loader(self, *, rank: int, world_size: int, seed: int, start_step: int) -> DataLoader:
        """This rank's batches; see `Task.build_loader`."""
        shard = Shard(rank=rank, world_size=world_size, seed=seed, start_step=start_step)
        return self.data.build_loader(shard, prepare=self.preparer(), collate=self.collator(), rules=no_packs)

    def build_held_out(self, wanted: HeldOut) -> HeldOutBatches:
        """Batches of held-out data; see `Task.build_held_out`."""
        return self.data.build_held_out(wanted, prepare=self.preparer(), collate=self.collator(), rules=no_packs)

    def count_items(self, batch: Any) -> Mapping[str, float]:
        """Samples and supervised tokens, where the loss is a mean over tokens of the whole update; see `Task.count_items`."""
        return _count(batch.prompts) if self.loss_settings.item == SUPERVISED else {}

    def loss_sums(self, batch: Any) -> dict[str, tuple[float, float]]:
        """Sums over samples, or over supervised tokens where the loss is their mean; see `Task.loss_sums`."""
        found = self(batch, num_items_in_batch={SAMPLES: 1.0, SUPERVISED: 1.0})  # divided by 1, a loss is a sum
        numbers = _count(batch.prompts)
        right = float(found[TOKEN_ACCURACY]) * numbers[SUPERVISED]
        return {LOSS: (float(found[LOSS].detach()), numbers[self.loss_settings.item]), TOKEN_ACCURACY: (right, numbers[SUPERVISED])}

    def forward(self, batch: Any, mode: Mode = "loss", *, num_items_in_batch: Mapping[str, float] | None = None) -> dict[str, Any]:
        """Loss, accuracy and counts of a batch (`mode` "loss" is the only one)."""
        try:
            logits = self.model(batch).logits
        except QuestionsError as error:
            raise ConfigError(str(error)) from error
        prompts, tokens = batch.prompts, batch.prompts.supervised
        weighting = {"weights": tokens.weights, "num_samples": prompts.num_samples, "settings": self.loss_settings}
        counts: dict[str, Any] = {"num_samples": prompts.num_samples, "num_tokens": prompts.num_tokens}
        if self.data.faults.skips:
            counts[NUM_REPLACED] = len(batch.faults)
        return {
            LOSS: answer_loss(logits, tokens.targets, **weighting, num_items_in_batch=num_items_in_batch),
            TOKEN_ACCURACY: token_accuracy(logits, tokens.targets),
            **counts,
        }


def _count(prompts: PromptBatch) -> dict[str, float]:
    return {SAMPLES: float(prompts.num_samples), SUPERVISED: float(len(prompts.supervised.targets))}
