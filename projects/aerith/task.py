"""Training of an Aerith model: the stages of captions and of instructions; what they train is a matter of the config."""

from dataclasses import dataclass
from typing import Any, ClassVar

from aerith.building import tokenizer as _tokenizer  # noqa: F401  (registers the tokenizers)
from aerith.building.models import build_model, build_processor
from aerith.datasets import captions, class_maps, lhrs, prompts  # noqa: F401  (registers data sets and transforms)
from aerith.datasets.preparation import IMAGES, Collator, SamplePreparer
from aerith.pretrained import check_sources
from aerith.stages import alignment as _alignment  # noqa: F401  (registers the stage)
from aerith.stages import towers as _towers  # noqa: F401  (registers the stage)
from eocore.config import read_options
from eocore.data import registered as _registered  # noqa: F401  (registers the core's datasets and transforms)
from eocore.portable.packed_attention import use_packed_attention
from eocore.registry import TASKS, TOKENIZERS
from eocore.train.text_task import ImageTextOptions, ImageTextTask
from eocore.train.trainability import LayerParts, choose_trainable, prepare_layers
from eocore.train.training_data import TrainingData


@dataclass(frozen=True, kw_only=True)
class AerithOptions(ImageTextOptions):
    """Config section `task`: the shared groups. `model` holds fields of `AerithConfig` and `parts`."""


@TASKS.register_module()
class AerithTask(ImageTextTask):
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
        self.loss_settings = self.read_losses()
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

    def preparer(self) -> SamplePreparer:
        """See `ImageTextTask`."""
        return SamplePreparer(self.processor, max_length=self.max_length)

    def collator(self) -> Collator:
        """See `ImageTextTask`."""
        return Collator(processor=self.processor, row_length=self.data.row_length)
