"""Where weights come from: the layout of a file or folder, recognised from the names of its tensors."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eocore.checkpoints.key_map import KeyMap, Mapped
from eocore.checkpoints.key_maps.clip import TRANSFORMERS_RULES, open_clip_rules, open_clip_sizes
from eocore.checkpoints.weight_files import Header, LazyTensor, Weights, open_weights
from eocore.errors import CheckpointError
from eocore.models.folders import CONFIG, read_json

UPSTREAM, OPEN_CLIP, CLIP = "ms-clip", "open_clip", "clip"
WHAT = {
    UPSTREAM: "an upstream MS-CLIP state (three copies of each tensor, temperature)",
    OPEN_CLIP: "an OpenCLIP state",
    CLIP: "a CLIP folder of transformers",
}
COPIES = ("clip_base_model.model.", "text_encoder.model.", "image_encoder.model.")
"""Where upstream's training module holds the same model; the first counts. Source: IBM/MS-CLIP at 9dbeb33."""
TEMPERATURE = "temperature"
OPEN_CLIP_CONFIG = "open_clip_config.json"
OPEN_CLIP_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
MAX_NAMED = 8


@dataclass(frozen=True)
class Source:
    """Weights and what they are.

    Attributes:
        layout: `UPSTREAM`, `OPEN_CLIP` or `CLIP`.
        path: file or folder that was named.
        tensors: by the names of OpenCLIP or transformers.
        config: content of the config beside them, {} where there is none.
        notes: what a user should know.
    """

    layout: str
    path: Path
    tensors: Mapping[str, LazyTensor]
    config: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def headers(self) -> dict[str, Header]:
        """Shape and type of each tensor."""
        return {name: tensor.header for name, tensor in self.tensors.items()}

    @property
    def folder(self) -> Path:
        """Where files beside the weights lie."""
        return self.path if self.path.is_dir() else self.path.parent

    def map(self) -> Mapped:
        """The tensors under our names."""
        rules = TRANSFORMERS_RULES if self.layout == CLIP else open_clip_rules(self.headers)
        return KeyMap(WHAT[self.layout], rules).apply_tensors(self.tensors, origin=f"{self.layout} ({self.path.name})")

    def sizes(self) -> dict[str, Any]:
        """Fields of `MsClipConfig` that the source decides.

        Raises:
            CheckpointError: sizes cannot be told.
        """
        if self.layout != CLIP:
            return open_clip_sizes(self.headers, self.config.get("model_cfg", self.config))
        if self.config.get("model_type") != CLIP:
            raise CheckpointError(f"{self.path}/{CONFIG}: model_type is {self.config.get('model_type')!r}, expected '{CLIP}'.")
        return {name: self.config[name] for name in ("text_config", "vision_config", "projection_dim") if name in self.config}


def open_source(path: Path) -> Source:
    """A source, by what it holds.

    Raises:
        CheckpointError: nothing is there, it is damaged, or its layout is not known.
    """
    weights = open_weights(_weights_file(path))
    names = list(weights.headers)
    tensors = {name: weights.lazy(name) for name in names}
    if any(name.startswith(COPIES[0]) for name in names):
        return _upstream(path, weights)
    if "visual.conv1.weight" in names:
        return Source(OPEN_CLIP, path, tensors, _beside(path, OPEN_CLIP_CONFIG), notes=_activation_note(path))
    if {"vision_model.embeddings.patch_embedding.weight", "text_model.embeddings.token_embedding.weight"} <= set(names):
        return Source(CLIP, path, tensors, _beside(path, CONFIG))
    raise CheckpointError(
        f"{path} is of no known layout: it holds none of visual.conv1.weight (OpenCLIP), {COPIES[0]}* (MS-CLIP) and "
        f"vision_model.* with text_model.* (transformers). Its first tensors: {', '.join(names[:MAX_NAMED])}."
    )


def recognises(path: Path) -> bool:
    """Whether a source is of one of these layouts."""
    try:
        open_source(path)
    except CheckpointError:
        return False
    return True


def _weights_file(path: Path) -> Path:
    """The file of weights in a folder of OpenCLIP, whose names are its own; else the path itself."""
    return next((path / name for name in OPEN_CLIP_FILES if (path / name).is_file()), path)


def _upstream(path: Path, weights: Weights) -> Source:
    """The first copy of an upstream state. Raise CheckpointError if the others lack or add tensors, or it holds more."""
    held = {prefix: {name.removeprefix(prefix) for name in weights.headers if name.startswith(prefix)} for prefix in COPIES}
    first = held[COPIES[0]]
    strange = [name for name in weights.headers if name != TEMPERATURE and not name.startswith(COPIES)]
    unlike = sorted({name for names in held.values() if names for name in names ^ first})
    if strange or unlike:
        raise CheckpointError(
            f"{path}: the copies of an upstream state should hold the same tensors and nothing else; found {len(unlike)} that not all hold "
            f"({', '.join(unlike[:MAX_NAMED])}) and {len(strange)} of another name ({', '.join(strange[:MAX_NAMED])}). Damaged, or of "
            "another release."
        )
    tensors = {name.removeprefix(COPIES[0]): weights.lazy(name) for name in weights.headers if name.startswith(COPIES[0])}
    notes = []
    if TEMPERATURE in weights.headers:
        tensors["logit_scale"] = _log_scale(weights.lazy(TEMPERATURE))
        notes.append(f"{TEMPERATURE} becomes logit_scale = -ln({TEMPERATURE}); upstream's own logit_scale is unused there.")
    return Source(UPSTREAM, path, tensors, {}, notes=(*notes, f"{sum(bool(names) for names in held.values())} copies; the first is taken."))


def _log_scale(temperature: LazyTensor) -> LazyTensor:
    """Upstream divides cosines by the temperature, CLIP multiplies by exp(logit_scale)."""
    return LazyTensor(Header((), temperature.header.dtype), lambda: -temperature.read().reshape(()).log())


def _beside(path: Path, name: str) -> dict[str, Any]:
    file = (path if path.is_dir() else path.parent) / name
    return read_json(file) if file.is_file() else {}


def _activation_note(path: Path) -> tuple[str, ...]:
    if _beside(path, OPEN_CLIP_CONFIG):
        return ()
    return (f"No {OPEN_CLIP_CONFIG} beside it: GELU is assumed, as in LAION's releases. OpenAI's models have quick GELU, which it states.",)
