"""Training of an Aerith model: the stages of captions and of instructions; what they train is a matter of the config."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch.utils.data import DataLoader

from aerith.building import tokenizer as _tokenizer  # noqa: F401  (registers the tokenizers)
from aerith.building.models import build_model, build_processor
from aerith.datasets import captions, class_maps, lhrs, prompts  # noqa: F401  (registers data sets and transforms)
from aerith.datasets.preparation import IMAGES, Collator, SamplePreparer
from aerith.losses import SUPERVISED, LossSettings, text_loss
from aerith.model.batching import Batch
from aerith.model.processor_options import ProcessorOptions
from aerith.pretrained import check_sources
from aerith.stages import alignment as _alignment  # noqa: F401  (registers the stage)
from aerith.stages import towers as _towers  # noqa: F401  (registers the stage)
from eocore.config import read_options
from eocore.data import registered as _registered  # noqa: F401  (registers the core's datasets and transforms)
from eocore.data.loading.error_policy import NUM_REPLACED
from eocore.data.loading.held_out import HeldOut, HeldOutBatches
from eocore.data.loading.shard import Shard
from eocore.errors import ConfigError
from eocore.models.config_record import describe_config
from eocore.models.vocabulary import tokenizer_digest
from eocore.portable.packed_attention import QuestionsError, use_packed_attention
from eocore.registry import TASKS, TOKENIZERS
from eocore.resolve import Resolved, resolve, resolve_instance
from eocore.train.options import DataOptions, ModelOptions, TrainabilityOptions
from eocore.train.task import Mode, Task
from eocore.train.trainability import LayerParts, choose_trainable, prepare_layers, resolved_lora
from eocore.train.training_data import PackRules, TrainingData

TOKEN_ACCURACY = "token_accuracy"


@dataclass(frozen=True, kw_only=True)
class AerithOptions(ModelOptions, DataOptions, TrainabilityOptions):
    """Config section `task`: the shared groups. `model` holds fields of `AerithConfig` and `parts`, `losses` fields of `LossSettings`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.packing is not None:
            raise ConfigError("task.packing is not for this model: an image has as many tokens as any other. Set task.row_length instead.")
        if self.trainable_tokens:
            raise ConfigError("task.trainable_tokens is not for this model: it adds no token. Leave it out.")


@TASKS.register_module()
class AerithTask(Task):
    """Model + losses + data.

    Args:
        **options: fields of `AerithOptions`.

    Raises:
        ConfigError: an option is unknown, missing or wrong, or does not fit another.
    """

    options_class: ClassVar[type] = AerithOptions

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = read_options(AerithOptions, options, name="task")
        self.data = TrainingData(self.options, IMAGES)
        self.loss_settings = read_options(LossSettings, self.options.losses or {}, name="losses")
        words = TOKENIZERS.build(self.options.tokenizer)
        self.model = build_model(self.options.model, words)
        self.processor = build_processor(self.options.processor, words, config=self.model.config)
        language_model, towers = self.model.language_model, self.model.vision.towers
        use_packed_attention(language_model)
        choose_trainable(self.model, self.options, adapted=language_model)
        check_sources(self.model, self.options.model.get("parts") or {})
        encoders = (towers.clip, towers.dinov3)
        parts = LayerParts(language_model=language_model, encoders=encoders, compiled=(language_model, *encoders))
        self.checkpointing = prepare_layers(parts, self.options)
        self.train()  # now that it is known which towers are frozen

    def identity(self) -> dict[str, str]:
        """The vocabulary; see `Task.identity`."""
        return {"vocabulary": str(self.model.config.vocabulary)}

    def resolved(self) -> dict[str, Resolved]:
        """What the model, its processor and the sections of options came to; see `Task.resolved`."""
        config = self.model.config
        return {
            "model": describe_config(config, leave_out=("vocabulary",)),
            "attention": resolve({"language_model": config.text_config._attn_implementation}),
            "tokenizer": resolve({"sha256": tokenizer_digest(self.processor.tokenizer)}),
            "processor": resolve(self.processor.options.__dict__, ProcessorOptions),
            "losses": resolve_instance(self.loss_settings),
            "lora": resolved_lora(self.options),
            **self.data.resolved(),
        }

    def build_loader(self, *, rank: int, world_size: int, seed: int, start_step: int) -> DataLoader:
        """This rank's batches; see `Task.build_loader`."""
        return self.data.build_loader(
            Shard(rank=rank, world_size=world_size, seed=seed, start_step=start_step),
            prepare=SamplePreparer(self.processor, max_length=self.data.max_length),
            collate=self._collator(),
            rules=self._no_packs,
        )

    def build_held_out(self, wanted: HeldOut) -> HeldOutBatches:
        """Batches of held-out data; see `Task.build_held_out`."""
        prepare = SamplePreparer(self.processor, max_length=self.data.max_length)
        return self.data.build_held_out(wanted, prepare=prepare, collate=self._collator(), rules=self._no_packs)

    def _collator(self) -> Collator:
        return Collator(processor=self.processor, row_length=self.data.row_length)

    @staticmethod
    def _no_packs() -> PackRules:
        raise ConfigError("task.packing is not for this model. Set task.row_length instead.")

    def count_items(self, batch: Batch) -> Mapping[str, float]:
        """Supervised tokens, where the loss is their mean over the whole update; see `Task.count_items`."""
        return {SUPERVISED: len(batch.prompts.supervised.targets)} if self.loss_settings.text_mean == "tokens" else {}

    def loss_sums(self, batch: Batch) -> dict[str, tuple[float, float]]:
        """Sums over samples, or over supervised tokens where the loss is their mean; see `Task.loss_sums`."""
        count = float(len(batch.prompts.supervised.targets))
        number = count if self.loss_settings.text_mean == "tokens" else float(batch.prompts.num_samples)
        found = self(batch)
        loss, right = (float(found[name].detach()) for name in ("loss_text", TOKEN_ACCURACY))
        return {"loss_text": (loss * number, number), TOKEN_ACCURACY: (right * count, count)}

    def forward(self, batch: Batch, mode: Mode = "loss", *, num_items_in_batch: Mapping[str, float] | None = None) -> dict[str, Any]:
        """Loss, accuracy and counts of a batch (`mode` "loss" is the only one)."""
        try:
            logits = self.model(batch).logits
        except QuestionsError as error:
            raise ConfigError(str(error)) from error
        assert logits is not None
        right = (logits.detach().argmax(-1) == batch.prompts.supervised.targets).float()
        counts: dict[str, Any] = {"num_samples": batch.prompts.num_samples, "num_tokens": batch.prompts.num_tokens}
        if self.data.faults.skips:
            counts[NUM_REPLACED] = len(batch.faults)
        loss = text_loss(logits, batch, settings=self.loss_settings, num_items_in_batch=num_items_in_batch)
        return {"loss_text": loss, TOKEN_ACCURACY: right.mean() if len(right) else right.sum(), **counts}
