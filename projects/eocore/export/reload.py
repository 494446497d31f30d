"""Loads a checkpoint folder as a user would, runs a parity check on it, and saves what it returns.

    python -I reload.py FOLDER AUTO_CLASS PROBE OUT [BASE]

Run as a file, in a process of its own; so it imports nothing of this repository. OUT/outputs.safetensors holds what the parity check gave,
OUT/digests.json the digest of every weight. With BASE, FOLDER is an adapter of peft for that model: outputs are those of the base with the
adapter, OUT/merged.safetensors those after it was merged, and digests those of the merged weights.
"""

import hashlib
import json
import runpy
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor

OUTPUTS = "outputs.safetensors"
MERGED = "merged.safetensors"
DIGESTS = "digests.json"
AUTO_CLASSES = {
    auto_class.__name__: auto_class
    for auto_class in (
        transformers.AutoModel,
        transformers.AutoModelForCausalLM,
        transformers.AutoModelForImageClassification,
        transformers.AutoModelForImageTextToText,
        transformers.AutoModelForZeroShotImageClassification,
    )
}
"""Classes of transformers that load a checkpoint, by name; another kind of model adds its own here."""


def run_parity_check(
    model: transformers.PreTrainedModel, processor: transformers.ProcessorMixin, *, parity_check: Path
) -> dict[str, Tensor]:
    """What `parity_outputs(model, processor)` of the file returns, without gradients in evaluation mode; the model keeps its mode."""
    trains = model.training
    model.eval()
    try:
        with torch.no_grad():
            outputs: dict[str, Tensor] = runpy.run_path(str(parity_check))["parity_outputs"](model, processor)
    finally:
        model.train(trains)
    return {name: value.detach().cpu().float().contiguous().clone() for name, value in outputs.items()}


def digest_weights(model: transformers.PreTrainedModel) -> dict[str, str]:
    """SHA-256 of the shape and the float32 values of every entry of the state dict; equal weights of another precision count as equal."""
    digests = {}
    for name, value in model.state_dict().items():
        digest = hashlib.sha256(str(tuple(value.shape)).encode())
        digest.update(value.detach().cpu().float().contiguous().numpy().data)
        digests[name] = digest.hexdigest()
    return digests


def main(folder: str, auto_class: str, *, parity_check: str, out: str, base: str | None = None) -> None:
    """Loads, runs, saves."""
    arguments = {"trust_remote_code": True, "local_files_only": True}
    model = AUTO_CLASSES[auto_class].from_pretrained(base or folder, dtype=torch.float32, **arguments)
    processor = transformers.AutoProcessor.from_pretrained(folder, **arguments)
    for part in (model, processor):
        if not type(part).__module__.startswith("transformers_modules."):
            raise SystemExit(f"{type(part).__name__} came from {type(part).__module__}, not from the code in {folder}")
    if base is not None:
        import peft

        adapted = peft.PeftModel.from_pretrained(model, folder)
        save_file(run_parity_check(adapted.get_base_model(), processor, parity_check=Path(parity_check)), Path(out) / OUTPUTS)
        model = adapted.merge_and_unload(safe_merge=True)
    save_file(run_parity_check(model, processor, parity_check=Path(parity_check)), Path(out) / (OUTPUTS if base is None else MERGED))
    (Path(out) / DIGESTS).write_text(json.dumps(digest_weights(model)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], parity_check=sys.argv[3], out=sys.argv[4], base=sys.argv[5] if len(sys.argv) > 5 else None)
