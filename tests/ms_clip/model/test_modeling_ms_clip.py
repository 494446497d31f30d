"""The model: vectors of length 1, chunks that change nothing, dense features, and that their kinds are what they say."""

from typing import Any

import pytest
import torch

from ms_clip.model.configuration_ms_clip import MsClipConfig
from ms_clip.model.modeling_ms_clip import MsClipModel

TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def model() -> MsClipModel:
    torch.manual_seed(0)
    vision = {**TOWER, "patch_size": 8, "image_size": 32, "num_channels": 5}
    text = {**TOWER, "vocab_size": 50, "max_position_embeddings": 12, "eos_token_id": 49, "bos_token_id": 48, "pad_token_id": 49}
    return MsClipModel(MsClipConfig(text, vision, projection_dim=16))


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.randn(5, 5, 32, 32)


@pytest.fixture
def tokens() -> torch.Tensor:
    return torch.cat([torch.full((5, 1), 48), torch.randint(0, 48, (5, 6)), torch.full((5, 1), 49)], dim=1)


def test_vectors_have_length_one_unless_asked(model: MsClipModel, pixels: torch.Tensor, tokens: torch.Tensor) -> None:
    for vectors in (model.encode_image(pixels), model.encode_text(tokens)):
        torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(5))
    assert not torch.allclose(model.encode_image(pixels, normalize=False).norm(dim=-1), torch.ones(5))


@pytest.mark.parametrize("with_patches", [False, True])
def test_chunks_change_neither_loss_nor_gradient(
    model: MsClipModel, pixels: torch.Tensor, tokens: torch.Tensor, with_patches: bool
) -> None:
    found = []
    for chunk_size in (None, 2, 1):
        model.zero_grad()
        output = model(tokens, pixels, return_loss=True, chunk_size=chunk_size, with_patches=with_patches)
        assert output.loss is not None
        loss = output.loss + (output.patch_embeds[:, :, 0].sum() if with_patches else 0)
        loss.backward()
        found.append([loss.detach(), *(parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None)])
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-6, atol=1e-5)


def test_a_later_text_of_a_batch_changes_nothing_and_neither_does_padding(model: MsClipModel, tokens: torch.Tensor) -> None:
    padded = torch.cat([tokens, torch.full((5, 3), 49)], dim=1)
    mask = torch.cat([torch.ones(5, 8), torch.zeros(5, 3)], dim=1).long()
    torch.testing.assert_close(model.encode_text(padded, mask), model.encode_text(tokens))


def test_dense_features_are_one_vector_a_patch(model: MsClipModel, pixels: torch.Tensor) -> None:
    for kind in ("plain", "value"):
        dense = model.dense_features(pixels, kind=kind)
        assert dense.shape == (5, 4, 4, 16)
        torch.testing.assert_close(dense.norm(dim=-1), torch.ones(5, 4, 4))
    wide = model.dense_features(torch.randn(1, 5, 32, 48), interpolate=True)
    assert wide.shape == (1, 4, 6, 16)
    with pytest.raises(ValueError, match="choices: plain, value"):
        model.dense_features(pixels, kind="query")


def test_plain_dense_features_are_the_patches_of_the_last_layer(model: MsClipModel, pixels: torch.Tensor) -> None:
    output = model(None, pixels, with_patches=True)
    assert output.patch_embeds is not None
    torch.testing.assert_close(model.dense_features(pixels, kind="plain").flatten(1, 2), output.patch_embeds)
    torch.testing.assert_close(output.image_embeds, model.encode_image(pixels))


def test_values_attend_to_values_without_residual_and_mlp(model: MsClipModel, pixels: torch.Tensor) -> None:
    tower: Any = model.vision_model
    states = tower.encoder.layers[0](tower.pre_layrnorm(tower.embeddings(pixels)), None)
    layer = tower.encoder.layers[1]
    values = layer.self_attn.v_proj(layer.layer_norm1(states)).view(5, 17, 2, 16).transpose(1, 2)
    weights = (values @ values.transpose(-1, -2) / 4).softmax(-1)
    mixed = layer.self_attn.out_proj((weights @ values).transpose(1, 2).flatten(2))
    expected = model.visual_projection(tower.post_layernorm(mixed[:, 1:]))
    expected = expected / expected.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(model.dense_features(pixels).flatten(1, 2), expected)
