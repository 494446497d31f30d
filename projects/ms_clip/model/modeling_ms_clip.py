"""The model: CLIP's two towers, the vision tower with as many channels as there are bands."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers.models.clip.modeling_clip import CLIPModel
from transformers.utils.generic import ModelOutput

from .configuration_ms_clip import MsClipConfig

DENSE_KINDS = ("plain", "value")


@dataclass
class MsClipOutput(ModelOutput):
    """What `MsClipModel` returns; N images, M texts, width D, P patches.

    Attributes:
        loss: symmetric InfoNCE of the N pairs, where it was asked for.
        logits_per_image: (N, M) scaled cosines.
        logits_per_text: (M, N), the same turned.
        image_embeds: (N, D) of length 1.
        text_embeds: (M, D) of length 1.
        patch_embeds: (N, P, D) of length 1, where they were asked for.
        logit_scale: (1,) what cosines are multiplied with.
        logit_bias: (1,) what is added then, None where the model has none.
    """

    loss: Tensor | None = None
    logits_per_image: Tensor | None = None
    logits_per_text: Tensor | None = None
    image_embeds: Tensor | None = None
    text_embeds: Tensor | None = None
    patch_embeds: Tensor | None = None
    logit_scale: Tensor | None = None
    logit_bias: Tensor | None = None


class MsClipModel(CLIPModel):
    """CLIP for images of any number of bands.

    Pixels arrive normalised, see `MsClipProcessor`. `encode_image` and `encode_text` return vectors of length 1, `dense_features` one of
    each patch.
    """

    config_class = MsClipConfig

    def __init__(self, config: MsClipConfig) -> None:
        super().__init__(config)
        bias = config.logit_bias_init_value
        # of one dimension, where transformers has none: DeepSpeed broadcasts no parameter without
        self.logit_scale = nn.Parameter(torch.full((1,), float(config.logit_scale_init_value)))
        self.logit_bias = None if bias is None else nn.Parameter(torch.full((1,), float(bias)))

    def encode_image(self, pixel_values: Tensor, *, normalize: bool = True) -> Tensor:
        """(N, D) vectors of (N, C, S, S) normalised pixels; of length 1, in float32, unless `normalize` is False."""
        pooled = self.vision_model(pixel_values=pixel_values).pooler_output
        return _unit(self.visual_projection(pooled)) if normalize else self.visual_projection(pooled)

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor | None = None, *, normalize: bool = True) -> Tensor:
        """(M, D) vectors of (M, T) token ids; of length 1, in float32, unless `normalize` is False."""
        pooled = self.text_model(input_ids=input_ids, attention_mask=attention_mask).pooler_output
        return _unit(self.text_projection(pooled)) if normalize else self.text_projection(pooled)

    def dense_features(self, pixel_values: Tensor, *, kind: str = "value", interpolate: bool = False) -> Tensor:
        """(N, rows, columns, D) vectors of length 1, one for each patch.

        Args:
            pixel_values: (N, C, H, W) normalised pixels.
            kind: "plain": what the last layer makes of each patch. "value": the last layer's attention compares values with values, and its
                residual and MLP are left out, so that a patch speaks of itself rather than of the whole image. Source: Lan et al. 2024,
                ClearCLIP (arXiv 2407.12442); Li et al. 2023, CLIP Surgery (arXiv 2304.05653) for values compared with values.
            interpolate: take images of another size than the model's, by interpolating its position embeddings.

        Raises:
            ValueError: another kind.
        """
        if kind not in DENSE_KINDS:
            raise ValueError(f"dense features of kind '{kind}' are unknown; choices: {', '.join(DENSE_KINDS)}.")
        patch = self.config.vision_config.patch_size
        rows, columns = pixel_values.shape[-2] // patch, pixel_values.shape[-1] // patch
        states = self._states_before_last(pixel_values, interpolate=interpolate)
        last = self.vision_model.encoder.layers[-1]
        states = last(states, None) if kind == "plain" else _value_attention(last, states)
        return self._project_patches(states).unflatten(1, (rows, columns))

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        *,
        attention_mask: Tensor | None = None,
        return_loss: bool = False,
        with_patches: bool = False,
        chunk_size: int | None = None,
        **ignored: Any,
    ) -> MsClipOutput:
        """Vectors of images and texts, and their scaled cosines; either may be left out.

        Args:
            input_ids: (M, T) token ids.
            pixel_values: (N, C, S, S) normalised pixels.
            attention_mask: (M, T), 0 at padding.
            return_loss: symmetric InfoNCE of the pairs of this batch.
            with_patches: `patch_embeds` too.
            chunk_size: so many images, and texts, go through a tower at a time, and their activations are computed again in backward: the
                memory is that of one chunk, the gradient that of the whole batch. Source: Gao et al. 2021, GradCache (arXiv 2101.06983).
            **ignored: arguments of transformers' CLIP that choose the form of outputs.
        """
        images, patches = (None, None) if pixel_values is None else self._encode_images(pixel_values, chunk_size, with_patches=with_patches)
        texts = None if input_ids is None else _in_chunks(self.encode_text, (input_ids, attention_mask), size=chunk_size)
        scale = self.logit_scale.float().exp()
        output = MsClipOutput(image_embeds=images, text_embeds=texts, patch_embeds=patches, logit_scale=scale)
        if self.logit_bias is not None:
            output.logit_bias = self.logit_bias.float() * 1.0  # no leaf: under ZeRO-3 the parameter itself is gone after this forward
        if images is not None and texts is not None:
            logits = scale * images @ texts.T + (0.0 if output.logit_bias is None else output.logit_bias)
            output.logits_per_image, output.logits_per_text = logits, logits.T
            output.loss = _pair_loss(logits) if return_loss else None
        return output

    def _encode_images(self, pixels: Tensor, chunk_size: int | None, *, with_patches: bool) -> tuple[Tensor, Tensor | None]:
        if not with_patches:
            return _in_chunks(self.encode_image, (pixels,), size=chunk_size), None
        both = _in_chunks(self._image_and_patches, (pixels,), size=chunk_size)
        return both[:, 0], both[:, 1:]

    def _image_and_patches(self, pixels: Tensor) -> Tensor:
        """(N, 1 + P, D): the image's vector, then those of its patches."""
        output = self.vision_model(pixel_values=pixels)
        image = _unit(self.visual_projection(output.pooler_output))
        return torch.cat([image[:, None], self._project_patches(output.last_hidden_state)], dim=1)

    def _project_patches(self, states: Tensor) -> Tensor:
        return _unit(self.visual_projection(self.vision_model.post_layernorm(states[:, 1:])))

    def _states_before_last(self, pixels: Tensor, *, interpolate: bool) -> Tensor:
        tower = self.vision_model
        states = tower.pre_layrnorm(tower.embeddings(pixels, interpolate_pos_encoding=interpolate))
        for layer in tower.encoder.layers[:-1]:
            states = layer(states, None)
        return states


def _unit(vectors: Tensor) -> Tensor:
    """Of length 1, in float32: bfloat16 would round cosines to steps of 0.004, and the scale multiplies them by up to 100."""
    return functional.normalize(vectors.float(), dim=-1)


def _value_attention(layer: Any, states: Tensor) -> Tensor:
    """(N, T, W): the layer's attention of values to values, without residual and MLP."""
    attention = layer.self_attn
    values = attention.v_proj(layer.layer_norm1(states))
    heads = values.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
    mixed = functional.scaled_dot_product_attention(heads, heads, heads, scale=attention.scale)
    return attention.out_proj(mixed.transpose(1, 2).flatten(2))


def _in_chunks(encode: Callable[..., Tensor], inputs: tuple[Tensor | None, ...], *, size: int | None) -> Tensor:
    """What `encode` makes of the inputs, `size` rows at a time, each chunk computed again in backward."""
    total = next(len(value) for value in inputs if value is not None)
    if size is None or not torch.is_grad_enabled():
        return encode(*inputs)
    starts = range(0, total, size)
    pieces = [tuple(None if value is None else value[start : start + size] for value in inputs) for start in starts]
    return torch.cat([checkpoint(encode, *piece, use_reentrant=False) for piece in pieces])


def _pair_loss(logits: Tensor) -> Tensor:
    """Mean of the cross-entropies of both directions; pair n is image n and text n."""
    pairs = torch.arange(len(logits), device=logits.device)
    return (functional.cross_entropy(logits.float(), pairs) + functional.cross_entropy(logits.T.float(), pairs)) / 2
