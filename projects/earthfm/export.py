"""What of EarthFM becomes a checkpoint."""

from pathlib import Path

from earthfm.checkpoints import parity_check
from earthfm.model import modeling_earthfm
from earthfm.model.modeling_earthfm import EarthFmForConditionalGeneration
from earthfm.model.processing_earthfm import EarthFmProcessor
from earthfm.task import EarthFmTask
from eocore.export.hf import Shipment

MODEL = "modeling_earthfm.EarthFmForConditionalGeneration"
AUTO_MAP = {
    "AutoConfig": "configuration_earthfm.EarthFmConfig",
    "AutoModelForImageTextToText": MODEL,
    "AutoModelForCausalLM": MODEL,
    "AutoModel": MODEL,
    "AutoProcessor": "processing_earthfm.EarthFmProcessor",
}
LIBRARIES = ("olmoearth_pretrain_minimal",)
"""Holds the encoder's layers; its licence is Apache-2.0."""
USAGE = """Besides torch and transformers it needs the encoder's package: `pip install "olmoearth-pretrain-minimal>=0.1.5,<0.2"`.

```python
from transformers import AutoModelForCausalLM, AutoProcessor

folder = "."  # this folder
model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True).eval()
processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Describe this satellite image."}]}]
prompt = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
inputs = processor(images={"multispectral": scene}, text=prompt)
made = model.generate(**inputs, max_new_tokens=64)
processor.decode_answer(made[0, inputs["input_ids"].shape[1] :])
```

A scene is any object with `pixels` (C, H, W), `bands` (names), `unit` ("reflectance", "sigma0_db" or "uint8") and, in a series, `time`;
bands are found by their names, in whatever order they come. Give several sensors as `{"multispectral": scene, "sar": scene}`, several
dates as lists. Loading executes the Python files of this folder (`trust_remote_code=True`): read them first.
"""


def pack(task: EarthFmTask) -> Shipment:
    """The task's model and its processor."""
    return pack_model(task.model, task.processor)


def pack_model(model: EarthFmForConditionalGeneration, processor: EarthFmProcessor) -> Shipment:
    """A model, with the settings that end an answer, and its processor."""
    stop = {name: value for name, value in processor.stop_settings().items() if name != "tokenizer"}
    model.generation_config.update(do_sample=False, **stop)
    return Shipment(
        title="EarthFM",
        usage=USAGE,
        model=model,
        processor=processor,
        model_package=Path(modeling_earthfm.__file__).parent,
        auto_map=AUTO_MAP,
        parity_check=Path(parity_check.__file__),
        num_bytes=sum(value.nbytes for value in model.state_dict().values()),
        libraries=LIBRARIES,
    )
