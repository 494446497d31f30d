"""The model computes what the upstream code computes: a tiny checkpoint in the upstream layout, with the outputs of that code.

It gets into our layout through tools/import_weights.py, as any checkpoint does. The numbers in ../shared/reference_model were made with
the upstream EarthMind code, torch 2.3.1, transformers 4.42.3, float32, eager.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from earthmind.losses import LossSettings, alignment_loss, attention_loss, pair_weights
from earthmind.model.mask_head import PredictedMasks
from earthmind.model.modeling_earthmind import EarthMindForConditionalGeneration
from earthmind.model.seg_attention import SegAttention
from earthmind.model.sensor_fusion import FusedTokens
from eocore.losses.mask import dice_loss, mask_losses
from eocore.losses.text import token_cross_entropy
from eocore.portable.image_tiling import tile_grid
from eocore.portable.row_packing import VisionInputs

Model = EarthMindForConditionalGeneration
Golden = dict[str, Tensor]

TOLERANCE = 1e-4
"""Absolute, on outputs of order 1 (README of the reference model)."""


@pytest.fixture(scope="module")
def folder(shared_dir: Path) -> Path:
    place = shared_dir / "reference_model"
    if not place.is_dir():
        pytest.skip("needs ../shared/reference_model, which is not there")
    return place


@pytest.fixture(scope="module")
def golden(folder: Path) -> Golden:
    return load_file(folder / "golden.safetensors")


@pytest.fixture(scope="module")
def model(folder: Path, import_model: Callable[..., Model]) -> Model:
    """The reference model in our layout, made by the public command."""
    return import_model(folder)


def assert_close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found.reshape(expected.shape), expected, atol=TOLERANCE, rtol=0)


def read(model: Model, input_ids: Tensor, tokens: Tensor, vision_index: Tensor) -> Tensor:
    """Last hidden states (1, L, D) of one sample, through the steps a batch takes."""
    places = (input_ids.flatten() == model.config.image_token_id).nonzero().flatten()
    none = torch.zeros(0)
    vision = VisionInputs(none, none, none, placeholder_index=places, vision_index=vision_index)
    embeddings = model.merge_embeddings(input_ids, vision, tokens=tokens)
    return model.decode(embeddings, torch.arange(input_ids.shape[1])[None])


def text_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over the scored tokens, each predicted by the place before it."""
    scored = (labels[0, 1:] >= 0).nonzero().flatten()
    return token_cross_entropy(logits[0, scored], labels[0, 1:][scored], weights=torch.full((len(scored),), 1 / len(scored)))


def seg_places(model: Model, golden: Golden) -> Tensor:
    return (golden["single.input_ids"][0] == model.config.seg_token_id).nonzero().flatten()


def draw(model: Model, golden: Golden) -> PredictedMasks:
    features = model.seg_head.encode(golden["sam.image_uint8"])
    prompts = golden["single.seg_embeds"]
    count = len(prompts)
    sample, slot = torch.zeros(count, dtype=torch.long), torch.arange(count)
    return model.seg_head.decode_masks(prompts, features, sample=sample, slot=slot, num_slots=count)


def as_tiles(model: Model, pixels: Tensor) -> Tensor:
    """What normalisation makes `pixels` of."""
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (model.config.pixel_mean, model.config.pixel_std))
    return (pixels * std + mean) * 255.0


class TestOneImage:
    """Three tiles of one image, two [SEG] in the answer."""

    def test_vision_tokens(self, model: Model, golden: Golden) -> None:
        assert_close(model.encode_pixels(golden["single.pixel_values"]), golden["single.vit_embeds"])

    def test_normalisation_undoes_to_the_same_tokens(self, model: Model, golden: Golden) -> None:
        tiles = as_tiles(model, golden["single.pixel_values"])
        torch.testing.assert_close(model.encode(tiles), golden["single.vit_embeds"], atol=TOLERANCE, rtol=0)

    def test_states_logits_loss_and_prompts(self, model: Model, golden: Golden) -> None:
        tokens = model.encode_pixels(golden["single.pixel_values"])
        hidden = read(model, golden["single.input_ids"], tokens, torch.arange(tokens.shape[0] * tokens.shape[1]))
        logits = model.get_output_embeddings()(hidden)
        assert_close(hidden, golden["single.last_hidden"])
        assert_close(logits, golden["single.logits"])
        assert_close(text_loss(logits, golden["single.labels"]), golden["single.llm_loss"])
        assert_close(model.seg_head.project_seg(hidden[0, seg_places(model, golden)]), golden["single.seg_embeds"])

    def test_forward_gives_the_same_logits_and_loss(self, model: Model, golden: Golden) -> None:
        places = (golden["single.input_ids"].flatten() == model.config.image_token_id).nonzero().flatten()
        tiles = as_tiles(model, golden["single.pixel_values"])
        vision = VisionInputs(tiles, torch.arange(3).expand(2, 3), torch.zeros(3, dtype=torch.long), places, torch.arange(len(places)))
        outputs = model(golden["single.input_ids"], golden["single.attention_mask"], vision=vision, labels=golden["single.labels"])
        assert_close(outputs.logits, golden["single.logits"])
        assert_close(outputs.loss, golden["single.llm_loss"])

    def test_attention_of_the_seg_rows_and_its_loss(self, model: Model, golden: Golden) -> None:
        tokens = model.encode_pixels(golden["single.pixel_values"])
        seg, length = seg_places(model, golden), golden["single.input_ids"].shape[1]
        with SegAttention(model.language_model.get_decoder()) as attention:
            read(model, golden["single.input_ids"], tokens, torch.arange(tokens.shape[0] * tokens.shape[1]))
        rows = attention.rows(seg, [(0, length)], counts=[len(seg)])
        image = (golden["single.input_ids"][0] == model.config.image_token_id).nonzero().flatten()
        assert_close(rows[:, image], golden["attn.seg_to_image"])
        last_tile = image[-tokens.shape[1] :].expand(len(seg), -1)
        losses = attention_loss(rows, last_tile, masks=golden["loss.gt_masks"], grid=model.config.tile_grid)
        assert_close(losses.mean(), golden["loss.attn_kl_last_tile"])


class TestMasks:
    """SAM 2 with two [SEG] prompts on one image."""

    def test_features(self, model: Model, golden: Golden) -> None:
        fine, middle, coarse = model.seg_head.encode(golden["sam.image_uint8"])
        assert_close(fine, golden["sam.fpn0"])
        assert_close(middle, golden["sam.fpn1"])
        without_memory = model.seg_head.sam.no_memory_embedding.view(1, -1, 1, 1)
        assert_close(coarse - without_memory, golden["sam.fpn2"])

    def test_candidates_scores_and_choice(self, model: Model, golden: Golden) -> None:
        drawn = draw(model, golden)
        assert_close(drawn.candidates, golden["sam.low_res_multimasks"])
        assert_close(drawn.iou_scores, golden["sam.ious"])
        assert_close(drawn.chosen, golden["sam.low_res_masks"])

    def test_masks_at_image_size(self, model: Model, golden: Golden) -> None:
        size = golden["sam.high_res_masks"].shape[-2:]
        scaled = functional.interpolate(draw(model, golden).chosen[:, None], size=size, mode="bilinear", align_corners=False)
        assert_close(scaled, golden["sam.high_res_masks"])

    def test_losses_over_all_pixels(self, model: Model, golden: Golden) -> None:
        """The published tiny losses read every pixel; our sampler does too when it is handed the pixel centres."""
        chosen = draw(model, golden).chosen
        height, width = chosen.shape[-2:]
        truth = functional.interpolate(golden["loss.gt_masks"][:, None].float(), size=(height, width), mode="nearest")[:, 0]
        y, x = torch.meshgrid((torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width, indexing="ij")
        centres = torch.stack([x, y], dim=-1).reshape(1, -1, 2).expand(len(chosen), -1, -1)
        mask, dice = mask_losses(chosen, truth, points=centres)
        weights = LossSettings()
        assert_close(weights.mask * mask.mean(), golden["loss.mask_ce"])
        assert_close(weights.dice * dice.mean(), golden["loss.dice"])
        assert_close(weights.dice * dice_loss(chosen.flatten(1), truth.flatten(1)).mean(), golden["loss.dice"])


class TestPair:
    """Two SAR tiles and two RGB tiles of the same places."""

    @pytest.fixture
    def fused(self, model: Model, golden: Golden) -> FusedTokens:
        """Fusion of the tiles in the published order: SAR, RGB of the first place, then of the second."""
        pixels = torch.stack([golden["pair.sar_pixel_values"], golden["pair.rgb_pixel_values"]], dim=1).flatten(0, 1)
        return model.fusion(model.encode_pixels(pixels), torch.tensor([[0, 0, 1, 1], [0, 1, 2, 3]]))

    def test_tokens_before_fusion(self, fused: FusedTokens, golden: Golden) -> None:
        assert_close(fused.before[0::2], golden["pair.sar_tokens"])
        assert_close(fused.before[1::2], golden["pair.rgb_tokens"])

    def test_importance_and_fused_tokens(self, fused: FusedTokens, golden: Golden) -> None:
        assert_close(fused.importance[0::2], golden["pair.sar_importance"])
        assert_close(fused.importance[1::2], golden["pair.rgb_importance"])
        assert_close(fused.tokens, golden["pair.fused_tokens"])

    def test_alignment(self, fused: FusedTokens, golden: Golden) -> None:
        loss = alignment_loss(fused, LossSettings(), tile_weight=pair_weights(torch.zeros(4, dtype=torch.long), 1))
        assert_close(loss, golden["pair.align_mse"])

    def test_logits_and_loss(self, model: Model, fused: FusedTokens, golden: Golden) -> None:
        hidden = read(model, golden["pair.input_ids"], fused.tokens, torch.arange(fused.tokens.shape[0] * fused.tokens.shape[1]))
        logits = model.get_output_embeddings()(hidden)
        assert_close(hidden, golden["pair.last_hidden"])
        assert_close(logits, golden["pair.logits"])
        assert_close(text_loss(logits, golden["pair.labels"]), golden["pair.llm_loss"])


def test_regions(model: Model, golden: Golden) -> None:
    """The tokens inside each region mask stand in the text a second time."""
    tokens = model.encode_pixels(golden["region.pixel_values"])
    index = torch.arange(tokens.shape[0] * tokens.shape[1]).view(tokens.shape[:2])
    inside = [index[-1][region.flatten() > 0] for region in golden["region.prompt_masks"]]
    hidden = read(model, golden["region.input_ids"], tokens, torch.cat([index.flatten(), *inside]))
    logits = model.get_output_embeddings()(hidden)
    assert_close(logits, golden["region.logits"])
    assert_close(text_loss(logits, golden["region.labels"]), golden["region.llm_loss"])


def test_tiling_table(folder: Path) -> None:
    table = json.loads((folder / "tiling.json").read_text())
    assert len(table) >= 12
    for entry in table:
        rows, columns = tile_grid(entry["height"], entry["width"], tile_size=448)
        count = rows * columns + (rows * columns > 1)
        assert (columns, rows, count) == (entry["columns"], entry["rows"], entry["tiles_with_thumbnail"]), entry
