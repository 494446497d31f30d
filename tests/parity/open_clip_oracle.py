"""OpenCLIP as an oracle, in a process of its own.

    PYTHONPATH=.:projects python tests/parity/open_clip_oracle.py FOLDER [NAME ...]

FOLDER holds request.pt: {"model_cfg": ..., "pixels": (N, 3, S, S), "texts": [...]}. Written there: open_clip_config.json and
open_clip_pytorch_model.bin with random weights, and answer.pt: image and text vectors, token ids, and the loss and gradient of the pairs.
With NAMEs of released sizes (ViT-B-16), no request is read, and shapes.json holds the shape of every tensor of each, by name.
"""

import json
import sys
from pathlib import Path

import torch

from profiling.ms_clip.open_clip_import import import_open_clip


def write_shapes(folder: Path, sizes: list[str]) -> None:
    """Of models of these names, on the meta device."""
    open_clip = import_open_clip()
    shapes = {}
    for size in sizes:
        with torch.device("meta"):
            model = open_clip.model.CLIP(**open_clip.get_model_config(size))
        shapes[size] = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    (folder / "shapes.json").write_text(json.dumps(shapes))


def main(folder: Path) -> None:
    open_clip = import_open_clip()
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
    if sys.argv[2:]:
        write_shapes(Path(sys.argv[1]), sys.argv[2:])
    else:
        main(Path(sys.argv[1]))
