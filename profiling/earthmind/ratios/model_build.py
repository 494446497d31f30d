"""Ratio of the memory that building a model takes on the host."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from earthmind.building.models import build_model
from earthmind.model.modeling_earthmind import EarthMindForConditionalGeneration
from earthmind.planning.meta_task import StandInTokenizer
from earthmind.pretrained import read_pretrained
from eocore.registry import RATIOS
from profiling.measures.isolation import measure_sides
from profiling.ratios.ratio import Effort, Goal, Pair, Reading, Side, compare

VOCABULARY = 32_768
FIELDS = {
    "vision_config": {"hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 1024, "image_size": 448},
    "text_config": {
        "model_type": "qwen2",
        "vocab_size": VOCABULARY,
        "hidden_size": 1024,
        "intermediate_size": 2752,
        "num_hidden_layers": 12,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "tie_word_embeddings": False,
    },
}
"""About 270 million parameters, 0.5 GB in bfloat16: enough that libraries and buffers beside the weights do not count."""


@RATIOS.register_module(name="G14")
class ModelBuild(Pair):
    """Host memory while a model comes from its folder: made float32 and drawn at random first, or read as it was saved.

    Args:
        folder: of a model in our layout; "" = one is made, with random weights in bfloat16.
    """

    what = "host memory while a model is built: cast to float32 | as it was saved"

    def __init__(self, *, folder: str = "") -> None:
        self.folder = folder

    def prepare(self, side: Side) -> Callable[[], Tensor]:
        """The work of one side; both give the largest number of every weight, for which all are read."""

        def ours() -> Tensor:
            return _largest(read_pretrained(Path(self.folder), {}))

        def reference() -> Tensor:
            # what preparing an unquantised model for training on few bits does: every frozen weight becomes float32
            return _largest(read_pretrained(Path(self.folder), {}).float())

        return ours if side == "ours" else reference

    def measure(self, effort: Effort) -> list[Reading]:
        """Rise of the resident set above what the libraries take, each side in a process of its own."""
        with tempfile.TemporaryDirectory() as made:
            if not self.folder:
                _save_model(Path(made))
            folder = self.folder or made
            stored = sum(path.stat().st_size for path in Path(folder).glob("*.safetensors"))
            peaks = measure_sides(self.system, {**self.config, "folder": folder})
        ours = peaks["ours"].rise
        ratio = Reading(
            quantity="memory / weights",
            unit="GB",
            reference=stored / 1e9,
            ours=ours / 1e9,
            reached=ours / stored,
            goal=1.1,
            limit="1",
            at_least=False,
            note="reference: size of the files",
        )
        return [
            compare(Goal(quantity="memory", goal=None, limit="3"), "GB", reference=peaks["reference"].rise / 1e9, ours=ours / 1e9),
            ratio,
        ]


@torch.no_grad()
def _largest(model: EarthMindForConditionalGeneration) -> Tensor:
    return torch.stack([parameter.max().float() for parameter in model.parameters() if parameter.numel()])


def _save_model(folder: Path) -> None:
    model: EarthMindForConditionalGeneration = build_model(FIELDS, StandInTokenizer(size=VOCABULARY))
    model.to(torch.bfloat16).save_pretrained(folder)
