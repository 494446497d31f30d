"""Training of EarthFM: model, loss and data, built from a config."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from earthfm.building import tokenizer as _tokenizer  # noqa: F401  (registers the tokenizers)
from earthfm.building.models import build_model, build_processor
from earthfm.datasets import chatearthnet as _chatearthnet  # noqa: F401  (registers the data set)
from earthfm.datasets import land_cover as _land_cover  # noqa: F401  (registers the data set)
from earthfm.datasets.preparation import CHOICES, Collator, SamplePreparer
from earthfm.stages import encoder_task as _encoder_task  # noqa: F401  (registers the encoder's own training)
from eocore.config import read_options
from eocore.data import registered as _registered  # noqa: F401  (registers the core's datasets and transforms)
from eocore.data.dataset import ImageRules
from eocore.errors import ConfigError
from eocore.portable.packed_attention import use_packed_attention
from eocore.registry import TASKS, TOKENIZERS
from eocore.train.text_task import ImageTextOptions, ImageTextTask
from eocore.train.trainability import LayerParts, choose_trainable, prepare_layers
from eocore.train.training_data import TrainingData


@dataclass(frozen=True, kw_only=True)
class EarthFmOptions(ImageTextOptions):
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


@TASKS.register_module()
class EarthFmTask(ImageTextTask):
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
        self.loss_settings = self.read_losses()
        self.model = build_model(self.options.model, words)
        self.processor = build_processor(self.options.processor, words, config=self.model.config)
        self.data = TrainingData(self.options, ImageRules(roles=self.processor.options.roles, tokens=self.model.config.num_queries))
        language_model = self.model.language_model
        use_packed_attention(language_model)
        choose_trainable(self.model, self.options, adapted=language_model)
        self.checkpointing = prepare_layers(LayerParts(language_model=language_model, compiled=(language_model,)), self.options)

    def identity(self) -> dict[str, str]:
        """The vocabulary and the encoder that the training began with; see `Task.identity`."""
        return {"vocabulary": str(self.model.config.vocabulary), "encoder": str(self.model.config.encoder_source)}

    def preparer(self) -> SamplePreparer:
        """See `ImageTextTask`."""
        return SamplePreparer(self.processor, max_length=self.max_length, choice=self.options.captions)

    def collator(self) -> Collator:
        """See `ImageTextTask`."""
        return Collator(processor=self.processor, row_length=self.data.row_length)
