"""Training of an EarthMind model: model, losses and data, built from a config."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, cast

from torch import Tensor
from torch.utils.data import DataLoader

from earthmind.building import tokenizer as _tokenizer  # noqa: F401  (registers the tokenizers)
from earthmind.building.compression import check_compression
from earthmind.building.models import build_model, build_processor
from earthmind.datasets import mcq, multispectral, paired  # noqa: F401  (registers the datasets)
from earthmind.datasets.collator import TrainingCollator
from earthmind.datasets.preparation import IMAGES, SamplePreparer
from earthmind.datasets.sizes import SampleMeasurer, processor_fields
from earthmind.losses import SAMPLES, SUPERVISED, LossSettings, compute_losses, count_items, weighted
from earthmind.model.batching import Batch
from earthmind.model.modeling_earthmind import EarthMindOutput
from earthmind.model.processor_options import ProcessorOptions
from earthmind.planning.cost_model import sample_cost
from earthmind.pretrained import check_new_parts
from eocore.config import read_options
from eocore.data import registered as _registered  # noqa: F401  (registers the core's datasets and transforms)
from eocore.data.dataset import PreparedDataset
from eocore.data.loading.error_policy import NUM_REPLACED
from eocore.data.loading.held_out import HeldOut, HeldOutBatches
from eocore.data.loading.shard import Shard
from eocore.errors import ConfigError
from eocore.log import get_logger
from eocore.models.config_record import describe_config
from eocore.models.vocabulary import describe_long_names, token_ids, tokenizer_digest
from eocore.portable.packed_attention import QuestionsError, use_packed_attention
from eocore.portable.position_limit import num_positions
from eocore.registry import TASKS, TOKENIZERS
from eocore.resolve import Resolved, resolve, resolve_instance
from eocore.train.options import DataOptions, ModelOptions, TrainabilityOptions, VisionCacheOptions
from eocore.train.task import LOSS_PREFIX, Mode, Task
from eocore.train.trainability import LayerParts, choose_trainable, prepare_layers, resolved_lora
from eocore.train.training_data import PackRules, TrainingData
from eocore.train.vision_cache import VisionCache

TOKEN_ACCURACY = "token_accuracy"


@dataclass(frozen=True, kw_only=True)
class EarthMindOptions(ModelOptions, DataOptions, TrainabilityOptions, VisionCacheOptions):
    """Config section `task`: the shared groups. `model` holds fields of `EarthMindConfig`, `losses` of `LossSettings`."""


@TASKS.register_module()
class EarthMindTask(Task):
    """Model + losses + data.

    Args:
        **options: fields of `EarthMindOptions`.

    Raises:
        ConfigError: an option is unknown, missing or wrong, or does not fit another.
    """

    options_class: ClassVar[type] = EarthMindOptions

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = read_options(EarthMindOptions, options, name="task")
        self.data = TrainingData(self.options, IMAGES)
        words = TOKENIZERS.build(self.options.tokenizer)
        self.model = build_model(self.options.model, words)
        self.positions = num_positions(self.model.config.text_config)
        self._check_positions(is_stated="max_length" in options)
        # upstream's second release, whose fusion it is, has no alignment of the sensors' tokens
        own = {"alignment": 0.0} if self.model.config.fuses_sensors else {}
        self.loss_settings = read_options(LossSettings, {**own, **(self.options.losses or {})}, name="losses")
        check_compression(self.model, self.loss_settings, options=self.options)
        self.processor = build_processor(self.options.processor, words, config=self.model.config)
        language_model, tower = self.model.language_model, self.model.vision_tower
        use_packed_attention(language_model)
        rows = token_ids(words, self.options.trainable_tokens)
        choose_trainable(self.model, self.options, adapted=language_model, token_ids=rows)
        if "pretrained" in self.options.model:
            check_new_parts(self.model, Path(self.options.model["pretrained"]), tokenizer=words)
        parts = LayerParts(
            language_model=language_model,
            encoders=(tower, self.model.seg_head.sam.vision_encoder),
            compiled=(language_model, tower),
        )
        self.checkpointing = prepare_layers(parts, self.options)
        self.vision_cache = None if self.options.vision_cache is None else self._build_vision_cache(self.options.vision_cache)

    def _check_positions(self, *, is_stated: bool) -> None:
        """Raise ConfigError if the config asks for longer samples than the language model has positions for."""
        longest = self.data.max_length
        if is_stated and self.positions is not None and longest > self.positions:
            raise ConfigError(
                f"task.max_length is {longest}, but the language model has positions for {self.positions} tokens; further ones mean "
                f"nothing to it. Set max_length to at most {self.positions}, or take a model of more positions."
            )

    @property
    def max_length(self) -> int:
        """Most tokens of a sample."""
        return self.data.max_length if self.positions is None else min(self.data.max_length, self.positions)

    def _build_vision_cache(self, options: Mapping[str, Any]) -> VisionCache:
        config = self.model.config
        return VisionCache(
            self.model.vision_tower,
            options,
            compute=self.model.patch_states,
            preparation=lambda: f"{config.pixel_mean} {config.pixel_std}",
        )

    def identity(self) -> dict[str, str]:
        """The vocabulary; see `Task.identity`."""
        return {"vocabulary": str(self.model.config.vocabulary)}

    def resolved(self) -> dict[str, Resolved]:
        """What the model, its processor and the sections of options came to; see `Task.resolved`."""
        config = self.model.config
        parts = {"language_model": config.text_config, "vision_tower": config.vision_config}
        return {
            "model": describe_config(config, leave_out=("vocabulary",)),
            "attention": resolve({name: part._attn_implementation for name, part in parts.items()}),
            "tokenizer": resolve({"sha256": tokenizer_digest(self.processor.tokenizer)}),
            "processor": resolve(processor_fields(self.processor), ProcessorOptions),
            "losses": resolve_instance(self.loss_settings),
            "lora": resolved_lora(self.options),
            **self.data.resolved(),
        }

    def collator(self, *, row_length: int | None = None, full_rows: bool = False) -> TrainingCollator:
        """What makes training batches for this task, by default of one sample a row."""
        return TrainingCollator(
            processor=self.processor,
            config=self.model.config,
            row_length=row_length,
            full_rows=full_rows,
            with_keys=self.vision_cache is not None,
        )

    def build_loader(self, *, rank: int, world_size: int, seed: int, start_step: int) -> DataLoader:
        """This rank's batches; see `Task.build_loader`."""
        loader = self.data.build_loader(
            Shard(rank=rank, world_size=world_size, seed=seed, start_step=start_step),
            prepare=SamplePreparer(self.processor, max_length=self.max_length),
            collate=self.collator(row_length=self.data.row_length, full_rows=self.data.full_rows),
            rules=self.pack_rules,
        )
        if rank == 0:
            self._tell_long_names(cast(PreparedDataset, loader.dataset))
        return loader

    def build_held_out(self, wanted: HeldOut) -> HeldOutBatches:
        """Batches of held-out data; see `Task.build_held_out`. The vision cache stays that of the training."""
        return self.data.build_held_out(
            wanted,
            prepare=SamplePreparer(self.processor, max_length=self.data.max_length),
            collate=replace(self.collator(row_length=self.data.row_length, full_rows=self.data.full_rows), with_keys=False),
            rules=self.pack_rules,
        )

    def _tell_long_names(self, data: PreparedDataset) -> None:
        """Warns once of class names that the tokenizer spells in many pieces."""
        records = [record for leaf in data.dataset.leaves() for record in leaf.records]
        phrases = (item.text for record in records for item in record.expressions)
        labels = (label for record in records for label in record.labels)
        told = describe_long_names(self.processor.tokenizer, itertools.chain(phrases, labels))
        if told:
            get_logger().warning("%s", told)

    def pack_rules(self) -> PackRules:
        """By which samples are dealt to packs."""
        return PackRules(
            measurer=SampleMeasurer(self.processor, max_length=self.max_length),
            cost=sample_cost(self.model, recomputed=self.checkpointing == "full"),
        )

    def count_items(self, batch: Batch) -> Mapping[str, int]:
        """Samples and supervised tokens, where losses are means over the whole update; see `Task.count_items`."""
        over_update = self.data.packing is not None or self.loss_settings.text_mean == "tokens"
        return count_items(batch) if over_update else {}

    def loss_sums(self, batch: Batch) -> dict[str, tuple[float, float]]:
        """Sums over samples, or over supervised tokens where the text loss is their mean; see `Task.loss_sums`."""
        found = self(batch, num_items_in_batch={SAMPLES: 1.0, SUPERVISED: 1.0})  # divided by 1, losses are sums
        numbers = count_items(batch)
        text = SUPERVISED if self.loss_settings.text_mean == "tokens" else SAMPLES
        sums = {
            name: (float(value), float(numbers[text if name == f"{LOSS_PREFIX}text" else SAMPLES]))
            for name, value in found.items()
            if name.startswith(LOSS_PREFIX)
        }
        right = float(found[TOKEN_ACCURACY]) * numbers[SUPERVISED]
        return {**sums, TOKEN_ACCURACY: (right, float(numbers[SUPERVISED]))}

    def forward(self, batch: Batch, mode: Mode = "loss", *, num_items_in_batch: Mapping[str, float] | None = None) -> dict[str, Any]:
        """Losses and counts of a batch (`mode` "loss" is the only one; answers come from `EarthMindForConditionalGeneration.answer`)."""
        try:
            output = self.model(batch=batch, patch_states=self._kept_states(batch))
        except QuestionsError as error:
            raise ConfigError(str(error)) from error
        grid = self.model.config.tile_grid
        losses = compute_losses(output, batch, settings=self.loss_settings, grid=grid, num_items_in_batch=num_items_in_batch)
        return {**weighted(losses, self.loss_settings), **self._metrics(output, batch)}

    def _kept_states(self, batch: Batch) -> Tensor | None:
        """What the vision tower makes of the batch's tiles, where they have keys to the cache."""
        vision = batch.vision
        if self.vision_cache is None or vision is None or vision.keys is None:
            return None
        return self.vision_cache.states(vision.tiles, vision.keys)

    def _metrics(self, output: EarthMindOutput, batch: Batch) -> dict[str, Any]:
        segments = batch.segments
        metrics: dict[str, Any] = {
            "num_samples": batch.num_samples,
            "num_tokens": batch.num_tokens,
            "num_masks": 0 if segments is None or segments.is_dummy else sum(segments.counts),
        }
        if self.data.faults.skips:
            metrics[NUM_REPLACED] = len(batch.faults)
        if self.vision_cache is not None:
            metrics["vision_cached"] = self.vision_cache.fraction_found
        assert output.logits is not None
        right = (output.logits.detach().argmax(-1) == batch.supervised.targets).float()
        return metrics | {TOKEN_ACCURACY: right.mean() if len(right) else right.sum()}
