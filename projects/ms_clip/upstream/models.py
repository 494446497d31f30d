"""Models by the names of the upstream code, as its `build_model` returns them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from eocore.checkpoints.exchange import ImportRequest
from eocore.errors import CheckpointError, ConfigError
from eocore.models.folders import CONFIG, load_model, read_json
from eocore.text import did_you_mean
from eocore.train.device import check_device, local_device
from ms_clip.building.models import build_processor, processor_options
from ms_clip.building.tokenizer import BPE_FILE, read_clip_tokenizer
from ms_clip.checkpoints.downloads import FOLDERS, RELEASED
from ms_clip.checkpoints.import_plan import plan_import
from ms_clip.model.configuration_ms_clip import MsClipConfig
from ms_clip.model.modeling_ms_clip import MsClipModel
from ms_clip.model.processing_ms_clip import MsClipProcessor
from ms_clip.pretrained import read_processor

PRETRAINED = Path("pretrained")
TOWERS = {"ViT-B-16": (12, 768, 16, 512, 512), "ViT-B-32": (12, 768, 32, 512, 512), "ViT-L-14": (24, 1024, 14, 768, 768)}
"""OpenCLIP name -> layers, width and patch size of the vision tower, width of the text tower, width of the shared space. Source: Radford et
al. 2021 (arXiv 2103.00020), table 19 and 20."""
TEXT_LAYERS, VOCABULARY, HEAD_WIDTH, MLP_RATIO = 12, 49_408, 64, 4
"""Of every one of them. Source: as above."""


@dataclass(frozen=True)
class Tokenize:
    """Texts -> (M, T) token ids, as OpenCLIP's tokenizers are called.

    Attributes:
        processor: of the model.
    """

    processor: MsClipProcessor

    def __call__(self, texts: str | Sequence[str]) -> Tensor:
        """Raises ValueError where a text is too long and is not to be cut."""
        return self.processor.tokens([texts] if isinstance(texts, str) else list(texts))["input_ids"]


class Loaded(NamedTuple):
    """A model and what makes its inputs; unpacks into three, as upstream's.

    Attributes:
        model: in eval mode, on its device.
        preprocess: image -> (C, S, S), see `MsClipProcessor.pixels`.
        tokenizer: texts -> (M, T) token ids.
    """

    model: MsClipModel
    preprocess: Callable[[Any], Tensor]
    tokenizer: Tokenize


def build_model(
    model_name: str = RELEASED, pretrained: bool = True, *, ckpt_path: str | Path | None = None, device: str | None = None, **choices: Any
) -> Loaded:
    """(model, preprocess, tokenizer), as the upstream function.

    Args:
        model_name: a name of `FOLDERS`, or the folder of a converted or imported model.
        pretrained: False = random weights of that size.
        ckpt_path: weights: a folder, Llama3_MS_CLIP_weights.pt, or a file of OpenCLIP. None = the folder that the name stands for.
        device: as torch names it; None = the GPU if there is one.
        **choices: `tokenizer`: folder or file of CLIP's tokenizer, where none lies beside the weights; further fields of the processor.

    Raises:
        ConfigError: the name is unknown, or weights or a tokenizer are not there; the message says how to fetch them.
        CheckpointError: weights are damaged.
    """
    tokenizer = choices.pop("tokenizer", None)
    device = check_device(device) if device else str(local_device())
    if not pretrained:
        model, processor = _random(model_name, tokenizer)
    else:
        model, processor = _load(weights_of(model_name, ckpt_path), tokenizer)
    if choices:
        fields = {**processor.options.__dict__, **choices}
        processor = build_processor(processor_options(fields), processor.tokenizer)
    return Loaded(model.to(device).eval(), processor.pixels, Tokenize(processor))


def weights_of(name: str, ckpt_path: str | Path | None) -> Path:
    """What `ckpt_path` says, or the folder that a name of `FOLDERS` stands for, or the folder that is named.

    Raises:
        ConfigError: the name is unknown, or its folder is not there; the message says how to fetch it.
    """
    if ckpt_path is not None:
        return Path(ckpt_path)
    if name not in FOLDERS and not Path(name).is_dir():
        raise ConfigError(f"no model '{name}'.{did_you_mean(name, FOLDERS)} Name {', '.join(FOLDERS)}, or the folder of a converted model.")
    folder = PRETRAINED / FOLDERS[name] if name in FOLDERS else Path(name)
    if not folder.is_dir():
        raise ConfigError(
            f"{name}: {folder} is not there; nothing is fetched on its own. Run tools/download.py {FOLDERS[name]}, which says the command "
            "of the import, or name the weights with --ckpt-path."
        )
    return folder


def _load(path: Path, tokenizer: str | Path | None) -> tuple[MsClipModel, MsClipProcessor]:
    """A model of our layout, or one that is imported in memory."""
    if (path / CONFIG).is_file() and read_json(path / CONFIG).get("model_type") == MsClipConfig.model_type:
        words = None if tokenizer is None else read_clip_tokenizer(Path(tokenizer))
        return load_model(MsClipModel, path), read_processor(path, words)
    plan = plan_import(ImportRequest(sources=[path], tokenizer=None if tokenizer is None else Path(tokenizer)))
    if plan.processor is None:
        plan = plan_import(ImportRequest(sources=[path], tokenizer=_any_tokenizer(path)))
    if plan.processor is None:
        raise CheckpointError(f"{path} reads {plan.config.vision_config.num_channels} channels that nothing names. Import it first.")
    model = MsClipModel(plan.config)
    model.load_state_dict({name: tensor.read() for name, tensor in plan.tensors.items()})
    return model, plan.processor


def _any_tokenizer(path: Path) -> Path:
    """CLIP's merges beside the weights, or in OpenCLIP's package. Raises ConfigError where they are in neither."""
    spec = find_spec("open_clip")
    places = [(path if path.is_dir() else path.parent) / BPE_FILE]
    places += [] if spec is None or spec.origin is None else [Path(spec.origin).with_name(BPE_FILE)]
    for place in places:
        if place.is_file():
            return place
    raise ConfigError(
        f"no tokenizer lies beside {path}. Put {BPE_FILE} (in OpenCLIP's package and repository) there, or name it or the folder of a CLIP "
        "with --tokenizer."
    )


def _random(name: str, tokenizer: str | Path | None) -> tuple[MsClipModel, MsClipProcessor]:
    """Random weights of the size of a name."""
    size, channels = ("ViT-B-16", 10) if name == RELEASED else (name, 3)
    if size not in TOWERS:
        raise ConfigError(f"no size '{name}' is known.{did_you_mean(name, TOWERS)} Random weights: {RELEASED}, {', '.join(TOWERS)}.")
    words = read_clip_tokenizer(_any_tokenizer(PRETRAINED) if tokenizer is None else Path(tokenizer))
    layers, width, patch, text_width, space = TOWERS[size]
    text = {
        **_tower(TEXT_LAYERS, text_width),
        "vocab_size": VOCABULARY,
        "bos_token_id": words.bos_token_id,
        "eos_token_id": words.eos_token_id,
    }
    vision = {**_tower(layers, width), "patch_size": patch, "image_size": 224, "num_channels": channels}
    torch.manual_seed(0)
    model = MsClipModel(MsClipConfig(text, vision, projection_dim=space))
    return model, build_processor(processor_options({"preset": channels, "long_texts": "cut"}), words)


def _tower(layers: int, width: int) -> dict[str, Any]:
    return {
        "hidden_size": width,
        "intermediate_size": MLP_RATIO * width,
        "num_hidden_layers": layers,
        "num_attention_heads": width // HEAD_WIDTH,
        "hidden_act": "gelu",
    }
