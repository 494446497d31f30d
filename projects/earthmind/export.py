"""What of EarthMind becomes a checkpoint."""

from pathlib import Path

from earthmind.checkpoints import parity_check
from earthmind.model import modeling_earthmind
from earthmind.task import EarthMindTask
from eocore.export.hf import Shipment

MODEL = "modeling_earthmind.EarthMindForConditionalGeneration"
AUTO_MAP = {
    "AutoConfig": "configuration_earthmind.EarthMindConfig",
    "AutoModelForImageTextToText": MODEL,
    "AutoModelForCausalLM": MODEL,
    "AutoModel": MODEL,
    "AutoProcessor": "processing_earthmind.EarthMindProcessor",
}
USAGE = """```python
from PIL import Image
from transformers import AutoModelForCausalLM, AutoProcessor, AutoTokenizer

folder = "."  # this folder
model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
question = "<image>\\nPlease segment the water in this image."
result = model.predict_forward(image=Image.open("rgb.png"), text=question, tokenizer=tokenizer)
result = model.predict_forward_multi(image=Image.open("sar.png"), rgb_image=Image.open("rgb.png"), text=question, tokenizer=tokenizer)
result["prediction"], result["prediction_masks"]  # text, [(1, H, W) bool, ...]
result = model.predict_forward(video=[Image.open("a.png"), Image.open("b.png")], text=question)  # masks (frames, H, W)

processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)  # several rounds: earlier masks are not drawn again
picture = Image.open("rgb.png")
rounds = [
    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Where is the water?"}]},
    {"role": "assistant", "content": [{"type": "text", "text": "Here: [SEG]."}]},
    {"role": "user", "content": [{"type": "text", "text": "What is beside it?"}]},
]
inputs = processor(images=[picture], text=processor.apply_chat_template(rounds, add_generation_prompt=True, tokenize=False))
processor.decode_answer(model.generate(**inputs, max_new_tokens=64)[0, inputs["input_ids"].shape[1] :])
past = [("user", "Where is the water?"), ("assistant", "Here: [SEG].")]
model.predict({"rgb": picture}, "Segment what is beside it.", past=past).masks  # with the masks of the last answer
```

Where `config.json` says `"fusion": "hca"`, `predict_forward_multi` also returns the weights of the two sensors' tokens (`vis_weight`)
and the tile grid (`sta`).

Measured bands go in by name: `model.predict({"multispectral": scene, "sar": scene}, question)`, a scene being any object with
`pixels` (C, H, W), `bands` and `unit` ("reflectance" or "sigma0_db"). The `image-text-to-text` pipeline takes chat messages with images
and gives text alone. Loading executes the Python files of this folder (`trust_remote_code=True`): read them first.
"""


def pack(task: EarthMindTask) -> Shipment:
    """The task's model, with the settings that end an answer, and its processor."""
    stop = {name: value for name, value in task.processor.stop_settings().items() if name != "tokenizer"}
    task.model.generation_config.update(do_sample=False, **stop)
    return Shipment(
        title="EarthMind",
        usage=USAGE,
        model=task.model,
        processor=task.processor,
        model_package=Path(modeling_earthmind.__file__).parent,
        auto_map=AUTO_MAP,
        parity_check=Path(parity_check.__file__),
    )
