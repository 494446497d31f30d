"""Meta's SAM 2 and 2.1 (`image_encoder.trunk.*`, `sam_mask_decoder.*`, ...) as `Sam2Model` of transformers.

Names: facebookresearch/sam2, sam2/modeling; the upstream EarthMind layout holds the same under `grounding_encoder.sam2_model.`.
"""

from collections.abc import Iterator, Sequence

from eocore.checkpoints.key_map import KeyMap, Rule, copy, join, rename, unused
from eocore.checkpoints.key_maps.sam2_sizes import sam2_version
from eocore.checkpoints.weight_files import Headers

PREFIX = "seg_head.sam."
HYPER_NETWORK_DEPTH = 3
"""Layers of the perceptrons that make a mask of a token (MaskDecoder of sam2/modeling/sam/mask_decoder.py)."""

TRUNK, OUR_TRUNK = "image_encoder.trunk.", "vision_encoder.backbone."
DECODER, PROMPT, OUR_PROMPT = "sam_mask_decoder.", "sam_prompt_encoder.", "prompt_encoder."
TWO_WAY, OUR_TWO_WAY = f"{DECODER}transformer.", "mask_decoder.transformer."
PROJECTIONS = ("q", "k", "v")


def perceptron(source: str, ours: str, *, depth: int) -> Iterator[Rule]:
    """A perceptron of `depth` layers, counted there; the first and the last have names here."""
    names = ["proj_in", *(f"layers.{number}" for number in range(depth - 2)), "proj_out"]
    return (rename(f"{source}layers.{number}.{{leaf}}", f"{ours}{name}.{{leaf}}") for number, name in enumerate(names))


def _image_encoder() -> Iterator[Rule]:
    yield rename(f"{TRUNK}pos_embed", f"{OUR_TRUNK}pos_embed")
    yield rename(f"{TRUNK}pos_embed_window", f"{OUR_TRUNK}pos_embed_window")
    yield rename(f"{TRUNK}patch_embed.proj.{{leaf}}", f"{OUR_TRUNK}patch_embed.projection.{{leaf}}")
    yield rename(f"{TRUNK}blocks.{{i}}.norm{{j}}.{{leaf}}", f"{OUR_TRUNK}blocks.{{i}}.layer_norm{{j}}.{{leaf}}")
    yield rename(f"{TRUNK}blocks.{{i}}.attn.{{rest}}", f"{OUR_TRUNK}blocks.{{i}}.attn.{{rest}}")
    yield rename(f"{TRUNK}blocks.{{i}}.proj.{{leaf}}", f"{OUR_TRUNK}blocks.{{i}}.proj.{{leaf}}")
    yield from perceptron(f"{TRUNK}blocks.{{i}}.mlp.", f"{OUR_TRUNK}blocks.{{i}}.mlp.", depth=2)
    yield rename("image_encoder.neck.convs.{i}.conv.{leaf}", "vision_encoder.neck.convs.{i}.{leaf}")
    yield rename("no_mem_embed", "no_memory_embedding")


def _prompt_encoder() -> Iterator[Rule]:
    yield copy(
        f"{PROMPT}pe_layer.positional_encoding_gaussian_matrix",
        # the image's first: it is the one that [SEG] prompts are drawn with; the prompt encoder's stands for points and boxes
        ["shared_image_embedding.positional_embedding", f"{OUR_PROMPT}shared_embedding.positional_embedding"],
    )
    yield join([f"{PROMPT}point_embeddings.{number}.weight" for number in range(4)], f"{OUR_PROMPT}point_embed.weight")
    yield rename(f"{PROMPT}not_a_point_embed.weight", f"{OUR_PROMPT}not_a_point_embed.weight")
    yield rename(f"{PROMPT}no_mask_embed.weight", f"{OUR_PROMPT}no_mask_embed.weight")
    for number, name in ((0, "conv1"), (1, "layer_norm1"), (3, "conv2"), (4, "layer_norm2"), (6, "conv3")):
        yield rename(f"{PROMPT}mask_downscaling.{number}.{{leaf}}", f"{OUR_PROMPT}mask_embed.{name}.{{leaf}}")


def _two_way_transformer() -> Iterator[Rule]:
    layers = [
        (f"layers.{{i}}.{name}.", f"layers.{{i}}.{name}.")
        for name in ("self_attn", "cross_attn_token_to_image", "cross_attn_image_to_token")
    ]
    for source, ours in [*layers, ("final_attn_token_to_image.", "final_attn_token_to_image.")]:
        for letter in PROJECTIONS:
            yield rename(f"{TWO_WAY}{source}{letter}_proj.{{leaf}}", f"{OUR_TWO_WAY}{ours}{letter}_proj.{{leaf}}")
        yield rename(f"{TWO_WAY}{source}out_proj.{{leaf}}", f"{OUR_TWO_WAY}{ours}o_proj.{{leaf}}")
    yield rename(f"{TWO_WAY}layers.{{i}}.norm{{j}}.{{leaf}}", f"{OUR_TWO_WAY}layers.{{i}}.layer_norm{{j}}.{{leaf}}")
    yield from perceptron(f"{TWO_WAY}layers.{{i}}.mlp.", f"{OUR_TWO_WAY}layers.{{i}}.mlp.", depth=2)
    yield rename(f"{TWO_WAY}norm_final_attn.{{leaf}}", f"{OUR_TWO_WAY}layer_norm_final_attn.{{leaf}}")


def _mask_decoder(iou_head_depth: int) -> Iterator[Rule]:
    yield from _two_way_transformer()
    for token in ("iou_token", "mask_tokens", "obj_score_token"):
        yield rename(f"{DECODER}{token}.weight", f"mask_decoder.{token}.weight")
    for level in (0, 1):
        yield rename(f"{DECODER}conv_s{level}.{{leaf}}", f"mask_decoder.conv_s{level}.{{leaf}}")
    for number, name in ((0, "upscale_conv1"), (1, "upscale_layer_norm"), (3, "upscale_conv2")):
        yield rename(f"{DECODER}output_upscaling.{number}.{{leaf}}", f"mask_decoder.{name}.{{leaf}}")
    hyper = "output_hypernetworks_mlps.{i}."
    yield from perceptron(f"{DECODER}{hyper}", f"mask_decoder.{hyper}", depth=HYPER_NETWORK_DEPTH)
    yield from perceptron(f"{DECODER}iou_prediction_head.", "mask_decoder.iou_prediction_head.", depth=iou_head_depth)
    yield from perceptron(f"{DECODER}pred_obj_score_head.", "mask_decoder.pred_obj_score_head.", depth=HYPER_NETWORK_DEPTH)


MEMORY_EMBEDDINGS = ("maskmem_tpos_enc", "no_mem_pos_enc", "no_obj_embed_spatial")
OBJECT_POINTERS = ("no_obj_ptr", "obj_ptr_proj.{rest}", "obj_ptr_tpos_proj.{rest}")
"""Meta's names of what only video needs."""


def video_memory(embeddings: Sequence[str], pointers: Sequence[str]) -> Iterator[Rule]:
    """Rules for what only video needs and images do not.

    Args:
        embeddings: names of the embeddings of memory, which differ between releases.
        pointers: names of the parts that make pointers to objects, which differ too.
    """
    yield unused("memory_attention.{rest}", "SAM 2 video: memory attention")
    yield unused("memory_encoder.{rest}", "SAM 2 video: memory encoder")
    yield unused("mask_downsample.{leaf}", "SAM 2 video: masks as input")
    for name in embeddings:
        yield unused(name, "SAM 2 video: memory embeddings")
    for name in pointers:
        yield unused(name, "SAM 2 video: object pointers")


def sam2_rules(iou_head_depth: int = 3) -> list[Rule]:
    """Rules of Meta's names; the depth of the head that predicts IoU decides which of its layers is the last."""
    return [*_image_encoder(), *_prompt_encoder(), *_mask_decoder(iou_head_depth), *video_memory(MEMORY_EMBEDDINGS, OBJECT_POINTERS)]


def iou_head_depth(headers: Headers, prefix: str = "") -> int:
    """Layers of the head that predicts IoU, counted from the names; 3 where there is none."""
    head = f"{prefix}{DECODER}iou_prediction_head.layers."
    return sum(name.startswith(head) and name.endswith(".weight") for name in headers) or HYPER_NETWORK_DEPTH


def under(rules: list[Rule], source: str, *, ours: str = PREFIX) -> list[Rule]:
    """The same rules where the names stand below `source` there and below `ours` here."""
    return [
        Rule(rule.kind, tuple(source + name for name in rule.source), tuple(ours + name for name in rule.ours), rule.part) for rule in rules
    ]


def meta_map(headers: Headers) -> KeyMap:
    """Key map of a file that Meta released."""
    return KeyMap(f"SAM {sam2_version(headers)}", under(sam2_rules(iou_head_depth(headers)), ""))
