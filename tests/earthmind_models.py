"""Small EarthMind models and processors (well under a million parameters), and scenes to show them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from tokenizers.trainers import BpeTrainer
from torch import Tensor
from transformers import LogitsProcessor, PreTrainedTokenizerFast

from earthmind.building.models import fusion_fields
from earthmind.checkpoints.export_upstream import plan_export, write_export
from earthmind.model.configuration_earthmind import EarthMindConfig
from earthmind.model.modeling_earthmind import EarthMindForConditionalGeneration
from earthmind.model.processing_earthmind import EarthMindProcessor
from earthmind.model.processor_options import ProcessorOptions
from earthmind.model.special_tokens import SPECIAL_TOKENS
from earthmind.task import EarthMindTask
from eocore.portable.band_rendering import SceneArray
from eocore.portable.chat_templates import get_template

TILE, GROUNDING = 32, 64
CORPUS = [
    "segment the water in this image. Sure, it is here.",
    "What is the area <region> used for?",
    "multispectral: rgb: sar: user assistant",
]
PRESENTATION = {
    "multispectral": {"views": [["B04", "B03", "B02"]], "stretch": {"method": "range", "low": 0.0, "high": 0.4}},
    "sar": {"views": [["VV", "VH", "zero"]], "stretch": {"method": "range", "low": -30.0, "high": 0.0}},
}
SMALLER = {
    "task.model.vision_config.num_hidden_layers": 1,
    "task.model.vision_config.hidden_size": 32,
    "task.model.vision_config.intermediate_size": 64,
    "task.model.text_config.num_hidden_layers": 2,
    "task.model.text_config.hidden_size": 64,
    "task.model.text_config.intermediate_size": 128,
    "task.losses.num_points": 64,
}
"""Overrides of earthmind_tiny_synthetic.py, for runs of the real program that take seconds."""


class Dictation(LogitsProcessor):
    """Makes generation write given token ids, row by row."""

    def __init__(self, rows: Sequence[Sequence[int]]) -> None:
        self.rows, self.step = rows, 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        forced = torch.full_like(scores, -torch.inf)
        for number, row in enumerate(self.rows):
            forced[number, row[min(self.step, len(row) - 1)]] = 0.0
        self.step += 1
        return forced


@dataclass
class Tiny:
    """A model and what belongs to it."""

    model: EarthMindForConditionalGeneration
    processor: EarthMindProcessor

    @property
    def tokenizer(self) -> Any:
        return self.processor.tokenizer


def _draw_weights(model: torch.nn.Module) -> None:
    """All at random, and large enough that a mix-up shows."""
    for name, parameter in model.named_parameters():
        scales = parameter.ndim == 1 and ("norm" in name or "lambda" in name) and not name.endswith("bias")
        torch.nn.init.normal_(parameter, mean=float(scales), std=0.3)


@pytest.fixture(scope="session")
def make_tokenizer() -> Callable[..., PreTrainedTokenizerFast]:
    """Builder of a byte-level tokenizer with the special tokens and the marks of one chat template."""

    def build(
        template: str = "phi3_chat", *, whole_marks: bool = True, special: tuple[str, ...] = SPECIAL_TOKENS
    ) -> PreTrainedTokenizerFast:
        core = Tokenizer(models.BPE())
        core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        core.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        core.train_from_iterator(
            CORPUS * 5, BpeTrainer(vocab_size=320, special_tokens=["<pad>", "<eos>"], initial_alphabet=alphabet, show_progress=False)
        )
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="<eos>")
        marks = get_template(template).control_tokens if whole_marks else ()
        tokenizer.add_special_tokens({"additional_special_tokens": [*special, *marks]})
        return tokenizer

    return build


@pytest.fixture(scope="session")
def make_fields() -> Callable[..., dict[str, Any]]:
    """Builder of the fields of a tiny config but the vocabulary; `text` names the language model, further arguments are more fields."""

    def build(*, text: str = "qwen2", num_channels: int = 3, tie: bool = True, **choices: Any) -> dict[str, Any]:
        head = {"head_dim": 8} if text == "qwen3" else {}
        language = {
            "model_type": text,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 1024,
            "tie_word_embeddings": tie,
            **head,
        }
        vision = {
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 64,
            "image_size": TILE,
            "patch_size": 4,
            "num_channels": num_channels,
            "attention_bias": True,
        }
        backbone = {
            "model_type": "sam2_hiera_det_model",
            "hidden_size": 8,
            "num_attention_heads": 1,
            "image_size": [GROUNDING, GROUNDING],
            "blocks_per_stage": [1, 1, 2, 1],
            "embed_dim_per_stage": [8, 16, 32, 64],
            "num_attention_heads_per_stage": [1, 1, 2, 2],
            "window_size_per_stage": [8, 4, 4, 2],
            "global_attention_blocks": [3],
            "window_positional_embedding_background_size": [7, 7],
        }
        sam_vision = {
            "backbone_config": backbone,
            "backbone_channel_list": [64, 32, 16, 8],
            "backbone_feature_sizes": [[GROUNDING // stride, GROUNDING // stride] for stride in (4, 8, 16)],
            "fpn_hidden_size": 16,
        }
        sam = {
            "vision_config": sam_vision,
            "prompt_encoder_config": {"hidden_size": 16, "image_size": GROUNDING},
            "mask_decoder_config": {"hidden_size": 16, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 16},
        }
        return {"vision_config": vision, "text_config": language, "sam_config": sam, **choices}

    return build


def sam3_fields(side: int, scales: Sequence[float] = (4.0, 2.0, 1.0, 0.5)) -> dict[str, Any]:
    """`sam_config` of a tiny SAM 3 tracker for images of `side` px, with the scales of its neck's levels."""
    grid = side // 8
    backbone = {
        "model_type": "sam3_vit_model",
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": side,
        "patch_size": 8,
        "window_size": 2,
        "global_attn_indexes": [1],
        "pretrain_image_size": 16,
    }
    vision = {"model_type": "sam3_vision_model", "backbone_config": backbone, "fpn_hidden_size": 16, "scale_factors": list(scales)}
    return {
        "model_type": "sam3_tracker",
        "vision_config": vision | {"backbone_feature_sizes": [[grid * scale] * 2 for scale in (4, 2, 1)]},
        "prompt_encoder_config": {"hidden_size": 16, "image_size": side, "patch_size": 8},
        "mask_decoder_config": {"hidden_size": 16, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 16},
    }


@pytest.fixture(scope="session")
def make_config(make_fields: Callable[..., dict[str, Any]]) -> Callable[..., EarthMindConfig]:
    """Builder of a tiny config; arguments as those of `make_fields`."""

    def build(*, vocab_size: int, **choices: Any) -> EarthMindConfig:
        fields = make_fields(**choices)
        return EarthMindConfig(**{**fields, "text_config": {**fields["text_config"], "vocab_size": vocab_size}})

    return build


@pytest.fixture(scope="session")
def make_tiny(make_tokenizer: Callable[..., Any], make_config: Callable[..., Any]) -> Callable[..., Tiny]:
    """Builder of a tiny model and its processor. All weights are random, and large enough that a mix-up shows."""

    def build(*, template: str = "phi3_chat", processor: dict[str, Any] | None = None, seed: int = 0, **choices: Any) -> Tiny:
        tokenizer = make_tokenizer(template)
        config = make_config(vocab_size=len(tokenizer), **choices)
        torch.manual_seed(seed)
        model = EarthMindForConditionalGeneration(config).eval()
        _draw_weights(model)
        settings = {"max_tiles": 1, "presentation": PRESENTATION, "template": template, **fusion_fields(config), **(processor or {})}
        settings.setdefault("grounding", "first" if config.grounding_fusion == "first" else "all")
        options = ProcessorOptions(
            tile_size=TILE,
            tile_tokens=config.tile_grid,
            num_channels=config.vision_config.num_channels,
            grounding_size=GROUNDING,
            **settings,
        )
        made = EarthMindProcessor(tokenizer, options)
        config.image_token_id, config.seg_token_id = made.image_token_id, made.seg_token_id
        return Tiny(model, made)

    return build


@pytest.fixture(scope="session")
def tiny(make_tiny: Callable[..., Tiny]) -> Tiny:
    """The default tiny model: two published sensors, mutual attention, one tile an image. Leave it as it is."""
    return make_tiny()


@pytest.fixture(scope="session")
def make_task(make_fields: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., EarthMindTask]:
    """Builder of a task around a tiny model; arguments are those of the task, `model` and `processor` only what differs."""
    folder = tmp_path_factory.mktemp("tokenizer")

    def build(*, model: dict[str, Any] | None = None, processor: dict[str, Any] | None = None, **choices: Any) -> EarthMindTask:
        torch.manual_seed(0)
        tokenizer = {"type": "TrainedTokenizer", "path": str(folder / "words"), "corpus": [], "vocab_size": 300}
        shown = {"max_tiles": 1, "presentation": PRESENTATION, **(processor or {})}
        task = EarthMindTask(model=make_fields(**(model or {})), tokenizer=tokenizer, processor=shown, **choices)
        _draw_weights(task.model)
        return task

    return build


VIDEO_PARTS = {
    "memory_attention.layers.0.self_attn.q_proj.weight": (16, 16),
    "memory_encoder.fuser.layers.0.g_weight": (16,),
    "maskmem_tpos_enc": (7, 1, 1, 4),
    "no_mem_pos_enc": (1, 1, 16),
    "mask_downsample.weight": (1, 1, 4, 4),
    "no_obj_ptr": (1, 16),
    "obj_ptr_proj.layers.0.weight": (16, 16),
}
"""One tensor for each part of SAM 2 that only video needs, published names below `grounding_encoder.sam2_model.`."""


@pytest.fixture(scope="session")
def our_folder(make_tiny: Callable[..., Tiny], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model in our layout, with random parts for video beside it as an import leaves them. Leave it as it is."""
    folder = tmp_path_factory.mktemp("ours") / "tiny"
    made = make_tiny()
    sam = made.model.seg_head.sam
    with torch.no_grad():  # one tensor in the upstream layout
        sam.prompt_encoder.shared_embedding.positional_embedding.copy_(sam.shared_image_embedding.positional_embedding)
    made.model.save_pretrained(folder)
    made.processor.save_pretrained(folder)
    rest = {f"grounding_encoder.sam2_model.{name}": torch.randn(shape) for name, shape in VIDEO_PARTS.items()}
    save_file(rest, folder / "not_used.safetensors")
    return folder


@pytest.fixture(scope="session")
def published_folder(our_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as a published checkpoint; tests/parity holds the names against a real one. Leave it as it is."""
    folder = tmp_path_factory.mktemp("published") / "EarthMind-tiny"
    write_export(plan_export(our_folder), folder)
    return folder


@pytest.fixture
def make_scenes() -> Callable[..., dict[str, Any]]:
    """Builder of random scenes of one place by modality."""

    def build(*modalities: str, seed: int = 0, size: tuple[int, int] = (48, 48)) -> dict[str, Any]:
        rng = np.random.default_rng(seed)
        scenes = {
            "rgb": SceneArray(rng.integers(0, 256, (3, *size)).astype(np.float32), ("red", "green", "blue"), "uint8"),
            "multispectral": SceneArray(rng.uniform(0, 0.4, (3, *size)).astype(np.float32), ("B02", "B03", "B04"), "reflectance"),
            "sar": SceneArray(rng.uniform(-30, 0, (2, *size)).astype(np.float32), ("VV", "VH"), "sigma0_db"),
        }
        return {name: scenes[name] for name in modalities}

    return build


@pytest.fixture
def square_mask() -> np.ndarray:
    """(48, 48) bool with a square set."""
    mask = np.zeros((48, 48), bool)
    mask[8:24, 12:36] = True
    return mask
