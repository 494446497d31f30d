"""Aerith: CLIP and DINOv3 on one image, their tokens summed and read by learned queries, in the text of a causal language model."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers.utils.generic import ModelOutput

from eocore.portable.image_language_model import ImageLanguageModel
from eocore.portable.normalisation import normalise
from eocore.portable.running_batch import ReadPrompts

from .batching import Batch, Images
from .configuration_aerith import AerithConfig
from .vision_aerith import VisionEncoder


@dataclass
class AerithOutput(ModelOutput):
    """What the model returns for a batch.

    Attributes:
        logits: (M, V) of the supervised tokens.
        image_tokens: (N, Q, D) embeddings of the images.
    """

    logits: Tensor | None = None
    image_tokens: Tensor | None = None


class AerithForConditionalGeneration(ImageLanguageModel):
    """The model that trains, answers and ships: encode_images -> embed (into the text) -> read (language model)."""

    config_class = AerithConfig
    _no_split_modules = ["CLIPEncoderLayer", "DINOv3ViTLayer"]  # noqa: RUF012 (read by transformers)

    def __init__(self, config: AerithConfig) -> None:
        super().__init__(config)
        self.vision = VisionEncoder(config.vision_sizes, config.pooler_sizes)
        self.post_init()

    def encode_images(self, images: Images) -> Tensor:
        """(N, Q, D) embeddings of the images."""
        config, weight = self.config, next(self.vision.parameters())
        clip = normalise(images.clip.to(weight.device), config.clip_mean, std=config.clip_std)
        dinov3 = normalise(images.dinov3.to(weight.device), config.dinov3_mean, std=config.dinov3_std)
        tokens: Tensor = self.vision(clip.to(weight.dtype), dinov3.to(weight.dtype))
        return tokens

    def forward(self, batch: Batch) -> AerithOutput:
        """Logits where tokens are supervised.

        Args:
            batch: of the processor's `collate`, on the model's device, not padded in front.

        Raises:
            ValueError: placeholders and images do not agree, or the attention cannot keep independent questions apart.
        """
        images, prompts = batch.images, batch.prompts
        tokens = self.encode_images(images) if len(images.clip) else None
        shown = None if images.is_dummy else tokens
        embeddings = self.embed(prompts.input_ids, prompts.placeholders, tokens=shown)
        if images.is_dummy and tokens is not None:
            embeddings = embeddings + 0.0 * tokens.sum().to(embeddings.dtype)  # every rank runs the parts that train
        return AerithOutput(logits=self.read(embeddings, prompts), image_tokens=tokens)

    def generate_for(self, batch: Batch, **options: Any) -> Tensor:
        """(R, L) ids that answer the prompts of a batch that is padded in front, without the prompts; see `generate`."""
        prompts = batch.prompts
        images = batch.images if len(batch.images.clip) else None
        made: Tensor = self.generate(prompts.input_ids, prompts.attention_mask, placeholders=prompts.placeholders, images=images, **options)
        return made[:, prompts.input_ids.shape[1] :]

    def read_for(self, batch: Batch) -> ReadPrompts:
        """The prompts of a batch that is padded in front, read; see `read_rows`."""
        return self.read_rows(batch.prompts, batch.images if len(batch.images.clip) else None)
