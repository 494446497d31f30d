"""Training of a multispectral CLIP: model, losses and data, built from a config."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch.utils.data import DataLoader

from eocore.config import read_options
from eocore.data import registered as _registered  # noqa: F401  (registers the core's datasets and transforms)
from eocore.data.dataset import ImageRules
from eocore.data.loading.error_policy import NUM_REPLACED
from eocore.data.loading.held_out import HeldOut, HeldOutBatches
from eocore.data.loading.shard import Shard
from eocore.errors import ConfigError
from eocore.models.config_record import describe_config
from eocore.models.vocabulary import tokenizer_digest
from eocore.registry import TASKS, TOKENIZERS
from eocore.resolve import Resolved, resolve, resolve_instance
from eocore.train.options import DataOptions, ModelOptions, TrainabilityOptions
from eocore.train.task import Mode, Task
from eocore.train.trainability import LayerParts, choose_trainable, prepare_layers, resolved_lora
from eocore.train.training_data import TrainingData, no_packs
from ms_clip.building import tokenizer as _tokenizer  # noqa: F401  (registers the tokenizers)
from ms_clip.building.models import build_model, build_processor, processor_options
from ms_clip.datasets.preparation import CHOICES, Batch, Collator, SamplePreparer
from ms_clip.losses import TEMPERATURE, LossSettings, compute_losses
from ms_clip.model.modeling_ms_clip import MsClipOutput
from ms_clip.model.processor_options import ProcessorOptions


@dataclass(frozen=True, kw_only=True)
class MsClipOptions(ModelOptions, DataOptions, TrainabilityOptions):
    """Config section `task`: the shared groups, and what pairs are made of. `model` holds fields of `MsClipConfig`.

    Attributes:
        captions: of several captions of a sample: "draw" one each time, or the "first".
        gradient_cache: so many images, and texts, go through the model at a time, the loss being that of the whole batch; None = all. It
            goes with gradient_checkpointing "none" or "full": the others would keep their share of every part.
    """

    uncompared: ClassVar[Mapping[str, str]] = {"gradient_cache": "what is computed again comes out the same"}
    option_kinds: ClassVar[Mapping[str, str]] = {"captions": "data"}
    captions: str = "draw"
    gradient_cache: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.captions not in CHOICES:
            raise ConfigError(f"task.captions='{self.captions}' is unknown; choices: {', '.join(CHOICES)}.")
        if self.gradient_cache is not None and self.gradient_cache < 1:
            raise ConfigError(f"task.gradient_cache={self.gradient_cache}, expected a number of samples of at least 1, or None.")
        if self.packing is not None or self.row_length is not None:
            raise ConfigError("task.packing and task.row_length pack texts into rows, which pairs of images and texts have none of.")


@TASKS.register_module()
class MsClipTask(Task):
    """Model + losses + data.

    Args:
        **options: fields of `MsClipOptions`.

    Raises:
        ConfigError: an option is unknown, missing or wrong, or does not fit another.
    """

    options_class: ClassVar[type] = MsClipOptions

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = read_options(MsClipOptions, options, name="task")
        words = TOKENIZERS.build(self.options.tokenizer)
        chosen = processor_options(self.options.processor)
        self.loss_settings = read_options(LossSettings, self.options.losses or {}, name="losses")
        self.model = build_model(self.options.model, words, processor=chosen)
        self._check_bias()
        self.processor = build_processor(chosen, words)
        self.data = TrainingData(self.options, ImageRules(roles=chosen.roles))
        choose_trainable(self.model, self.options, adapted=self.model)
        towers = (self.model.text_model, self.model.vision_model)
        prepare_layers(LayerParts(language_model=towers[0], encoders=towers[1:], compiled=towers), self.options)

    def _check_bias(self) -> None:
        """Raise ConfigError if the loss needs a bias that the model does not have, or the reverse."""
        has_bias = self.model.logit_bias is not None
        if has_bias != (self.loss_settings.kind == "sigmoid"):
            raise ConfigError(
                "losses.kind='sigmoid' and a bias of the model belong together. Set model.logit_bias_init_value=-10.0 and "
                "model.logit_scale_init_value=2.3026 (SigLIP) for it, and leave both out for 'softmax'."
            )

    def identity(self) -> dict[str, str]:
        """The vocabulary and the channels; see `Task.identity`."""
        return {"vocabulary": str(self.model.config.vocabulary), "channels": ", ".join(self.processor.options.channels)}

    def resolved(self) -> dict[str, Resolved]:
        """What the model, its processor and the sections of options came to; see `Task.resolved`."""
        return {
            "model": describe_config(self.model.config, leave_out=("vocabulary",)),
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
            prepare=SamplePreparer(self.processor, choice=self.options.captions),
            collate=Collator(self.processor),
            rules=no_packs,
        )

    def build_held_out(self, wanted: HeldOut) -> HeldOutBatches:
        """Batches of held-out data; see `Task.build_held_out`."""
        return self.data.build_held_out(
            wanted,
            prepare=SamplePreparer(self.processor, choice=self.options.captions),
            collate=Collator(self.processor),
            rules=no_packs,
        )

    def loss_sums(self, batch: Batch) -> dict[str, tuple[float, float]]:
        """Sums over samples; each batch is compared with itself alone, so that the number of ranks does not matter."""
        number = float(len(batch.sample_ids))
        found = compute_losses(self._embed(batch), batch.keys, settings=self.loss_settings, alone=True)
        return {name: (float(value) * number, number) for name, value in found.items() if name != TEMPERATURE}

    def forward(self, batch: Batch, mode: Mode = "loss", *, num_items_in_batch: Mapping[str, float] | None = None) -> dict[str, Any]:
        """Losses, accuracies and counts of a batch of the global batch (`mode` "loss" is the only one)."""
        output = self._embed(batch)
        counts: dict[str, Any] = {"num_samples": len(batch.sample_ids)}
        if self.data.faults.skips:
            counts[NUM_REPLACED] = len(batch.faults)
        return compute_losses(output, batch.keys, settings=self.loss_settings) | counts

    def _embed(self, batch: Batch) -> MsClipOutput:
        output: MsClipOutput = self.model(
            batch.input_ids,
            batch.pixel_values,
            attention_mask=batch.attention_mask,
            with_patches=bool(self.loss_settings.patch_alignment),
            chunk_size=self.options.gradient_cache,
        )
        return output
