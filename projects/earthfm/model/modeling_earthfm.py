"""EarthFM: OlmoEarth's encoder, queries that read its tokens, and a causal language model that is told them."""

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers.utils import ModelOutput

from eocore.portable.image_language_model import ImageLanguageModel
from eocore.portable.query_connector import QueryConnector

from .batching import Batch
from .configuration_earthfm import EarthFmConfig
from .olmoearth import OlmoEarthEncoder, reset_band_indices
from .sensor_inputs import SensorInputs


@dataclass
class EarthFmOutput(ModelOutput):
    """What the model returns for a batch.

    Attributes:
        logits: (M, V) of the supervised tokens.
        image_tokens: (B, Q, D) what the language model is told of the images.
    """

    logits: Tensor | None = None
    image_tokens: Tensor | None = None


class EarthFmForConditionalGeneration(ImageLanguageModel):
    """The model that trains, answers and ships.

    Args:
        config: of its parts.
    """

    config_class = EarthFmConfig

    def __init__(self, config: EarthFmConfig) -> None:
        super().__init__(config)
        self.encoder = OlmoEarthEncoder(config.encoder_sizes)
        self.connector = QueryConnector(config.connector_sizes)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """The parts begin as their own code makes them; only what no checkpoint holds is made again."""
        reset_band_indices(module)

    @property
    def encoder_is_frozen(self) -> bool:
        """Whether nothing of the encoder trains."""
        return not any(parameter.requires_grad for parameter in self.encoder.parameters())

    def train(self, mode: bool = True) -> Self:
        """As in torch; a frozen encoder leaves out no layers at random."""
        super().train(mode)
        self.encoder.train(mode and not self.encoder_is_frozen)
        return self

    def encode_images(self, images: SensorInputs) -> Tensor:
        """(B, Q, D) embeddings of the images of B samples.

        Raises:
            ValueError: a sample has no patch with data.
        """
        frozen = self.encoder_is_frozen
        if frozen:
            self.encoder.eval()  # it may have been frozen after `train` was called
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            tokens, missing = self.encoder(images.to(self.encoder.model.norm.weight.device), self.config.patch_size)
        width = self.connector.input_projection.weight.dtype
        found: Tensor = self.connector(tokens.to(width), missing if self.encoder.has_gaps(missing) else None)
        return found

    def forward(self, batch: Batch) -> EarthFmOutput:
        """Logits of the supervised tokens of a batch, which is on the model's device.

        Raises:
            QuestionsError: the attention cannot keep independent questions apart.
        """
        tokens = self.encode_images(batch.images)
        embeddings = self.embed(batch.prompts.input_ids, batch.prompts.placeholders, tokens=tokens)
        return EarthFmOutput(logits=self.read(embeddings, batch.prompts), image_tokens=tokens)

    @torch.no_grad()
    def answer(self, batch: Batch, processor: Any, *, max_new_tokens: int = 256, **options: Any) -> list[str]:
        """One text for each sample of a batch that is padded in front.

        Args:
            batch: of `processor.collate(..., left_pad=True)`.
            processor: of the model.
            max_new_tokens: longest answer.
            **options: of transformers' `generate`; without them the likeliest token is taken.

        Raises:
            SampleTooLongError: a prompt leaves no position for an answer.
        """
        prompt = batch.prompts
        settings = {"do_sample": False, **processor.stop_settings(), **options, "max_new_tokens": max_new_tokens}
        made = self.generate(prompt.input_ids, prompt.attention_mask, placeholders=prompt.placeholders, images=batch.images, **settings)
        return [processor.decode_answer(row) for row in made[:, prompt.input_ids.shape[1] :].cpu()]
