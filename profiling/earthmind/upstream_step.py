"""The upstream training step's structure on our weights, from plain torch and transformers calls: what our step is measured against.

Each waste of the upstream step is kept: attention maps of every layer, for which attention is computed eagerly in the
language model and the vision tower; states of all layers; logits of all positions in float32, moved by one; the SAM 2 encoder on a black
image and five objects for samples without masks; the [SEG] projector at every position; SAM 2's features copied for every object, masks
upsampled to the image; the vision tower a third time for pairs of sensors; all layers recomputed in backward; LoRA as peft computes it;
pixels normalised to float32 in the batch. What cannot be seen from there is left out: the cost of its data pipeline, and DeepSpeed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from earthmind.losses import attention_loss
from earthmind.model.batching import Batch
from earthmind.model.mask_head import NOT_A_POINT
from earthmind.task import EarthMindTask
from eocore.losses.mask import mask_losses
from eocore.models.lora_layer import LoraLinear, PeftLinear
from eocore.portable.normalisation import normalise

IGNORE = -100
OBJECTS = 5
"""Objects of every sample in the upstream code; samples without masks get as many dummy ones."""


class UpstreamStep:
    """Upstream's forward pass on the weights of a task. Entering switches the model's attention and recomputation, leaving undoes that.

    Args:
        task: of one sensor or of pairs, fp32, masks drawn on one image a sample.
    """

    def __init__(self, task: EarthMindTask) -> None:
        self.task, self.model = task, task.model

    @contextmanager
    def switched(self) -> Iterator[None]:
        """Within it, the model computes attention eagerly, recomputes every layer and adapts linear layers as peft does."""
        parts: list[Any] = [self.model.language_model, self.model.vision_tower]
        kernels = [part.config._attn_implementation for part in parts]
        layers: list[Any] = [layer for layer in self.model.modules() if isinstance(layer, GradientCheckpointingLayer)]
        before = [(layer.gradient_checkpointing, getattr(layer, "_gradient_checkpointing_func", None)) for layer in layers]
        for part in parts:
            part.set_attn_implementation("eager")
        for layer in layers:
            layer.gradient_checkpointing, layer._gradient_checkpointing_func = True, partial(checkpoint, use_reentrant=False)
        adapted: list[Any] = [layer for layer in self.model.modules() if isinstance(layer, LoraLinear)]
        for layer in adapted:
            layer.forward = partial(PeftLinear.forward, layer)
        try:
            yield
        finally:
            for part, kernel in zip(parts, kernels, strict=True):
                part.set_attn_implementation(kernel)
            for layer, (state, function) in zip(layers, before, strict=True):
                layer.gradient_checkpointing, layer._gradient_checkpointing_func = state, function
            for layer in adapted:
                del layer.forward

    def loss(self, batch: Batch) -> Tensor:
        """The sum of the losses of a batch of one sample; call it, and backward, within `switched`.

        Args:
            batch: of one sample, from the task's collator.
        """
        model, vision = self.model, batch.vision
        assert vision is not None, "every kind of sample has an image"
        pixels = normalise(vision.tiles, model.config.pixel_mean, std=model.config.pixel_std)
        embeddings = model.merge_embeddings(batch.input_ids, vision, tokens=self._encode_images(pixels, vision.tile_group))
        outputs = model.language_model.get_decoder()(
            inputs_embeds=embeddings,
            position_ids=batch.position_ids,
            use_cache=False,
            output_attentions=True,
            output_hidden_states=True,
        )
        states = outputs.hidden_states[-1]
        logits = model.get_output_embeddings()(states).float()
        shifted, labels = logits[..., :-1, :].contiguous(), batch.labels[..., 1:].contiguous()
        text = functional.cross_entropy(shifted.view(-1, shifted.shape[-1]), labels.view(-1), ignore_index=IGNORE)
        prompts = model.seg_head.project_seg(states.flatten(0, 1))
        return text + self._masks(prompts, outputs.attentions, batch=batch)

    def _encode_images(self, pixels: Tensor, tile_group: Tensor) -> Tensor:
        """Fused tokens (T, N, D); a call for each sensor of a pair, and one more of which only the shape is read."""
        model = self.model
        if not _is_pair(tile_group):
            return model.fusion(model.encode_pixels(pixels), tile_group).tokens
        # within a position the tiles of the two sensors stand in turn
        first, second = model.encode_pixels(pixels[0::2]), model.encode_pixels(pixels[1::2])
        model.vision_tower(pixel_values=pixels[0::2], return_dict=True)
        fused = model.fusion(torch.stack([first, second], dim=1).flatten(0, 1), tile_group)
        return fused.tokens + 0.0 * (fused.before - fused.others).square().mean()

    def _masks(self, prompts: Tensor, attentions: tuple[Tensor, ...], *, batch: Batch) -> Tensor:
        """Losses of five objects; of dummy ones, times zero, where the sample has no mask."""
        model, size = self.model, self.model.config.sam_config.prompt_encoder_config.image_size
        grounding, segments = batch.grounding, batch.segments
        if grounding is None or segments is None or segments.is_dummy or segments.masks is None:
            images, masks = prompts.new_zeros(1, 3, size, size), prompts.new_zeros(OBJECTS, size, size)
            positions, segments = torch.zeros(OBJECTS, dtype=torch.long, device=prompts.device), None
        else:
            images, masks, positions = grounding.images, segments.masks, segments.positions
        drawn = self._draw(prompts[positions], images)
        points = torch.rand(len(drawn), self.task.loss_settings.num_points, 2, device=drawn.device)
        mask, dice = mask_losses(drawn, masks, points=points)
        losses = self.task.loss_settings.mask * mask.mean() + self.task.loss_settings.dice * dice.mean()
        if segments is None:
            return 0.0 * losses
        rows = attentions[-1].mean(1)[0, positions]
        spread = attention_loss(rows, segments.columns, masks=masks, grid=model.config.tile_grid)
        return losses + self.task.loss_settings.attention * spread.mean()

    def _draw(self, prompts: Tensor, images: Tensor) -> Tensor:
        """(K, h, w) mask logits: the features are copied for each object, and all candidates upsampled to the image."""
        head, count = self.model.seg_head, len(prompts)
        features = [level.expand(count, -1, -1, -1).flatten(0, 0).contiguous() for level in head.encode(images)]
        labels = torch.full((count, 1, 1), NOT_A_POINT, dtype=torch.int32, device=prompts.device)
        sparse, dense = head.sam.prompt_encoder(
            input_points=prompts.new_zeros(count, 1, 1, 2), input_labels=labels, input_boxes=None, input_masks=None
        )
        masks, scores, _, _ = head.sam.mask_decoder(
            image_embeddings=features[-1],
            image_positional_embeddings=head.sam.get_image_wide_positional_embeddings().repeat(count, 1, 1, 1),
            sparse_prompt_embeddings=torch.cat([sparse, prompts[:, None, None]], dim=2),
            dense_prompt_embeddings=dense,
            multimask_output=True,
            high_resolution_features=features[:-1],
        )
        # nothing reads them
        functional.interpolate(masks[:, 0].float(), size=images.shape[-2:], mode="bilinear", align_corners=False)
        return masks[torch.arange(count, device=masks.device), 0, scores[:, 0].argmax(-1)]


def _is_pair(tile_group: Tensor) -> bool:
    """True where two sensors show the same locations."""
    return bool(tile_group[1].max() > tile_group[0].max())
