"""What of MS-CLIP becomes a checkpoint."""

from pathlib import Path

from eocore.export.hf import Shipment
from ms_clip.checkpoints import parity_check
from ms_clip.model import modeling_ms_clip
from ms_clip.task import MsClipTask

AUTO_MAP = {
    "AutoConfig": "configuration_ms_clip.MsClipConfig",
    "AutoModel": "modeling_ms_clip.MsClipModel",
    "AutoProcessor": "processing_ms_clip.MsClipProcessor",
}
USAGE = """```python
from transformers import AutoModel, AutoProcessor

folder = "."  # this folder
model = AutoModel.from_pretrained(folder, trust_remote_code=True).eval()
processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
inputs = processor(images=[scene], text=["a satellite image of water.", "a satellite image of forest."])
model(**inputs).logits_per_image.softmax(-1)
model.encode_image(inputs["pixel_values"]), model.encode_text(inputs["input_ids"], inputs["attention_mask"])
model.dense_features(inputs["pixel_values"])  # (N, rows, columns, D)
```

A scene is any object with `pixels` (C, H, W), `bands` (names) and `unit` ("reflectance", "sigma0_db" or "uint8"); bands are found by their
names, in whatever order they come. Loading executes the Python files of this folder (`trust_remote_code=True`): read them first.
"""


def pack(task: MsClipTask) -> Shipment:
    """The task's model and its processor."""
    return Shipment(
        title="MS-CLIP",
        usage=USAGE,
        model=task.model,
        processor=task.processor,
        model_package=Path(modeling_ms_clip.__file__).parent,
        auto_map=AUTO_MAP,
        parity_check=Path(parity_check.__file__),
    )
