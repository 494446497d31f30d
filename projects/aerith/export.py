"""What of Aerith becomes a checkpoint."""

from pathlib import Path

from aerith.checkpoints import parity_check
from aerith.model import modeling_aerith
from aerith.model.modeling_aerith import AerithForConditionalGeneration
from aerith.model.processing_aerith import AerithProcessor
from aerith.task import AerithTask
from eocore.errors import ConfigError
from eocore.export.hf import Shipment

MODEL = "modeling_aerith.AerithForConditionalGeneration"
AUTO_MAP = {
    "AutoConfig": "configuration_aerith.AerithConfig",
    "AutoModelForCausalLM": MODEL,
    "AutoModelForImageTextToText": MODEL,
    "AutoModel": MODEL,
    "AutoProcessor": "processing_aerith.AerithProcessor",
}
USAGE = """```python
from PIL import Image
from transformers import AutoModelForCausalLM, AutoProcessor

folder = "."  # this folder
model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True).eval()
processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
question = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "[CLS] What type of scene is this?"}]}
prompt = processor.apply_chat_template([question], add_generation_prompt=True, tokenize=False)
inputs = processor(images=Image.open("image.png"), text=prompt)
answer = model.generate(**inputs, max_new_tokens=64)[0, inputs["input_ids"].shape[1] :]
processor.decode_answer(answer)
```

Prefixes of tasks: [CLS] scene class, [VQA] question, [CAP] caption, [VG] position of a phrase as "[x1, y1, x2, y2]", each from 0 to 1 of
the image's width or height. Loading executes the Python files of this folder (`trust_remote_code=True`): read them first.
"""


def pack(task: AerithTask) -> Shipment:
    """The task's model, with the settings that end an answer, and its processor.

    Raises:
        ConfigError: the task is a stage without a language model.
    """
    if not isinstance(task, AerithTask):
        raise ConfigError(
            f"{type(task).__name__} trains a part of the model, which is no model by itself. Name its checkpoint in task.model.parts of "
            "the next stage, and convert that of the last."
        )
    return pack_model(task.model, task.processor)


def pack_model(model: AerithForConditionalGeneration, processor: AerithProcessor) -> Shipment:
    """A model, with the settings that end an answer, and its processor."""
    stop = {name: value for name, value in processor.stop_settings().items() if name != "tokenizer"}
    model.generation_config.update(do_sample=False, **stop)
    return Shipment(
        title="Aerith",
        usage=USAGE,
        model=model,
        processor=processor,
        model_package=Path(modeling_aerith.__file__).parent,
        auto_map=AUTO_MAP,
        parity_check=Path(parity_check.__file__),
    )
