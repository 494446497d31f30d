"""What a user does with a converted checkpoint; run as a file where torch, transformers, numpy, pillow and safetensors are.

    python -I [-S] use_checkpoint.py PACKAGES FOLDER PROBE OUT FUSED

PACKAGES is put in front of the import path; "-" leaves the path as it is. FUSED is a model whose sensors become one tile's tokens.
"""

import importlib.util
import json
import runpy
import sys
from pathlib import Path
from typing import Any

MUST_BE_ABSENT = ("torchvision", "earthmind", "eocore", "mmengine", "mmcv", "accelerate", "peft", "rasterio", "cv2", "matplotlib", "scipy")
QUESTION = "<image>\nPlease segment the water in this image."


def main(packages: str, folder: str, parity_check: str, out: str, fused: str) -> None:
    """Loads through every Auto class, asks in every upstream way, saves what came out."""
    if packages != "-":
        sys.path.insert(0, packages)
    present = [name for name in MUST_BE_ABSENT if importlib.util.find_spec(name)]
    assert not present, f"not a clean environment: {present}"

    import numpy as np
    import torch
    import transformers
    from PIL import Image
    from safetensors.torch import save_file

    arguments = {"trust_remote_code": True}
    names = ("AutoModelForCausalLM", "AutoModelForImageTextToText", "AutoModel")
    models = {name: getattr(transformers, name).from_pretrained(folder, **arguments) for name in names}
    processor = transformers.AutoProcessor.from_pretrained(folder, **arguments)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **arguments)
    with torch.no_grad():
        for name, model in models.items():
            outputs = runpy.run_path(parity_check)["parity_outputs"](model, processor)
            save_file({key: value.float().contiguous() for key, value in outputs.items()}, Path(out) / f"{name}.safetensors")

    rng = np.random.default_rng(0)
    sar, rgb = (Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)) for _ in range(2))
    model = models["AutoModelForCausalLM"]
    single = model.predict_forward(image=rgb, text=QUESTION, tokenizer=tokenizer, max_new_tokens=2)
    pair = model.predict_forward_multi(image=sar, rgb_image=rgb, text=QUESTION, tokenizer=tokenizer, max_new_tokens=3)
    # loaded by themselves, model and processor have files of their own
    apart = model.predict({"rgb": rgb}, "Please segment it.", processor=processor, max_new_tokens=2)
    quick = quick_start(transformers, folder, frames=[sar, rgb, sar])
    pipe = transformers.pipeline("image-text-to-text", model=folder, **arguments)
    chat = [{"role": "user", "content": [{"type": "image", "image": rgb}, {"type": "text", "text": "Please segment it."}]}]
    two = [{"role": "user", "content": [{"type": "image", "image": sar}, *chat[0]["content"]]}]
    settings = {"max_new_tokens": 2, "return_full_text": False, "skip_special_tokens": False}
    fused_model = transformers.AutoModelForCausalLM.from_pretrained(fused, **arguments)
    with torch.no_grad():
        outputs = runpy.run_path(parity_check)["parity_outputs"](
            fused_model, transformers.AutoProcessor.from_pretrained(fused, **arguments)
        )
    save_file({key: value.float().contiguous() for key, value in outputs.items()}, Path(out) / "fused.safetensors")
    fused_pair = fused_model.predict_forward_multi(image=sar, rgb_image=rgb, text=QUESTION, tokenizer=tokenizer, max_new_tokens=2)
    results = {
        "fused_pair": [_summary(fused_pair)["text"], fused_pair["sta"], [list(weight.shape) for weight in fused_pair["vis_weight"]]],
        "code": [type(model).__module__, type(processor).__module__],
        "parameters": sorted(name for name, _ in model.named_parameters()),
        "processor_apart": [apart.text, model.predict({"rgb": rgb}, "Please segment it.", max_new_tokens=2).text],
        "single": _summary(single),
        "pair": _summary(pair),
        "quick_start": [_summary(answer) for answer in quick],
        "pipeline": pipe(text=chat, **settings)[0]["generated_text"],
        "pipeline_pair": pipe(text=two, **settings)[0]["generated_text"],
        "pipeline_batch": [answer[0]["generated_text"] for answer in pipe(text=[chat, two], **settings)],
        "torchvision": "torchvision" in sys.modules,
    }
    (Path(out) / "results.json").write_text(json.dumps(results))


def quick_start(transformers: Any, folder: str, *, frames: list) -> list[dict]:
    """The calls of the upstream quick start, in its words: one image, the frames as a video, a pair; device_map needs accelerate.

    Upstream's calls set no length; a trained model ends its answers, this one is told to.
    """
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, torch_dtype="auto", trust_remote_code=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    model.generation_config.stop_strings = ["[SEG]"]
    text = "<image>Please segment the left chimney."
    return [
        model.predict_forward(image=frames[0], text=text, tokenizer=tokenizer),
        model.predict_forward(video=frames, text=text, tokenizer=tokenizer),
        model.predict_forward_multi(image=frames[0], rgb_image=frames[1], text=text, tokenizer=tokenizer),
    ]


def _summary(answer: dict) -> dict:
    masks = answer["prediction_masks"]
    return {"text": answer["prediction"], "shapes": [list(mask.shape) for mask in masks], "types": [str(mask.dtype) for mask in masks]}


if __name__ == "__main__":
    main(*sys.argv[1:])
