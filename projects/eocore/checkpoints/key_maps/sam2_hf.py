"""SAM 2 as transformers saves it (`Sam2Model`, `Sam2VideoModel`: `vision_encoder.backbone.*`, `mask_decoder.*`, ...).

The names of the parts that see a single image are those of `Sam2Model`, which is the model here; the folders of facebook/sam2.1-hiera-*
hold the video model, whose further parts are listed and left out. SAM 3's tracker
(`Sam3TrackerModel`) has the same parts. Names: transformers, models/sam2, models/sam2_video and models/sam3_tracker.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from transformers import Sam2Config

from eocore.checkpoints.key_map import KeyMap, Rule, rename
from eocore.checkpoints.key_maps.sam2 import under, video_memory
from eocore.errors import CheckpointError

SAM3_TRACKER = "sam3_tracker"
MODEL_TYPES = ("sam2", "sam2_video", SAM3_TRACKER)
MEMORY_EMBEDDINGS = ("memory_temporal_positional_encoding", "no_memory_positional_encoding", "occlusion_spatial_embedding_parameter")
OBJECT_POINTERS = ("no_object_pointer", "object_pointer_proj.{rest}", "temporal_positional_encoding_projection_layer.{leaf}")
"""Names of what only video needs."""
PARTS = ("vision_config", "prompt_encoder_config", "mask_decoder_config")


def _rules() -> Iterator[Rule]:
    for part in ("vision_encoder", "prompt_encoder", "mask_decoder"):
        yield rename(f"{part}.{{rest}}", f"{part}.{{rest}}")
    for name in ("no_memory_embedding", "shared_image_embedding.positional_embedding"):
        yield rename(name, name)
    yield from video_memory(MEMORY_EMBEDDINGS, OBJECT_POINTERS)


def _tracker_rules() -> Iterator[Rule]:
    """Of SAM 3's tracker, which transformers saves under the names that it has beside SAM 3's detector."""
    yield rename("tracker_model.detector_model.vision_encoder.{rest}", "vision_encoder.{rest}")
    yield rename("tracker_model.tracker_neck.{rest}", "vision_encoder.neck.{rest}")
    for part in ("prompt_encoder", "mask_decoder"):
        yield rename(f"tracker_model.{part}.{{rest}}", f"{part}.{{rest}}")
    for name in ("no_memory_embedding", "shared_image_embedding.positional_embedding"):
        yield rename(f"tracker_model.{name}", name)


SAM3_TRACKER_HF = KeyMap("SAM 3's tracker of transformers", under(list(_tracker_rules()), ""))
SAM2_HF = KeyMap("SAM 2 of transformers", under(list(_rules()), ""))


def sam2_hf_config(config_json: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `Sam2Config`, or of `Sam3TrackerConfig` with its `model_type`, from the config.json of a folder of one of the models.

    Raises:
        CheckpointError: the folder is of another model, or its config.json leaves out one of the three parts.
    """
    kind = config_json.get("model_type")
    if kind not in MODEL_TYPES:
        raise CheckpointError(
            f"config.json says model_type '{kind}'; folders of SAM 2 and of SAM 3's tracker say one of {', '.join(MODEL_TYPES)}. Give one."
        )
    missing = [part for part in PARTS if not isinstance(config_json.get(part), Mapping)]
    if missing:
        raise CheckpointError(f"config.json does not state {', '.join(missing)}, so sizes would be guessed. Take the file of the release.")
    parts = {part: dict(config_json[part]) for part in PARTS}
    if kind == SAM3_TRACKER:
        return {"model_type": kind, **parts}
    for part in PARTS[1:]:  # the video model has classes of its own for these two, with the same fields and defaults
        known = getattr(Sam2Config(), part).to_dict().keys() - {"model_type"}
        parts[part] = {field: value for field, value in parts[part].items() if field in known}
    return parts
