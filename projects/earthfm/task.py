"""Training of EarthFM: model, loss and data, built from a config."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch.utils.data import DataLoader

from earthfm.building import tokenizer as _tokenizer  # noqa: F401  (registers the tokenizers)
from earthfm.building.models import build_model, build_processor
from earthfm.datasets import chatearthnet as _chatearthnet  # noqa: F401  (registers the data set)
from earthfm.datasets import land_cover as _land_cover  # noqa: F401  (registers the data set)
from earthfm.datasets.preparation import CHOICES, Collator, SamplePreparer
from earthfm.losses import SAMPLES, SUPERVISED, LossSettings, compute_losses, count_items, token_accuracy
from earthfm.model.batching import Batch
from earthfm.model.processor_options import ProcessorOptions
from earthfm.stages import encoder_task as _encoder_task  # noqa: F401  (registers the encoder's own training)
from eocore.config import read_options
from eocore.data import registered as _registered  # noqa: F401  (registers the core's datasets and transforms)
from eocore.data.dataset import ImageRules
from eocore.data.loading.error_policy import NUM_REPLACED
from eocore.data.loading.held_out import HeldOut, HeldOutBatches
from eocore.data.loading.shard import Shard
from eocore.errors import ConfigError
from eocore.models.config_record import describe_config
from eocore.models.vocabulary import tokenizer_digest
from eocore.portable.packed_attention import QuestionsError, use_packed_attention
from eocore.portable.position_limit import num_positions
from eocore.registry import TASKS, TOKENIZERS
from eocore.resolve import Resolved, resolve, resolve_instance
from eocore.train.options import DataOptions, ModelOptions, TrainabilityOptions
from eocore.train.task import Mode, Task
from eocore.train.trainability import LayerParts, choose_trainable, prepare_layers, resolved_lora
from eocore.train.training_data import PackRules, TrainingData

ACCURACY = "token_accuracy"


@dataclass(frozen=True, kw_only=True)
class EarthFmOptions(ModelOptions, DataOptions, TrainabilityOptions):
    """Config section `task`: the shared groups, and what captions are made of. `model`: see `earthfm.building.models.build_model`.

    Attributes:
        captions: of several captions of a sample: "draw" one each time, or the "first".
    """

    uncompared: ClassVar[Mapping[str, str]] = {}
    option_kinds: ClassVar[Mapping[str, str]] = {"captions": "data"}
    captions: str = "draw"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.captions not in CHOICES:
            raise ConfigError(f"task.captions='{self.captions}' is unknown; choices: {', '.join(CHOICES)}.")
        if self.packing is not None:
            raise ConfigError("task.packing deals samples by measured costs, which EarthFM has none of. Use row_length to fill rows.")
        if self.trainable_tokens:
            raise ConfigError("task.trainable_tokens names rows of added tokens; EarthFM adds none. Leave it out.")


@TASKS.register_module()
class EarthFmTask(Task):
    """Model + loss + data.

    Args:
        **options: fields of `EarthFmOptions`.

    Raises:
        ConfigError: an option is unknown, missing or wrong, or does not fit another.
    """

    options_class: ClassVar[type] = EarthFmOptions

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = read_options(EarthFmOptions, options, name="task")
        words = TOKENIZERS.build(self.options.tokenizer)
        self.loss_settings = read_options(LossSettings, self.options.losses or {}, name="losses")
        self.model = build_model(self.options.model, words)
        self.processor = build_processor(self.options.processor, words, config=self.model.config)
        self.data = TrainingData(self.options, ImageRules(roles=self.processor.options.roles, tokens=self.model.config.num_queries))
        language_model = self.model.language_model
        use_packed_attention(language_model)
        choose_trainable(self.model, self.options, adapted=language_model)
        self.checkpointing = prepare_layers(LayerParts(language_model=language_model, compiled=(language_model,)), self.options)

    @property
    def max_length(self) -> int:
        """Most tokens of a sample, its image's among them."""
        positions = num_positions(self.model.config.text_config)
        return self.data.max_length if positions is None else min(self.data.max_length, positions)

    def identity(self) -> dict[str, str]:
        """The vocabulary and the encoder that the training began with; see `Task.identity`."""
        return {"vocabulary": str(self.model.config.vocabulary), "encoder": str(self.model.config.encoder_source)}

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
            prepare=self._preparer(),
            collate=self._collator(),
            rules=self._no_packs,
        )

    def build_held_out(self, wanted: HeldOut) -> HeldOutBatches:
        """Batches of held-out data; see `Task.build_held_out`."""
        return self.data.build_held_out(wanted, prepare=self._preparer(), collate=self._collator(), rules=self._no_packs)

    def _preparer(self) -> SamplePreparer:
        return SamplePreparer(self.processor, max_length=self.max_length, choice=self.options.captions)

    def _collator(self) -> Collator:
        return Collator(processor=self.processor, row_length=self.data.row_length, full_rows=self.data.full_rows)

    @staticmethod
    def _no_packs() -> PackRules:
        raise ConfigError("samples are not dealt to packs; leave task.packing out.")

    def count_items(self, batch: Batch) -> Mapping[str, int]:
        """Samples and supervised tokens, where the loss is a mean over the whole update; see `Task.count_items`."""
        return count_items(batch) if self.loss_settings.text_mean == "tokens" else {}

    def loss_sums(self, batch: Batch) -> dict[str, tuple[float, float]]:
        """Sums over samples, or over supervised tokens where the loss is their mean; see `Task.loss_sums`."""
        output = self.model(batch)
        # divided by 1, losses are sums
        found = compute_losses(output, batch, settings=self.loss_settings, num_items_in_batch={SAMPLES: 1.0, SUPERVISED: 1.0})
        numbers = {name: float(number) for name, number in count_items(batch).items()}
        over = SUPERVISED if self.loss_settings.text_mean == "tokens" else SAMPLES
        right = float(token_accuracy(output, batch)) * numbers[SUPERVISED]
        return {**{name: (float(value.detach()), numbers[over]) for name, value in found.items()}, ACCURACY: (right, numbers[SUPERVISED])}

    def forward(self, batch: Batch, mode: Mode = "loss", *, num_items_in_batch: Mapping[str, float] | None = None) -> dict[str, Any]:
        """Losses and counts of a batch (`mode` "loss" is the only one)."""
        try:
            output = self.model(batch)
        except QuestionsError as error:
            raise ConfigError(str(error)) from error
        losses = compute_losses(output, batch, settings=self.loss_settings, num_items_in_batch=num_items_in_batch)
        counts: dict[str, Any] = {"num_samples": batch.prompt.num_samples, "num_tokens": batch.prompt.num_tokens}
        if self.data.faults.skips:
            counts[NUM_REPLACED] = len(batch.faults)
        return losses | counts | {ACCURACY: token_accuracy(output, batch)}
