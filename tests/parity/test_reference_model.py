"""The model computes what the published code computes: a tiny checkpoint in the published layout, with the outputs of that code.

The numbers in ../shared/reference_model were made with the published EarthMind code, torch 2.3.1, transformers 4.42.3, float32, eager.
"""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from earthmind.attention import SegAttention
from earthmind.losses import LossSettings, alignment_loss, attention_loss, pair_weights
from earthmind.model.configuration_earthmind import EarthMindConfig
from earthmind.model.image_tiling import tile_grid
from earthmind.model.modeling_earthmind import EarthMindForConditionalGeneration
from earthmind.model.seg_head import DrawnMasks
from earthmind.model.sensor_fusion import FusedTokens
from eocore.losses.mask import dice_loss, mask_losses
from eocore.losses.text import token_cross_entropy

Model = EarthMindForConditionalGeneration
Golden = dict[str, Tensor]

TOLERANCE = 1e-4
"""Absolute, on outputs of order 1 (README of the reference model)."""
LANGUAGE, VISION, SAM = "language_model.", "vision_model.", "grounding_encoder.sam2_model."
NOT_USED = re.compile(r"mask_downsample|maskmem|memory_|no_mem_pos|no_obj_ptr|obj_ptr_proj|point_embeddings")
"""SAM 2's video memory, which draws on no single image, and the point embeddings, which are stacked apart."""

RENAMED = (
    ("mlp1.0.", "projector.layer_norm."),
    ("mlp1.1.", "projector.linear_1."),
    ("mlp1.3.", "projector.linear_2."),
    ("text_hidden_fcs.", "seg_head.projector."),
    ("local_query", "fusion.queries"),
)
RENAMED_VISION = (
    ("class_embedding", "cls_token"),
    ("position_embedding", "position_embeddings"),
    ("patch_embedding.", "patch_embeddings.projection."),
    ("encoder.layers.", "encoder.layer."),
    ("attn.proj.", "attention.projection_layer."),
    (".norm1.", ".layernorm_before."),
    (".norm2.", ".layernorm_after."),
    (".ls1", ".lambda_1"),
    (".ls2", ".lambda_2"),
)
RENAMED_SAM = (
    ("no_mem_embed", "no_memory_embedding"),
    ("image_encoder.trunk.", "vision_encoder.backbone."),
    ("patch_embed.proj.", "patch_embed.projection."),
    ("image_encoder.neck.", "vision_encoder.neck."),
    (".conv.", "."),
    ("sam_mask_decoder.", "mask_decoder."),
    ("output_upscaling.0", "upscale_conv1"),
    ("output_upscaling.1", "upscale_layer_norm"),
    ("output_upscaling.3", "upscale_conv2"),
    ("sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", "prompt_encoder.shared_embedding.positional_embedding"),
    ("sam_prompt_encoder.mask_downscaling.0", "prompt_encoder.mask_embed.conv1"),
    ("sam_prompt_encoder.mask_downscaling.1", "prompt_encoder.mask_embed.layer_norm1"),
    ("sam_prompt_encoder.mask_downscaling.3", "prompt_encoder.mask_embed.conv2"),
    ("sam_prompt_encoder.mask_downscaling.4", "prompt_encoder.mask_embed.layer_norm2"),
    ("sam_prompt_encoder.mask_downscaling.6", "prompt_encoder.mask_embed.conv3"),
    ("sam_prompt_encoder.", "prompt_encoder."),
    ("norm_final_attn", "layer_norm_final_attn"),
    (".out_proj.", ".o_proj."),
)

FULL_SIZE = {
    "downsample_ratio": 0.5,
    "img_context_token_id": None,
    "seg_token_id": None,
    "vision_config": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "image_size": 448,
        "patch_size": 14,
        "num_channels": 3,
        "layer_norm_eps": 1e-6,
        "qkv_bias": True,
    },
    "llm_config": {
        "hidden_size": 2048,
        "intermediate_size": 11008,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
        "vocab_size": 151679,
        "tie_word_embeddings": False,
    },
    "sam2": {
        "image_size": 1024,
        "d_model": 256,
        "trunk": {
            "embed_dim": 144,
            "num_heads": 2,
            "stages": [2, 6, 36, 4],
            "global_att_blocks": [23, 33, 43],
            "window_pos_embed_bkg_spatial_size": [7, 7],
            "window_spec": [8, 4, 16, 8],
            "backbone_channel_list": [1152, 576, 288, 144],
            "fpn_top_down_levels": [2, 3],
        },
        "mask_decoder": {"mlp_dim": 2048, "num_heads": 8, "depth": 2, "iou_head_hidden_dim": 256, "iou_head_depth": 3},
    },
}
"""EarthMind 4B: InternViT-300M, Qwen2.5-3B, SAM 2 Hiera-L, as their published configs give them."""


def renamed(name: str, pairs: tuple[tuple[str, str], ...]) -> str:
    for old, new in pairs:
        name = name.replace(old, new)
    return name


def sam_name(name: str) -> str:
    """Our name of a SAM 2 weight: perceptrons count their layers 0, 1, (2) there, and are proj_in, layers, proj_out here."""
    name = renamed(name, RENAMED_SAM)
    name = re.sub(r"\.norm(\d)\.", r".layer_norm\1.", name)
    last = 1 if ".mlp." in name else 2
    middle = {0: "proj_in", last: "proj_out"}
    return re.sub(
        r"((?:mlp|mlps\.\d|head)\.)layers\.(\d)", lambda found: found[1] + middle.get(int(found[2]), f"layers.{int(found[2]) - 1}"), name
    )


def our_state(published: dict[str, Tensor]) -> dict[str, Tensor]:
    """The published weights under our names."""
    ours: dict[str, Tensor] = {}
    for name, weight in published.items():
        if name.startswith(LANGUAGE):
            ours[name] = weight
        elif ".attn.qkv." in name and name.startswith(VISION):
            for part, piece in zip("qkv", weight.chunk(3), strict=True):
                ours[f"vision_tower.{renamed(name[len(VISION) :], RENAMED_VISION)}".replace("attn.qkv", f"attention.{part}_proj")] = piece
        elif name.startswith(VISION):
            ours["vision_tower." + renamed(name[len(VISION) :], RENAMED_VISION)] = weight
        elif name.startswith(SAM) and not NOT_USED.search(name):
            ours["seg_head.sam." + sam_name(name[len(SAM) :])] = weight
        elif not name.startswith(SAM):
            ours[renamed(name, RENAMED)] = weight
    points = [published[f"{SAM}sam_prompt_encoder.point_embeddings.{number}.weight"] for number in range(4)]
    ours["seg_head.sam.prompt_encoder.point_embed.weight"] = torch.cat(points)
    ours["seg_head.sam.shared_image_embedding.positional_embedding"] = ours[
        "seg_head.sam.prompt_encoder.shared_embedding.positional_embedding"
    ]
    return ours


def our_config(published: dict[str, Any]) -> EarthMindConfig:
    """The published sizes as our config."""
    vision, text, sam = published["vision_config"], dict(published["llm_config"]), published["sam2"]
    trunk, decoder, side = sam["trunk"], sam["mask_decoder"], sam["image_size"]
    steps = range(len(trunk["stages"]))
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": trunk["embed_dim"],
        "num_attention_heads": trunk["num_heads"],
        "image_size": [side, side],
        "blocks_per_stage": trunk["stages"],
        "embed_dim_per_stage": [trunk["embed_dim"] * 2**step for step in steps],
        "num_attention_heads_per_stage": [trunk["num_heads"] * 2**step for step in steps],
        "window_size_per_stage": trunk["window_spec"],
        "global_attention_blocks": trunk["global_att_blocks"],
        "window_positional_embedding_background_size": trunk["window_pos_embed_bkg_spatial_size"],
    }
    sam_vision = {
        "backbone_config": backbone,
        "backbone_channel_list": trunk["backbone_channel_list"],
        "backbone_feature_sizes": [[side // stride, side // stride] for stride in (4, 8, 16)],
        "fpn_hidden_size": sam["d_model"],
        "fpn_top_down_levels": trunk["fpn_top_down_levels"],
    }
    sam_decoder = {
        "hidden_size": sam["d_model"],
        "mlp_dim": decoder["mlp_dim"],
        "num_attention_heads": decoder["num_heads"],
        "num_hidden_layers": decoder["depth"],
        "iou_head_hidden_dim": decoder["iou_head_hidden_dim"],
        "iou_head_depth": decoder["iou_head_depth"],
    }
    sizes = (
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "image_size",
        "patch_size",
        "num_channels",
        "layer_norm_eps",
    )
    return EarthMindConfig(
        vision_config={name: vision[name] for name in sizes} | {"attention_bias": vision["qkv_bias"], "use_mean_pooling": True},
        text_config=text | {"model_type": "qwen2"},
        sam_config={
            "vision_config": sam_vision,
            "prompt_encoder_config": {"hidden_size": sam["d_model"], "image_size": side},
            "mask_decoder_config": sam_decoder,
        },
        downsample_ratio=published["downsample_ratio"],
        image_token_id=published["img_context_token_id"],
        seg_token_id=published["seg_token_id"],
    )


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
def model(folder: Path) -> Model:
    built = EarthMindForConditionalGeneration(our_config(json.loads((folder / "config.json").read_text()))).eval()
    built.load_state_dict(our_state(load_file(folder / "model.safetensors")), strict=True)
    return built.requires_grad_(False)


def assert_close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found.reshape(expected.shape), expected, atol=TOLERANCE, rtol=0)


def read(model: Model, input_ids: Tensor, tokens: Tensor, vision_index: Tensor) -> Tensor:
    """Last hidden states (1, L, D) of one sample, through the steps a batch takes."""
    places = (input_ids.flatten() == model.config.image_token_id).nonzero().flatten()
    embeddings = model.splice(input_ids, tokens, places, vision_index)
    return model.read(embeddings, torch.arange(input_ids.shape[1])[None])


def text_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over the scored tokens, each predicted by the place before it."""
    scored = (labels[0, 1:] >= 0).nonzero().flatten()
    return token_cross_entropy(logits[0, scored], labels[0, 1:][scored], torch.full((len(scored),), 1 / len(scored)))


def seg_places(model: Model, golden: Golden) -> Tensor:
    return (golden["single.input_ids"][0] == model.config.seg_token_id).nonzero().flatten()


def draw(model: Model, golden: Golden) -> DrawnMasks:
    features = model.seg_head.encode(golden["sam.image_uint8"])
    prompts = golden["single.seg_embeds"]
    return model.seg_head.draw(prompts, features, torch.zeros(len(prompts), dtype=torch.long), torch.arange(len(prompts)), len(prompts))


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
        assert_close(model.seg_head.point(hidden[0, seg_places(model, golden)]), golden["single.seg_embeds"])

    def test_forward_gives_the_same_logits_and_loss(self, model: Model, golden: Golden) -> None:
        places = (golden["single.input_ids"].flatten() == model.config.image_token_id).nonzero().flatten()
        tiles = as_tiles(model, golden["single.pixel_values"])
        outputs = model(
            input_ids=golden["single.input_ids"],
            attention_mask=golden["single.attention_mask"],
            tiles=tiles,
            tile_group=torch.arange(3).expand(2, 3),
            placeholder_index=places,
            vision_index=torch.arange(len(places)),
            labels=golden["single.labels"],
        )
        assert_close(outputs.logits, golden["single.logits"])
        assert_close(outputs.loss, golden["single.llm_loss"])

    def test_attention_of_the_seg_rows_and_its_loss(self, model: Model, golden: Golden) -> None:
        tokens = model.encode_pixels(golden["single.pixel_values"])
        seg, positions = seg_places(model, golden), torch.arange(golden["single.input_ids"].shape[1])[None]
        with SegAttention(model.language_model.get_decoder()) as attention:
            read(model, golden["single.input_ids"], tokens, torch.arange(tokens.shape[0] * tokens.shape[1]))
        rows = attention.rows(seg, torch.zeros_like(seg), positions)
        image = (golden["single.input_ids"][0] == model.config.image_token_id).nonzero().flatten()
        assert_close(rows[:, image], golden["attn.seg_to_image"])
        last_tile = image[-tokens.shape[1] :].expand(len(seg), -1)
        losses = attention_loss(rows, last_tile, golden["loss.gt_masks"], model.config.tile_grid)
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
        mask, dice = mask_losses(chosen, truth, centres)
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
        loss = alignment_loss(fused, LossSettings(), pair_weights(torch.zeros(4, dtype=torch.long), 1))
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


def test_full_size_layout(folder: Path) -> None:
    """Every weight of the 4B model has a place of its shape in ours, and every place of ours is filled."""
    shapes = json.loads(gzip.decompress((folder / "earthmind_4b_state_dict_shapes.json.gz").read_bytes()))
    with torch.device("meta"):
        ours = EarthMindForConditionalGeneration(our_config(FULL_SIZE)).state_dict()
        published = our_state({name: torch.empty(shape) for name, shape in shapes.items()})
    assert {name: tuple(weight.shape) for name, weight in published.items()} == {name: tuple(weight.shape) for name, weight in ours.items()}
