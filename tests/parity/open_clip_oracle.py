"""OpenCLIP as an oracle, in a process of its own: it imports torchvision, which its ViT never calls, so names of it stand in.

    python open_clip_oracle.py FOLDER

FOLDER holds request.pt: {"model_cfg": ..., "pixels": (N, 3, S, S), "texts": [...]}. Written there: open_clip_config.json and
open_clip_pytorch_model.bin with random weights, and answer.pt: image and text vectors, token ids, and the loss and gradient of the pairs.
"""

import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import torch
import transformers  # noqa: F401  (looks for torchvision itself, before the stand-ins are there)

STAND_INS = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional", "torchvision.ops", "torchvision.ops.misc")


class AnyName(type):
    """Of classes that have every attribute: interpolation modes and the like."""

    def __getattr__(cls, attribute: str) -> type:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        return AnyName(attribute, (), {})


def stand_in(name: str) -> ModuleType:
    """A module any name can be imported from."""
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    module.__path__ = []

    def missing(attribute: str) -> type:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        return AnyName(attribute, (), {})

    module.__getattr__ = missing  # type: ignore[method-assign]
    return module


def main(folder: Path) -> None:
    for name in STAND_INS:
        sys.modules[name] = stand_in(name)
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, sys.modules[name])
    import open_clip

    request = torch.load(folder / "request.pt")
    torch.manual_seed(0)
    model = open_clip.model.CLIP(**request["model_cfg"])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    tokens = open_clip.tokenize(request["texts"])
    images, texts = model.encode_image(request["pixels"], normalize=True), model.encode_text(tokens, normalize=True)
    logits = model.logit_scale.exp() * images @ texts.T
    pairs = torch.arange(len(logits))
    loss = (torch.nn.functional.cross_entropy(logits, pairs) + torch.nn.functional.cross_entropy(logits.T, pairs)) / 2
    loss.backward()
    torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": request["model_cfg"]}))
    answer = {
        "images": images.detach(),
        "texts": texts.detach(),
        "tokens": tokens,
        "loss": loss.detach(),
        "gradient": model.visual.conv1.weight.grad,
    }
    torch.save(answer, folder / "answer.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
