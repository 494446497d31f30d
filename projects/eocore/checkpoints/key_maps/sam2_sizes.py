"""Sizes of SAM 2: which of Meta's four models a file holds, seen from names and shapes alone.

A release is `{"model": state_dict}` without its config, so numbers that leave no mark in a shape (heads, windows, blocks that see the whole
image, the image size) come from the upstream config of the size found: facebookresearch/sam2, sam2/configs/sam2 and sam2/configs/sam2.1.

SAM 2 and SAM 2.1 differ in their weights and, by config, only in what one frame of a video remembers of another: 2.1 adds
`no_obj_embed_spatial`, and encodes and projects the time of object pointers (`add_tpos_enc_to_obj_ptrs`, `proj_tpos_enc_in_obj_ptrs`,
`use_signed_tpos_enc_to_obj_ptrs`). None of it is computed on a single image. What does count there is the same in all eight configs:
`directly_add_no_mem_embed` (`no_mem_embed` is added to the coarsest features, as an image has no memory), `use_high_res_features_in_sam`,
`iou_prediction_use_sigmoid`, `pred_obj_scores` with an MLP, and candidate masks (`multimask_output_in_sam`). So both are one model here.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from eocore.checkpoints.weight_files import Headers
from eocore.errors import CheckpointError

IMAGE_SIZE = 1024
"""Side of the image [px], `image_size` in every upstream config."""
STRIDES = (4, 8, 16)
"""Of the three feature levels, image pixels per position (PatchEmbed of hieradet.py, then pooling by two)."""
TOP_DOWN = [2, 3]
"""Levels that take from the coarser one, `fpn_top_down_levels` in every upstream config."""
ONLY_IN_2_1 = ("no_obj_embed_spatial", "obj_ptr_tpos_proj.weight")
TRUNK, NECK, DECODER = "image_encoder.trunk.", "image_encoder.neck.", "sam_mask_decoder."


@dataclass(frozen=True)
class HieraSize:
    """One Hiera image encoder, in the terms of Meta's configs."""

    name: str
    embed_dim: int
    num_heads: int
    stages: tuple[int, ...]
    global_blocks: tuple[int, ...]
    background: int
    windows: tuple[int, ...] = (8, 4, 14, 7)

    @property
    def widths(self) -> tuple[int, ...]:
        """Width of each stage; it doubles from one to the next."""
        return tuple(self.embed_dim * 2**stage for stage in range(len(self.stages)))


SIZES = (
    HieraSize("t", 96, 1, (1, 2, 7, 2), (5, 7, 9), 7),
    HieraSize("s", 96, 1, (1, 2, 11, 2), (7, 10, 13), 7),
    HieraSize("b+", 112, 2, (2, 3, 16, 3), (12, 16, 20), 14),
    HieraSize("l", 144, 2, (2, 6, 36, 4), (23, 33, 43), 7, (8, 4, 16, 8)),
)
"""The published sizes; b+ leaves all but width and heads at the defaults of Hiera (sam2/modeling/backbones/hieradet.py)."""


def sam2_version(headers: Headers, prefix: str = "") -> str:
    """'2.1' or '2.0', told apart by the weights that 2.1 has more."""
    return "2.1" if all(prefix + name in headers for name in ONLY_IN_2_1) else "2.0"


def hiera_size(headers: Headers, prefix: str = "") -> HieraSize:
    """The published size of the image encoder.

    Raises:
        CheckpointError: the shapes are those of none of them; heads and windows would have to be guessed.
    """
    found = _encoder_shape(headers, prefix + TRUNK)
    for size in SIZES:
        if found == (size.widths, size.stages, size.background):
            return size
    known = "; ".join(f"{size.name}: {_said(size.widths, size.stages, background=size.background)}" for size in SIZES)
    seen = _said(found[0], found[1], background=found[2])
    raise CheckpointError(
        f"this SAM 2 image encoder has {seen}, and no published size has ({known}). Heads and windows leave no mark in the "
        "shapes and would have to be guessed. Give the weights in the folder form of transformers, whose config.json states them."
    )


def sam2_config(headers: Headers, prefix: str = "") -> dict[str, Any]:
    """Fields of transformers' `Sam2Config` for a file of Meta's.

    Raises:
        CheckpointError: the size is not published, or a weight that decides a size is missing.
    """
    size, side = hiera_size(headers, prefix), IMAGE_SIZE
    steps = range(len(size.stages))
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": size.embed_dim,
        "num_attention_heads": size.num_heads,
        "image_size": [side, side],
        "blocks_per_stage": list(size.stages),
        "embed_dim_per_stage": list(size.widths),
        "num_attention_heads_per_stage": [size.num_heads * 2**step for step in steps],
        "window_size_per_stage": list(size.windows),
        "global_attention_blocks": list(size.global_blocks),
        "window_positional_embedding_background_size": [size.background, size.background],
    }
    width = _shape(headers, f"{prefix}{NECK}convs.0.conv.weight")[0]
    return {
        "vision_config": {
            "backbone_config": backbone,
            "backbone_channel_list": list(reversed(size.widths)),
            "backbone_feature_sizes": [[side // stride, side // stride] for stride in STRIDES],
            "fpn_hidden_size": width,
            "fpn_top_down_levels": TOP_DOWN,
        },
        "prompt_encoder_config": {"hidden_size": width, "image_size": side},
        "mask_decoder_config": {
            "hidden_size": width,
            "mlp_dim": _shape(headers, f"{prefix}{DECODER}transformer.layers.0.mlp.layers.0.weight")[0],
            "iou_head_hidden_dim": _shape(headers, f"{prefix}{DECODER}iou_prediction_head.layers.0.weight")[0],
        },
    }


def _encoder_shape(headers: Headers, trunk: str) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Widths and numbers of blocks of the stages, and the side of the position embedding."""
    ends = ".attn.proj.weight"
    widths = Counter(header.shape[0] for name, header in headers.items() if name.startswith(f"{trunk}blocks.") and name.endswith(ends))
    stages = sorted(widths)
    return tuple(stages), tuple(widths[width] for width in stages), _shape(headers, f"{trunk}pos_embed")[-1]


def _said(widths: tuple[int, ...], stages: tuple[int, ...], *, background: int) -> str:
    return f"widths {list(widths)}, blocks {list(stages)} and a position embedding of {background} x {background}"


def _shape(headers: Headers, name: str) -> tuple[int, ...]:
    if name not in headers:
        raise CheckpointError(
            f"{name} is missing, which decides a size of SAM 2: the file is incomplete or of another layout. Fetch it again."
        )
    return headers[name].shape
