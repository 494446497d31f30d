"""Where weights come from: the layout of a file or folder, recognised from the names of its tensors."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earthmind.checkpoints.key_maps import internvl, internvl_hf, training_pth, upstream
from eocore.checkpoints.exchange import LoraScale
from eocore.checkpoints.key_map import KeyMap, Mapped
from eocore.checkpoints.key_maps import language, sam2, sam2_hf, sam2_sizes
from eocore.checkpoints.weight_files import Headers, LazyTensor, Weights, open_weights
from eocore.errors import CheckpointError

CONFIG = "config.json"
MAX_NAMED = 8

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Layout:
    """An external layout.

    Attributes:
        name: short, for arguments and notes.
        what: what holds it.
        present: each one a choice of beginnings of names, of which one must occur.
        absent: beginnings of names of which none may occur.
        key_map: rules by config.json and headers.
        fields: fields of `EarthMindConfig` by config.json and headers.
        needs_config: whether the sizes cannot be told without config.json.
    """

    name: str
    what: str
    present: tuple[tuple[str, ...], ...]
    key_map: Callable[[Config, Headers], KeyMap]
    fields: Callable[[Config, Headers], dict[str, Any]]
    absent: tuple[str, ...] = ()
    needs_config: bool = True


@dataclass(frozen=True)
class Source:
    """A file or folder of weights and what it is."""

    layout: Layout
    weights: Weights
    config: Config

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.weights.path

    @property
    def folder(self) -> Path:
        """Where files beside the weights lie."""
        return self.path if self.path.is_dir() else self.path.parent

    def map(self, base: Mapping[str, LazyTensor], lora: LoraScale) -> Mapped:
        """Its tensors under our names.

        Args:
            base: what the sources before it give, under our names; a training's LoRA update is added to it.
            lora: how that update is scaled.
        """
        if self.layout is TRAINING:
            return training_pth.map_training(self.weights, base, lora=lora)
        return self.layout.key_map(self.config, self.weights.headers).apply(self.weights)

    def fields(self) -> dict[str, Any]:
        """Fields of `EarthMindConfig` that it decides."""
        return self.layout.fields(self.config, self.weights.headers)


def _sam_fields(config: Config, headers: Headers) -> dict[str, Any]:
    return {"sam_config": sam2_sizes.sam2_config(headers)}


def _sam_hf_fields(config: Config, headers: Headers) -> dict[str, Any]:
    return {"sam_config": sam2_hf.sam2_hf_config(config)}


def _text_fields(config: Config, headers: Headers) -> dict[str, Any]:
    return {"text_config": language.language_fields(config)}


def _training_fields(config: Config, headers: Headers) -> dict[str, Any]:
    queries = headers.get("mllm.local_query")
    return {} if queries is None else {"fusion": "mutual_attention", "num_fusion_queries": queries.shape[0]}


EARTHMIND = Layout(
    "earthmind",
    "an upstream EarthMind or Sa2VA folder",
    (("vision_model.",), ("mlp1.",), ("language_model.",), (upstream.SAM,)),
    upstream.upstream_map,
    upstream.upstream_fields,
)
INTERNVL = Layout(
    "internvl",
    "an InternVL folder, original layout",
    (("vision_model.",), ("mlp1.",), ("language_model.",)),
    internvl.internvl_map,
    internvl.internvl_fields,
    absent=("grounding_encoder.",),
)
INTERNVL_HF = Layout(
    "internvl-hf",
    "an InternVL folder of transformers",
    (("multi_modal_projector.", "model.multi_modal_projector."), ("vision_tower.", "model.vision_tower.")),
    lambda config, headers: internvl_hf.INTERNVL_HF,
    internvl_hf.internvl_hf_config,
)
SAM2 = Layout(
    "sam2",
    "a SAM 2 file of Meta",
    (("image_encoder.trunk.",), ("sam_mask_decoder.",)),
    lambda config, headers: sam2.meta_map(headers),
    _sam_fields,
    needs_config=False,
)
SAM2_HF = Layout(
    "sam2-hf",
    "a SAM 2 folder of transformers",
    (("vision_encoder.backbone.",), ("mask_decoder.",)),
    lambda config, headers: sam2_hf.SAM2_HF,
    _sam_hf_fields,
)
SAM3_TRACKER = Layout(
    "sam3-tracker",
    "a folder of SAM 3's tracker, of transformers",
    (("tracker_model.mask_decoder.",), ("tracker_model.tracker_neck.",)),
    lambda config, headers: sam2_hf.SAM3_TRACKER_HF,
    _sam_hf_fields,
)
LANGUAGE = Layout(
    "language",
    "a folder of a causal language model",
    (("model.embed_tokens.",), ("model.layers.",)),
    language.language_map,
    _text_fields,
    absent=("vision", "model.vision", "multi_modal_projector.", "model.multi_modal_projector."),
)
TRAINING = Layout(
    "training",
    "a .pth of the upstream training code",
    (("mllm.",),),
    lambda config, headers: training_pth.UPSTREAM_NAMES,
    _training_fields,
    needs_config=False,
)
LAYOUTS = (EARTHMIND, INTERNVL, INTERNVL_HF, SAM2, SAM2_HF, SAM3_TRACKER, LANGUAGE, TRAINING)
SAM_LAYOUTS = (SAM2, SAM2_HF, SAM3_TRACKER)
OURS = (("vision_tower.",), ("seg_head.",), ("language_model.",))


def open_source(path: Path) -> Source:
    """The source at `path`, with its layout.

    Raises:
        CheckpointError: it cannot be read, is of no known layout or already of ours, or config.json is missing or broken.
    """
    weights = open_weights(path)
    layout = recognise(weights)
    folder = path if path.is_dir() else path.parent
    file = folder / CONFIG
    if layout.needs_config and not file.is_file():
        raise CheckpointError(f"{file} is not there; the names are those of {layout.what}, whose sizes it states. Fetch it too.")
    return Source(layout, weights, _read_config(file) if layout.needs_config else {})


def recognise(weights: Weights) -> Layout:
    """The layout whose names a source has.

    Raises:
        CheckpointError: none, or ours.
    """
    for layout in LAYOUTS:
        if _has(weights.headers, layout.present) and not any(name.startswith(layout.absent) for name in weights.headers if layout.absent):
            return layout
    if _has(weights.headers, OURS):
        raise CheckpointError(
            f"{weights.path} is in this project's layout already; there is nothing to import. Load it with model.pretrained."
        )
    starts = list(dict.fromkeys(".".join(name.split(".")[:2]) for name in weights.headers))
    known = "\n".join(
        f"  {layout.name}: {layout.what} ({', '.join(' or '.join(choice) for choice in layout.present)})" for layout in LAYOUTS
    )
    raise CheckpointError(
        f"{weights.path} is of no known layout: {len(weights.headers)} tensors that begin with {', '.join(starts[:MAX_NAMED])}"
        f"{', ...' if len(starts) > MAX_NAMED else ''}. Known layouts and what their names begin with:\n{known}"
    )


def _has(headers: Headers, present: tuple[tuple[str, ...], ...]) -> bool:
    return all(any(name.startswith(choice) for name in headers) for choice in present)


def _read_config(file: Path) -> Config:
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{file} is no JSON: {error}. Fetch it again.") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{file} holds a {type(config).__name__}, expected the fields of a config. Fetch it again.")
    return config


def recognises(path: Path) -> bool:
    """Whether a source is of one of these layouts."""
    try:
        open_source(path)
    except CheckpointError:
        return False
    return True
