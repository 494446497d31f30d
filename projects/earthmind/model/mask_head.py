"""Masks from [SEG] states: a projector makes a prompt of each state, SAM 2 decodes it."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import AutoModel, Sam2Model

from eocore.portable.normalisation import normalise

from .configuration_earthmind import SAM3_TRACKER, EarthMindConfig

LEVELS = 3
"""Of the features that masks are decoded from."""
NOT_A_POINT = -1
"""Label of a point that carries no location in SAM 2's prompt encoder."""


class PredictedMasks(NamedTuple):
    """Masks of K prompts.

    Attributes:
        candidates: (K, M, h, w) logits of SAM 2's M candidate masks.
        iou_scores: (K, M) IoU that SAM 2 predicts for each.
        chosen: (K, h, w) logits of the candidate with the highest predicted IoU.
    """

    candidates: Tensor
    iou_scores: Tensor
    chosen: Tensor


class _NoPositions(nn.Module):
    """Stands for the neck's positions of every pixel of every level and image, which masks of single images do not use."""

    def forward(self, _shape: torch.Size, *where: Any) -> Tensor:
        device, dtype = where[:2]
        return torch.zeros(0, device=device, dtype=dtype)


class SegHead(nn.Module):
    """[SEG] projector and SAM 2, or SAM 3's tracker, whose prompt encoder and mask decoder are built alike.

    The prompt of an object is SAM 2's two "not a point" tokens followed by the projected [SEG] state, as in the upstream model.
    """

    def __init__(self, config: EarthMindConfig) -> None:
        super().__init__()
        width, prompt_width = config.text_config.hidden_size, config.sam_config.prompt_encoder_config.hidden_size
        self.projector = nn.Sequential(nn.Linear(width, width), nn.ReLU(inplace=True), nn.Linear(width, prompt_width))
        tracks = config.sam_config.model_type == SAM3_TRACKER
        self.sam = AutoModel.from_config(config.sam_config) if tracks else Sam2Model._from_config(config.sam_config)
        self.sam.vision_encoder.neck.position_encoding = _NoPositions()
        self.gate = nn.Conv2d(config.sam_config.vision_config.fpn_hidden_size, 1, 1) if config.grounding_fusion == "gated" else None
        self.mean, self.std = list(config.grounding_mean), list(config.grounding_std)

    def project_seg(self, states: Tensor) -> Tensor:
        """Prompts (K, P) of [SEG] states (K, D)."""
        return self.projector(states)

    def encode(self, images: Tensor) -> list[Tensor]:
        """SAM 2 features of grounding images (G, 3, S, S) uint8, finest level first: [(G, C_l, h_l, w_l), ...]."""
        pixels = normalise(images, self.mean, std=self.std)
        return self._levels(
            list(self.sam.vision_encoder(pixels.to(self.sam.no_memory_embedding.dtype), return_dict=True).fpn_hidden_states)
        )

    def dummy_features(self, num_images: int) -> list[Tensor]:
        """Features of nothing, one position large on the coarsest level: the mask decoder runs on them as on real ones, in a moment.

        Autograd meets the same parameters in the same order, which is all that ranks without masks owe to those with some.
        """
        width, like = self.sam.hidden_dim, self.sam.no_memory_embedding
        coarse = self.sam.backbone_feature_sizes[-1]
        sizes = [(size[0] // coarse[0], size[1] // coarse[1]) for size in self.sam.backbone_feature_sizes]
        return self._levels([like.new_zeros(num_images, width, *size) for size in sizes])

    def _levels(self, maps: list[Tensor]) -> list[Tensor]:
        decoder = self.sam.mask_decoder
        # SAM 3's neck makes a fourth, coarser level, which masks do not use; transformers adds the embedding to the last level there is
        coarse = maps[2] + self.sam.no_memory_embedding.view(1, -1, 1, 1) if len(maps) == LEVELS else maps[2]
        return [decoder.conv_s0(maps[0]), decoder.conv_s1(maps[1]), coarse]

    def combine(self, features: list[Tensor], owner: Tensor, *, num_samples: int) -> list[Tensor]:
        """One set of features a sample from those of its grounding images.

        Args:
            features: levels of (G, C_l, h_l, w_l).
            owner: (G,) sample of each grounding image, counted over the samples that have masks.
            num_samples: number of such samples.

        Returns:
            levels of (num_samples, C_l, h_l, w_l): for "first" the image itself, for "gated" a per-location softmax mix.
        """
        if self.gate is None:
            if owner.shape[0] != num_samples:
                raise ValueError(
                    f"{owner.shape[0]} grounding images for {num_samples} samples, but grounding_fusion='first' takes one a sample; "
                    "set the processor's grounding to 'first' or the model's grounding_fusion to 'gated'."
                )
            return features
        score = self.gate(features[-1]).float()  # a softmax, so float32 whatever the weights are in
        # the largest score of each sample's own images, so that a softmax never divides 0 by 0
        index = owner.view(-1, 1, 1, 1).expand_as(score)
        peak = score.new_full((num_samples, *score.shape[1:]), -torch.inf).scatter_reduce(0, index, score.detach(), "amax")
        unnormalised = torch.exp(score - peak[owner])
        total = unnormalised.new_zeros((num_samples, *unnormalised.shape[1:])).index_add(0, owner, unnormalised)
        fraction = unnormalised / total[owner]
        mixed = []
        for level in features:
            weight = nn.functional.interpolate(fraction, size=level.shape[-2:], mode="bilinear", align_corners=False)
            mixed.append(level.new_zeros((num_samples, *level.shape[1:])).index_add(0, owner, level * weight.to(level.dtype)))
        return mixed

    def decode_masks(self, prompts: Tensor, features: list[Tensor], *, sample: Tensor, slot: Tensor, num_slots: int) -> PredictedMasks:
        """Masks of all prompts, each image's objects decoded as one batch.

        Args:
            prompts: (K, P).
            features: from `combine`, for B samples.
            sample: (K,) sample of each prompt, below B.
            slot: (K,) number of the prompt within its sample, below `num_slots`.
            num_slots: most prompts any sample has.
        """
        batch, width = features[-1].shape[0], prompts.shape[-1]
        slots = prompts.new_zeros(batch * num_slots, width).index_copy(0, sample * num_slots + slot, prompts)
        # coordinates, which SAM 2 encodes in float32
        points = torch.zeros(batch, num_slots, 1, 2, device=prompts.device)
        labels = torch.full((batch, num_slots, 1), NOT_A_POINT, dtype=torch.int32, device=prompts.device)
        sparse, dense = self.sam.prompt_encoder(input_points=points, input_labels=labels, input_boxes=None, input_masks=None)
        sparse = torch.cat([sparse.to(prompts.dtype), slots.view(batch, num_slots, 1, width)], dim=2)
        # the whole of them, but for dummy features; made in float32 and rounded for the decoder, which adds them to its weights' precision
        height, columns = features[-1].shape[-2:]
        positions = self.sam.get_image_wide_positional_embeddings()[..., :height, :columns].to(prompts.dtype).repeat(batch, 1, 1, 1)
        masks, scores, _, _ = self.sam.mask_decoder(
            image_embeddings=features[-1],
            image_positional_embeddings=positions,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense[..., :height, :columns],
            multimask_output=True,
            high_resolution_features=features[:-1],
        )
        masks, scores = masks[sample, slot], scores[sample, slot]
        chosen = masks[torch.arange(masks.shape[0], device=masks.device), scores.argmax(-1)]
        return PredictedMasks(masks, scores, chosen)
